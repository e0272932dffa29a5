//! Repositories in SQLite: one row per repository, one per member, one transaction per request.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::repo::Repo;
use crate::ground::lock;
use crate::wire::{EncryptedEnvelope, MemberEntry, VaultManifest, WrappedKey};

/// The strings are kept exactly as they came, so that they go out byte for byte. An envelope keeps its own header.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS nonces (digest BLOB PRIMARY KEY, key TEXT NOT NULL, issued INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS nonces_by_age ON nonces (issued);
    CREATE TABLE IF NOT EXISTS repos (
        id TEXT PRIMARY KEY, scheme_id TEXT NOT NULL, key_epoch INTEGER NOT NULL, payload_version INTEGER NOT NULL,
        share_refresh_tokens INTEGER, last_removal BLOB,
        envelope_repo TEXT NOT NULL, envelope_version INTEGER NOT NULL, envelope_epoch INTEGER NOT NULL,
        iv TEXT NOT NULL, ciphertext TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS members (
        repo TEXT NOT NULL, position INTEGER NOT NULL, ed25519 TEXT NOT NULL, x25519 TEXT NOT NULL,
        scheme_id TEXT NOT NULL, ephemeral TEXT NOT NULL, iv TEXT NOT NULL, ciphertext TEXT NOT NULL,
        key_epoch INTEGER NOT NULL, key_binding_sig TEXT, PRIMARY KEY (repo, position)) STRICT, WITHOUT ROWID;";

/// The database. One connection behind a mutex: a transaction is a handful of row operations in memory or in the page
/// cache (WAL with `synchronous = NORMAL` doesn't fsync per commit), so waiting for the lock costs less than handing the
/// work to another thread would. The lock is never held across an await.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens a file (made when missing), or a private database in memory.
    ///
    /// # Errors
    /// The file can't be opened, or isn't a database of this program.
    pub fn open(path: Option<&Path>) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        // Before everything else: another process may be setting the file up.
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let journal = if path.is_some() { "WAL" } else { "MEMORY" };
        connection.pragma_update(None, "journal_mode", journal)?;
        connection.pragma_update(None, "synchronous", if path.is_some() { "NORMAL" } else { "OFF" })?;
        // Without this, SQLite (built with STAT4) compiles a cached statement anew for every id that is bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(32);
        connection.execute_batch(TABLES)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic under the lock rolled its transaction back, so the connection is sound.
        lock(&self.connection)
    }

    /// Runs `work` in one transaction that starts as a writer and commits at the end; an error rolls it back.
    ///
    /// # Errors
    /// Those of `work`, or of the commit.
    pub fn write<T, E: From<rusqlite::Error>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&Tx { connection: &transaction })?;
        transaction.commit()?;
        Ok(done)
    }

    /// Runs `work` on one consistent snapshot.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn read<T, E: From<rusqlite::Error>>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        work(&Tx { connection: &transaction })
    }
}

/// The database within a transaction.
#[derive(Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
}

