//! Which tables a database has, and what their columns are called.

use super::declaration::{Declaration, declaration};
use super::{Database, Table, Unread, Visitor};

/// Tables that are read; no server has more.
const MOST: usize = 10_000;
/// Longest statement that is understood, in bytes.
const LONGEST: usize = 1 << 20;
/// Names of columns where nobody knows them.
const NAMELESS: usize = 100;

/// All tables, and the table of tables itself.
pub(super) fn tables(database: &Database) -> Vec<Table> {
    let names = ["type", "name", "tbl_name", "rootpage", "sql"];
    let schema = Table { name: "sqlite_schema".into(), columns: names.map(str::to_owned).into(), root: 1 };
    let mut found = Statements::default();
    database.rows(&schema, &mut Unread::default(), &mut found);
    let described = found.tables.iter().map(|(sql, root)| match declaration(sql) {
        Some(Declaration { name, columns }) => Table { name, columns, root: *root },
        None => nameless(*root),
    });
    std::iter::once(schema).chain(described).collect()
}

/// `CREATE TABLE` statements with their root pages.
#[derive(Default)]
struct Statements {
    root: u32,
    column: usize,
    text: Vec<u8>,
    tables: Vec<(String, u32)>,
}

impl Visitor for Statements {
    fn integer(&mut self, column: usize, value: i64) {
        if column == 3 {
            self.root = u32::try_from(value).unwrap_or(0);
        }
    }

    fn begin(&mut self, _: &Table, column: usize, _: Option<i64>) {
        self.column = column;
        self.text.clear();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.column == 4 && self.text.len() + bytes.len() <= LONGEST {
            self.text.extend_from_slice(bytes);
        }
    }

    fn end(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let is_table = text.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("CREATE TABLE"));
        if self.column == 4 && is_table && self.tables.len() < MOST {
            self.tables.push((text.into_owned(), self.root));
        }
    }
}

/// A table whose statement isn't understood.
fn nameless(root: u32) -> Table {
    let columns = (1..=NAMELESS).map(|number| format!("column {number}")).collect();
    Table { name: format!("the table at page {root}"), columns, root }
}
