//! What SQLite has written is read, and what a file claims is believed as far as it can be true.

use super::*;
use std::collections::BTreeMap;

/// Rows by table and column.
type Values = BTreeMap<String, Vec<(Option<i64>, Vec<u8>)>>;

#[derive(Default)]
struct Collected {
    now: (String, Option<i64>, Vec<u8>),
    values: Values,
}

impl Visitor for Collected {
    fn begin(&mut self, table: &Table, column: usize, row: Option<i64>) {
        self.now = (format!("{}.{}", table.name, table.columns[column]), row, Vec::new());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.now.2.extend_from_slice(bytes);
    }
    fn end(&mut self) {
        let (name, row, bytes) = std::mem::take(&mut self.now);
        self.values.entry(name).or_default().push((row, bytes));
    }
}

fn read(path: &Path) -> Values {
    let mut collected = Collected::default();
    Database::open(path).unwrap().visit(&mut collected);
    assert_eq!(collected.values.remove("sqlite_schema.sql").unwrap().len(), 2);
    collected.values.values_mut().for_each(|rows| rows.sort());
    collected.values
}

fn blob(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + at / 251 + salt) % 256) as u8).collect()
}

/// Everything that SQLite says is in the tables is read, from the file, from the log, and with overflow pages.
#[test]
fn reads_what_sqlite_wrote() {
    let folder = tempfile::tempdir().unwrap();
    for (journal, page_size) in [("DELETE", 512), ("WAL", 4096), ("WAL", 65536)] {
        let path = folder.path().join(format!("{journal}{page_size}.db"));
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "page_size", page_size).unwrap();
        connection.pragma_update(None, "journal_mode", journal).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE plain (id INTEGER PRIMARY KEY, \"a, b\" TEXT, c BLOB);
                 CREATE TABLE keyed (x BLOB, y TEXT, PRIMARY KEY (y, x)) WITHOUT ROWID;",
            )
            .unwrap();
        let mut expected: Values = BTreeMap::new();
        for row in 1..300_i64 {
            let salt = usize::try_from(row).unwrap();
            let (text, bytes) = (format!("text number {row}"), blob(20 + salt * salt % 9000, salt));
            connection.execute("INSERT INTO plain VALUES (?, ?, ?)", (row, &text, &bytes)).unwrap();
            connection.execute("INSERT INTO keyed VALUES (?, ?)", (&bytes, &text)).unwrap();

            expected.entry("plain.a, b".into()).or_default().push((Some(row), text.clone().into_bytes()));
            expected.entry("plain.c".into()).or_default().push((Some(row), bytes.clone()));
            expected.entry("keyed.y".into()).or_default().push((None, text.into_bytes()));
            expected.entry("keyed.x".into()).or_default().push((None, bytes));
        }
        expected.values_mut().for_each(|rows| rows.sort());
        let found = read(&path);
        assert!(found == expected, "{journal} {page_size}: {:?}", found.keys());
        connection.execute("DELETE FROM plain WHERE id > 1", ()).unwrap();
        assert_eq!(read(&path)["plain.c"].len(), 1, "{journal} {page_size}");
    }
}

/// Page numbers are anything that a log says, and cells may all claim the same bytes: neither costs more than what is there.
#[test]
fn what_a_file_claims_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.db");
    // One leaf page of the schema, whose cells all point at one value that fills half of the page.
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(MAGIC);
    page[16..18].copy_from_slice(&4096_u16.to_be_bytes());
    page[100] = 13;
    page[103..105].copy_from_slice(&500_u16.to_be_bytes());
    for cell in 0..500 {
        page[108 + 2 * cell..][..2].copy_from_slice(&1500_u16.to_be_bytes());
    }
    // 2,048 bytes, row 1; a record with one blob.
    page[1500..1506].copy_from_slice(&[0x90, 0x00, 1, 3, 0x9f, 0x2c]);
    std::fs::write(&path, &page).unwrap();
    let mut wal = vec![0; 32 + 24 + 4096];
    wal[..4].copy_from_slice(&0x377f_0682_u32.to_be_bytes());
    wal[8..12].copy_from_slice(&4096_u32.to_be_bytes());
    wal[32..36].copy_from_slice(&0xffff_fffe_u32.to_be_bytes());
    wal[36..40].copy_from_slice(&1_u32.to_be_bytes());
    std::fs::write(wal_of(&path), &wal).unwrap();
    let mut collected = Collected::default();
    Database::open(&path).unwrap().visit(&mut collected);
    let shown: usize = collected.values.values().flatten().map(|(_, bytes)| bytes.len()).sum();
    assert!((1..=4096).contains(&shown), "{shown}");
}

/// Statements of a database are text to us, whatever they would do in SQLite.
#[test]
fn nothing_in_a_database_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("written.db");
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT * FROM n";
    for (number, sql) in [
        format!("CREATE TABLE t(a, b); ATTACH '{}' AS p; CREATE TABLE p.owned(x)", written.display()),
        format!("CREATE TABLE t AS {endless}"),
        format!("CREATE TABLE t(a, b AS (({endless})))"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{number}.db"));
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t(a, b); INSERT INTO t VALUES ('a text of some length', 1)").unwrap();
        connection.execute_batch("PRAGMA writable_schema = ON").unwrap();
        connection.execute("UPDATE sqlite_schema SET sql = ?", [&sql]).unwrap();
        drop(connection);
        let mut collected = Collected::default();
        Database::open(&path).unwrap().visit(&mut collected);
        assert!(collected.values.values().flatten().any(|(_, value)| value == b"a text of some length"), "{sql}");
        assert!(!written.exists(), "{sql}");
    }
}

#[test]
fn damage_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE t (a BLOB)").unwrap();
    for row in 0..50 {
        connection.execute("INSERT INTO t VALUES (?)", [blob(3000, row)]).unwrap();
    }
    drop(connection);
    let whole = std::fs::read(&path).unwrap();
    let mut state = 1_u64;
    for _ in 0..300 {
        let mut damaged = whole.clone();
        for _ in 0..20 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] = (state >> 20) as u8;
        }
        damaged.truncate(whole.len() - (state >> 40) as usize % 5000);
        std::fs::write(&path, &damaged).unwrap();
        if let Some(database) = Database::open(&path) {
            database.visit(&mut Collected::default());
        }
    }
}