impl Tx<'_> {
    /// The bare connection, for statements that aren't about repositories.
    pub fn connection(&self) -> &Connection {
        self.connection
    }

    /// A value of the server itself, such as its signing key.
    ///
    /// # Errors
    /// The database fails.
    pub fn meta(&self, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
        statement.query_row([name], |row| row.get(0)).optional()
    }

    /// Sets a value of the server itself.
    ///
    /// # Errors
    /// The database fails.
    pub fn set_meta(&self, name: &str, value: &[u8]) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?;
        statement.execute(params![name, value]).map(drop)
    }

    /// Keeps the digest of a nonce, and forgets those issued before `oldest` (epoch milliseconds).
    ///
    /// # Errors
    /// The database fails.
    pub fn add_nonce(&self, digest: &[u8], key: &str, now: i64, oldest: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM nonces WHERE issued < ?")?.execute([oldest])?;
        let mut statement = self.connection.prepare_cached("INSERT OR REPLACE INTO nonces VALUES (?, ?, ?)")?;
        statement.execute(params![digest, key, now]).map(drop)
    }

    /// To whom a nonce was issued, and when.
    ///
    /// # Errors
    /// The database fails.
    pub fn find_nonce(&self, digest: &[u8]) -> rusqlite::Result<Option<(String, i64)>> {
        let mut statement = self.connection.prepare_cached("SELECT key, issued FROM nonces WHERE digest = ?")?;
        statement.query_row([digest], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    }

    /// Forgets a nonce; whether it was there.
    ///
    /// # Errors
    /// The database fails.
    pub fn take_nonce(&self, digest: &[u8]) -> rusqlite::Result<bool> {
        Ok(self.connection.prepare_cached("DELETE FROM nonces WHERE digest = ?")?.execute([digest])? > 0)
    }

    /// The repository of an id.
    ///
    /// # Errors
    /// The database fails.
    pub fn load(&self, id: &str) -> rusqlite::Result<Option<Repo>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT scheme_id, key_epoch, payload_version, share_refresh_tokens, last_removal,
                    envelope_repo, envelope_version, envelope_epoch, iv, ciphertext FROM repos WHERE id = ?",
        )?;
        let repo = statement.query_row([id], |row| read_repo(id, row)).optional()?;
        let Some(mut repo) = repo else { return Ok(None) };
        repo.manifest.members = self.roster(id)?;
        Ok(Some(repo))
    }

    fn roster(&self, id: &str) -> rusqlite::Result<Vec<MemberEntry>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT ed25519, x25519, scheme_id, ephemeral, iv, ciphertext, key_epoch, key_binding_sig
             FROM members WHERE repo = ? ORDER BY position",
        )?;
        statement.query_map([id], read_member)?.collect()
    }

    /// Stores a state that follows `before`, writing only what differs. `before` is what this transaction loaded.
    ///
    /// # Errors
    /// The database fails.
    pub fn update(&self, before: &Repo, next: &Repo) -> rusqlite::Result<()> {
        if before.manifest.repo_id != next.manifest.repo_id {
            return self.put(next);
        }
        let (id, old, new) = (&next.manifest.repo_id, &before.manifest.members, &next.manifest.members);
        if before.envelope == next.envelope {
            self.put_head(next)?;
        } else {
            self.put_row(next)?;
        }
        if new.starts_with(old) {
            return self.append(id, old.len(), &new[old.len()..]);
        }
        self.clear_roster(id)?;
        self.append(id, 0, new)
    }

    /// Stores a state whatever was there before.
    ///
    /// # Errors
    /// The database fails.
    pub fn put(&self, repo: &Repo) -> rusqlite::Result<()> {
        self.put_row(repo)?;
        self.clear_roster(&repo.manifest.repo_id)?;
        self.append(&repo.manifest.repo_id, 0, &repo.manifest.members)
    }

    fn put_row(&self, repo: &Repo) -> rusqlite::Result<()> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO repos VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")?;
        let (manifest, envelope) = (&repo.manifest, &repo.envelope);
        statement
            .execute(params![
                manifest.repo_id,
                manifest.scheme_id,
                manifest.key_epoch,
                manifest.payload_version,
                manifest.share_refresh_tokens,
                repo.last_removal,
                envelope.repo_id,
                envelope.payload_version,
                envelope.key_epoch,
                envelope.iv,
                envelope.ciphertext,
            ])
            .map(drop)
    }

    /// Everything but the envelope, whose ciphertext may be large.
    fn put_head(&self, repo: &Repo) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE repos SET scheme_id = ?2, key_epoch = ?3, payload_version = ?4, share_refresh_tokens = ?5,
                    last_removal = ?6 WHERE id = ?1",
        )?;
        let manifest = &repo.manifest;
        statement
            .execute(params![
                manifest.repo_id,
                manifest.scheme_id,
                manifest.key_epoch,
                manifest.payload_version,
                manifest.share_refresh_tokens,
                repo.last_removal,
            ])
            .map(drop)
    }

    fn clear_roster(&self, id: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM members WHERE repo = ?")?.execute([id]).map(drop)
    }

    fn append(&self, id: &str, from: usize, members: &[MemberEntry]) -> rusqlite::Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        let mut statement =
            self.connection.prepare_cached("INSERT INTO members VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
        for (position, entry) in (from..).zip(members) {
            let key = &entry.wrapped_data_key;
            statement.execute(params![
                id,
                i64::try_from(position).unwrap_or(i64::MAX),
                entry.ed25519_public_key,
                entry.x25519_public_key,
                key.scheme_id,
                key.ephemeral_public_key,
                key.iv,
                key.ciphertext,
                entry.key_epoch,
                entry.key_binding_sig,
            ])?;
        }
        Ok(())
    }
}

fn read_repo(id: &str, row: &Row<'_>) -> rusqlite::Result<Repo> {
    let manifest = VaultManifest {
        repo_id: id.to_owned(),
        scheme_id: row.get(0)?,
        key_epoch: row.get(1)?,
        payload_version: row.get(2)?,
        members: Vec::new(),
        share_refresh_tokens: row.get(3)?,
    };
    let envelope = EncryptedEnvelope {
        repo_id: row.get(5)?,
        payload_version: row.get(6)?,
        key_epoch: row.get(7)?,
        iv: row.get(8)?,
        ciphertext: row.get(9)?,
    };
    Ok(Repo { manifest, envelope, last_removal: row.get(4)? })
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<MemberEntry> {
    Ok(MemberEntry {
        ed25519_public_key: row.get(0)?,
        x25519_public_key: row.get(1)?,
        wrapped_data_key: WrappedKey {
            scheme_id: row.get(2)?,
            ephemeral_public_key: row.get(3)?,
            iv: row.get(4)?,
            ciphertext: row.get(5)?,
        },
        key_epoch: row.get(6)?,
        key_binding_sig: row.get(7)?,
    })
}
