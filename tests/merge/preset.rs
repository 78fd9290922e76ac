//! The preset, checked against the schema that it describes itself; the bench of the merge core uses it
//! too.

use std::sync::Arc;

use tributary::model::CqlType;
use tributary::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};

/// Lists that are not frozen: the published `user_courses` has the first.
pub const LISTS: [(&str, &str, &str); 2] = [
    ("user_courses", "certificates", "list<frozen<map<text, text>>>"),
    ("content_consumption", "notes", "list<text>"),
];

/// The schema that the preset describes, and further columns.
pub fn schema() -> Schema {
    let raw = RawSpec::course_batch().expect("the preset parses");
    let keys: [(&str, &[&str]); 2] = [
        ("content_consumption", &["userid", "contentid", "batchid", "courseid"]),
        ("user_courses", &["batchid", "userid"]),
    ];
    let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
    for (table, (name, key)) in raw.tables.iter().zip(keys) {
        assert_eq!(*table.name, name);
        let columns = table.columns.iter().map(|(column, cql_type)| ColumnSchema {
            name: column.clone(),
            cql_type: (**cql_type).clone(),
            kind: match key.iter().position(|name| name == column) {
                Some(0) => ColumnKind::PartitionKey(0),
                Some(position) => ColumnKind::Clustering(position - 1, Direction::Ascending),
                None => ColumnKind::Regular,
            },
        });
        let lists = LISTS.iter().filter(|(table, ..)| *table == name);
        let lists = lists.map(|(_, column, cql_type)| ColumnSchema {
            name: (*column).into(),
            cql_type: CqlType::parse(cql_type),
            kind: ColumnKind::Regular,
        });
        let columns = columns.chain(lists).collect();
        let table = TableSchema { columns, ..TableSchema::default() };
        schema.tables.insert(name.into(), table);
    }
    schema
}

pub fn spec() -> Arc<Spec> {
    let raw = RawSpec::course_batch().expect("the preset parses");
    Arc::new(raw.check(&schema()).expect("the preset fits its own schema"))
}
