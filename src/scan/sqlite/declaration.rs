//! Name and columns of a table, read from its `CREATE TABLE` statement without running it: whoever wrote the database wrote
//! that text, so no SQL engine gets to see it. The grammar: <https://sqlite.org/lang_createtable.html>.

use std::collections::HashSet;

/// What a statement declares.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declaration {
    /// Name of the table.
    pub name: String,
    /// Names of the columns in the order in which records have them.
    pub columns: Vec<String>,
}

/// Reads a statement; `None` if it isn't one that SQLite keeps for a table with a list of columns.
pub(super) fn declaration(sql: &str) -> Option<Declaration> {
    let mut tokens = Tokens { rest: sql };
    for word in ["CREATE", "TABLE"] {
        tokens.next().filter(|token| token.is(word))?;
    }
    let name = tokens.next()?.name()?;
    tokens.next().filter(|token| *token == Token::Symbol('('))?;
    let mut list = Columns::default();
    let mut part = Vec::new();
    let mut depth = 0_usize;
    loop {
        let token = tokens.next()?;
        match (&token, depth) {
            (Token::Symbol(')'), 0) => {
                list.part(&part)?;
                break;
            }
            (Token::Symbol(','), 0) => list.part(&std::mem::take(&mut part))?,
            _ => {
                match token {
                    Token::Symbol('(') => depth += 1,
                    Token::Symbol(')') => depth -= 1,
                    _ => {}
                }
                part.push(token);
            }
        }
    }
    let options: Vec<_> = tokens.collect();
    let is_keyed = options.windows(2).any(|pair| pair[0].is("WITHOUT") && pair[1].is("ROWID"));
    Some(Declaration { name, columns: list.stored(is_keyed) })
}

/// The columns, as far as they have been read.
#[derive(Default)]
struct Columns {
    /// Name, and whether records have it.
    declared: Vec<(String, bool)>,
    /// Names of the primary key's columns, in its order.
    key: Vec<String>,
}

impl Columns {
    /// Takes a column or a constraint of the table.
    fn part(&mut self, tokens: &[Token]) -> Option<()> {
        let is_constraint = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"]
            .iter()
            .any(|word| tokens.first().is_some_and(|token| token.is(word)));
        let key_at = top_level(tokens).position(|(_, token)| token.is("PRIMARY"));
        if is_constraint {
            if key_at.is_some() {
                self.key = listed(tokens);
            }
            return Some(());
        }
        let name = tokens.first()?.name()?;
        let words: Vec<_> = top_level(&tokens[1..]).map(|(_, token)| token).collect();
        // GENERATED ALWAYS AS (…), or AS (…) alone; only STORED ones are in records.
        let is_generated = words.windows(2).any(|pair| pair[0].is("AS") && *pair[1] == Token::Symbol('('));
        let is_stored = !is_generated || words.iter().any(|token| token.is("STORED"));
        if key_at.is_some() {
            self.key = vec![name.clone()];
        }
        self.declared.push((name, is_stored));
        Some(())
    }

    /// The columns in records: those of a table without row ids begin with its key.
    fn stored(self, is_keyed: bool) -> Vec<String> {
        let mut seen = HashSet::new();
        let all = self.declared.iter().filter(|(_, is_stored)| *is_stored).map(|(name, _)| name);
        let key = self.key.iter().filter_map(|key| {
            self.declared.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(name, _)| name)
        });
        let key: Vec<_> = if is_keyed { key.collect() } else { Vec::new() };
        key.into_iter().chain(all).filter(|name| seen.insert(name.to_ascii_lowercase())).cloned().collect()
    }
}

/// The tokens that are in no parentheses, with their positions; an opening one counts.
fn top_level(tokens: &[Token]) -> impl Iterator<Item = (usize, &Token)> {
    let mut depth = 0_usize;
    tokens.iter().enumerate().filter(move |(_, token)| {
        let before = depth;
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        before == 0
    })
}

/// The names that begin the items of the first list in parentheses.
fn listed(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut is_first) = (0_usize, true);
    let inner = tokens.iter().skip_while(|token| **token != Token::Symbol('(')).skip(1);
    for token in inner {
        match token {
            Token::Symbol(')') if depth == 0 => break,
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth -= 1,
            Token::Symbol(',') if depth == 0 => is_first = true,
            _ if is_first => {
                names.extend(token.name());
                is_first = false;
            }
            _ => {}
        }
    }
    names
}

/// A piece of a statement. White space and comments are none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A bare word: a keyword, a name, a number.
    Word(String),
    /// A name or text in quotes, without them.
    Quoted(String),
    /// Any other character.
    Symbol(char),
}

