//! The schema: made once, the same on both databases, and the one that `src/store/schema.rs` tells Diesel of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Text};
use vestibule::kernel::Clock;
use vestibule::store::{Location, Store, StoreError, meta};

use super::{
    Database, drop_postgres_database, new_postgres_database, on_both, postgres_location,
    postgres_rows, read, sqlite, write,
};

/// Diesel's own table of what has been applied.
const LEDGER: &str = "__diesel_schema_migrations";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Table {
    /// Each with its type in Diesel's word and whether it may be null.
    columns: BTreeMap<String, (String, bool)>,
    primary_key: Vec<String>,
    /// The columns of each unique index and constraint, with `WHERE` where it is partial.
    unique: BTreeSet<String>,
    /// The columns of each further index.
    indexes: BTreeSet<String>,
    /// `column -> table(column) on delete what`.
    references: BTreeSet<String>,
}

type Schema = BTreeMap<String, Table>;

/// The word that `schema.rs` uses for a column's type in either database.
fn diesel_type(sql: &str) -> String {
    match sql.to_lowercase().as_str() {
        "text" => "Text",
        "bigint" => "BigInt",
        "boolean" => "Bool",
        "blob" | "bytea" => "Binary",
        other => panic!("a column has type {other}, which the store does not use"),
    }
    .to_owned()
}

#[derive(diesel::QueryableByName)]
struct Pair {
    #[diesel(sql_type = Text)]
    one: String,
    #[diesel(sql_type = Text)]
    two: String,
    #[diesel(sql_type = BigInt)]
    three: i64,
    #[diesel(sql_type = BigInt)]
    four: i64,
}

fn of_sqlite(database: &Database) -> Schema {
    let mut conn = sqlite::connect(database);
    let mut ask = |sql: &str| -> Vec<Pair> { diesel::sql_query(sql).load(&mut conn).unwrap() };
    let tables = ask(
        "SELECT name AS one, '' AS two, 0 AS three, 0 AS four FROM sqlite_schema \
         WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    let mut schema = Schema::new();
    for name in tables
        .into_iter()
        .map(|row| row.one)
        .filter(|name| name != LEDGER)
    {
        let mut table = Table::default();
        let mut key = Vec::new();
        for column in ask(&format!(
            "SELECT name AS one, type AS two, \"notnull\" AS three, pk AS four FROM pragma_table_info('{name}')"
        )) {
            if column.four > 0 {
                key.push((column.four, column.one.clone()));
            }
            let kind = (diesel_type(&column.two), column.three == 0);
            table.columns.insert(column.one, kind);
        }
        key.sort();
        table.primary_key = key.into_iter().map(|(_, column)| column).collect();
        for index in ask(&format!(
            "SELECT i.name AS one, coalesce(substr(s.sql, nullif(instr(s.sql, ' WHERE '), 0)), '') AS two, \
             i.\"unique\" AS three, i.origin = 'pk' AS four \
             FROM pragma_index_list('{name}') i LEFT JOIN sqlite_schema s ON s.name = i.name"
        )) {
            let columns: Vec<String> = ask(&format!(
                "SELECT name AS one, '' AS two, seqno AS three, 0 AS four FROM pragma_index_info('{}') ORDER BY seqno",
                index.one
            ))
            .into_iter()
            .map(|column| column.one)
            .collect();
            let text = format!("{}{}", columns.join(", "), index.two);
            match (index.four, index.three) {
                (1, _) => assert_eq!(columns, table.primary_key, "{name}"),
                (_, 1) => {
                    table.unique.insert(text);
                }
                _ => {
                    table.indexes.insert(text);
                }
            }
        }
        for key in ask(&format!(
            "SELECT \"from\" AS one, \"table\" || '(' || coalesce(\"to\", '') || ') on delete ' || on_delete AS two, \
             0 AS three, 0 AS four FROM pragma_foreign_key_list('{name}')"
        )) {
            table
                .references
                .insert(format!("{} -> {}", key.one, key.two).to_lowercase());
        }
        schema.insert(name, table);
    }
    schema
}

fn of_postgres(database: &str) -> Schema {
    let ask = |sql: &str| -> Vec<Vec<String>> {
        postgres_rows(database, sql)
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect()
    };
    let mut schema = Schema::new();
    for row in ask(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns \
         WHERE table_schema = 'public'",
    ) {
        if row[0] != LEDGER {
            let table = schema.entry(row[0].clone()).or_default();
            let kind = (diesel_type(&row[2]), row[3] == "YES");
            table.columns.insert(row[1].clone(), kind);
        }
    }
    for row in ask("SELECT t.relname, i.indisprimary, i.indisunique, \
         (SELECT string_agg(a.attname, ', ' ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY k(number, place) \
          JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number), \
         coalesce(pg_get_expr(i.indpred, i.indrelid), '') \
         FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid \
         WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'")
    {
        let Some(table) = schema.get_mut(&row[0]) else {
            continue;
        };
        // PostgreSQL writes (kind = 'password'::text) for what was declared as kind = 'password'.
        let predicate = row[4].trim_matches(['(', ')']).replace("::text", "");
        let mut text = row[3].clone();
        if !predicate.is_empty() {
            text = format!("{text} WHERE {predicate}");
        }
        if row[1] == "t" {
            table.primary_key = row[3].split(", ").map(str::to_owned).collect();
        } else if row[2] == "t" {
            table.unique.insert(text);
        } else {
            table.indexes.insert(text);
        }
    }
    for row in ask(
        "SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text, b.attname, \
         CASE c.confdeltype WHEN 'c' THEN 'cascade' WHEN 'a' THEN 'no action' WHEN 'n' THEN 'set null' END \
         FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
         JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1] WHERE c.contype = 'f'",
    ) {
        let text = format!("{} -> {}({}) on delete {}", row[1], row[2], row[3], row[4]);
        schema.get_mut(&row[0]).unwrap().references.insert(text);
    }
    schema
}