impl Token {
    fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn name(&self) -> Option<String> {
        match self {
            Self::Word(text) | Self::Quoted(text) => Some(text.clone()),
            Self::Symbol(_) => None,
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    /// Leaves out white space and comments.
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
            let end = if self.rest.starts_with("--") {
                self.rest.find('\n')
            } else if self.rest.starts_with("/*") {
                self.rest.get(2..).and_then(|inner| inner.find("*/")).map(|at| at + 3)
            } else {
                return;
            };
            // A comment may be ended by the end of the text.
            self.rest = end.and_then(|at| self.rest.get(at + 1..)).unwrap_or_default();
        }
    }

    /// Takes a text in quotes, in which a doubled closing quote stands for itself (not in brackets).
    fn quoted(&mut self, close: char) -> Option<Token> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, letter)) = letters.next() {
            if letter != close {
                text.push(letter);
            } else if close != ']' && letters.peek().is_some_and(|(_, next)| *next == close) {
                letters.next();
                text.push(close);
            } else {
                self.rest = &self.rest[at + close.len_utf8()..];
                return Some(Token::Quoted(text));
            }
        }
        self.rest = "";
        None
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        match first {
            '"' | '`' | '\'' => self.quoted(first),
            '[' => self.quoted(']'),
            _ => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
                let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
                let (token, length) = match length {
                    0 => (Token::Symbol(first), first.len_utf8()),
                    _ => (Token::Word(self.rest[..length].to_owned()), length),
                };
                self.rest = &self.rest[length..];
                Some(token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SQLite itself makes of a statement that we wrote.
    fn by_sqlite(sql: &str) -> Declaration {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let (name, keyed): (String, bool) = connection
            .query_row(
                "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'",
                (),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let order = if keyed { "pk = 0, pk, cid" } else { "cid" };
        let query = format!("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 2 ORDER BY {order}");
        let mut statement = connection.prepare(&query).unwrap();
        let columns = statement.query_map([&name], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        Declaration { name, columns }
    }

    #[test]
    fn reads_as_sqlite_does() {
        for sql in [
            "CREATE TABLE t(a)",
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL DEFAULT 'x, y) z', c BLOB)",
            "CREATE TABLE \"odd \"\" name\" (\"a, b\" TEXT, [c d] BLOB, `e``f` INT, 'g' REAL)",
            "CREATE TABLE t(a, b, c, PRIMARY KEY (c, a)) WITHOUT ROWID",
            "CREATE TABLE t(a TEXT, b TEXT PRIMARY KEY, c ANY) without rowid, strict",
            "CREATE TABLE t(a, b, CONSTRAINT pk PRIMARY KEY (\"B\" COLLATE nocase DESC, a)) WITHOUT ROWID",
            "CREATE TABLE t(a, b AS (a || 'x'), c GENERATED ALWAYS AS (length(a)) STORED, d INT GENERATED ALWAYS AS (1) VIRTUAL)",
            "CREATE TABLE t(a CHECK (a IN (1, 2, (3))), b REFERENCES t(a) ON DELETE CASCADE, UNIQUE (a, b), FOREIGN KEY (b) REFERENCES t (a))",
            "CREATE TABLE t(a DECIMAL(10, 2) DEFAULT (1 + (2)), b VARCHAR(3) COLLATE nocase)",
            "CREATE TABLE t -- a comment, with (\n(a /* b, c */ TEXT, -- d\n e)",
            "CREATE TABLE größe(länge, \u{1f511} TEXT)",
            "CREATE TABLE t(a, key, stored, as_of, b AS (a) STORED)",
        ] {
            assert_eq!(declaration(sql), Some(by_sqlite(sql)), "{sql}");
        }
    }

    #[test]
    fn anything_else_is_no_declaration() {
        for sql in [
            "",
            "CREATE",
            "CREATE TABLE",
            "CREATE TABLE t",
            "CREATE TABLE t(",
            "CREATE TABLE t(a",
            "CREATE TABLE t(a, \"b)",
            "CREATE TABLE t(a /* b)",
            "CREATE TABLE t(,)",
            "CREATE TABLE t AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT * FROM n",
            "CREATE VIEW v(a) AS SELECT 1",
            "CREATE INDEX i ON t(a)",
            "DROP TABLE t",
        ] {
            assert_eq!(declaration(sql), None, "{sql}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "(CREATE TABLE t ?\\()?[a-z(),'\"`\\[\\]/*\\- é]{0,40}") {
            let _ = declaration(&text);
        }
    }
}