/// The `table!` blocks: what Diesel believes. They know nothing of indexes.
fn of_diesel() -> Schema {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let text: String = ["schema.rs", "schema/bulk.rs"]
        .map(|file| std::fs::read_to_string(folder.join(file)).unwrap())
        .concat();
    let mut schema = Schema::new();
    for block in text.split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().unwrap().trim_end_matches(" {");
        let (name, key) = head.trim_end_matches(')').split_once(" (").unwrap();
        let mut table = Table {
            primary_key: key.split(", ").map(str::to_owned).collect(),
            ..Table::default()
        };
        for line in lines.take_while(|line| *line != "}") {
            let (column, kind) = line.trim_end_matches(',').split_once(" -> ").unwrap();
            let inner = kind
                .strip_prefix("Nullable<")
                .and_then(|kind| kind.strip_suffix('>'));
            let kind = (inner.unwrap_or(kind).to_owned(), inner.is_some());
            table.columns.insert(column.to_owned(), kind);
        }
        schema.insert(name.to_owned(), table);
    }
    schema
}

/// Compares table by table, so that a failure names the one that differs.
fn assert_same(one: &Schema, two: &Schema) {
    let names = |schema: &Schema| schema.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(one), names(two));
    for (name, table) in one {
        assert_eq!(table, &two[name], "{name}");
    }
}

fn columns_alone(schema: Schema) -> Schema {
    schema
        .into_iter()
        .map(|(name, table)| {
            let table = Table {
                columns: table.columns,
                primary_key: table.primary_key,
                ..Table::default()
            };
            (name, table)
        })
        .collect()
}

#[test]
fn diesel_believes_what_the_migrations_make() {
    let schema = of_sqlite(&Database::sqlite());
    assert!(schema.len() > 20, "{:?}", schema.keys());
    assert_same(&of_diesel(), &columns_alone(schema));
}

#[test]
fn both_databases_have_one_schema() {
    let Some(name) = new_postgres_database() else {
        return;
    };
    Store::open(&postgres_location(&name), Clock::system(), 1).unwrap();
    let postgres = of_postgres(&name);
    drop_postgres_database(&name);
    assert_same(&of_sqlite(&Database::sqlite()), &postgres);
    assert_same(&of_diesel(), &columns_alone(postgres));
}

/// Deleting a parent looks each child up by the column that refers to it: without an index that is a scan of the table.
#[test]
fn every_reference_has_an_index_that_begins_with_it() {
    for (name, table) in of_sqlite(&Database::sqlite()) {
        let mut indexes: Vec<String> = table.unique.union(&table.indexes).cloned().collect();
        indexes.push(table.primary_key.join(", "));
        for reference in &table.references {
            let column = reference.split(" -> ").next().unwrap();
            let found = indexes
                .iter()
                .any(|index| index == column || index.starts_with(&format!("{column}, ")));
            assert!(
                found,
                "{name}.{column} refers to another table without an index"
            );
        }
    }
}

#[test]
fn a_second_start_changes_nothing() {
    on_both(|database| {
        write(&database.store, |tx| meta::put(tx, "kept", "1"));
        for _ in 0..2 {
            let again = database.open_again();
            let kept = read(&again, |tx| meta::get(tx, "kept"));
            assert_eq!(kept.as_deref(), Some("1"));
        }
    });
}

#[test]
fn a_database_of_a_newer_version_is_refused_in_plain_words() {
    on_both(|database| {
        database.execute(&format!(
            "INSERT INTO {LEDGER} (version, run_on) VALUES ('99990101000000', CURRENT_TIMESTAMP)"
        ));
        let refused = Store::open(&database.location(), Clock::system(), 1);
        match refused.map(|_| ()) {
            Err(StoreError::Schema(message)) => {
                assert!(message.contains("99990101000000"), "{message}");
                assert!(
                    message.contains("start the newer version, or restore a backup"),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
        // Nor was anything taken away from it.
        database.execute(&format!(
            "DELETE FROM {LEDGER} WHERE version = '99990101000000'"
        ));
        assert!(Store::open(&database.location(), Clock::system(), 1).is_ok());
    });
}

fn open_together(locations: &[Location]) {
    let start = Barrier::new(locations.len());
    std::thread::scope(|scope| {
        for location in locations {
            scope.spawn(|| {
                start.wait();
                let store = Store::open(location, Clock::system(), 1).unwrap();
                write(&store, |tx| meta::put(tx, "opened", "1"));
            });
        }
    });
}

#[test]
fn several_nodes_that_start_at_once_all_start() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.db"));
        open_together(&vec![Location::Sqlite(path); 6]);
    }
    for _ in 0..3 {
        let Some(name) = new_postgres_database() else {
            return;
        };
        open_together(&vec![postgres_location(&name); 6]);
        let rows = postgres_rows(&name, &format!("SELECT version FROM {LEDGER}"));
        assert!(!rows.is_empty());
        drop_postgres_database(&name);
    }
}
