//! Both tables in a real Cassandra: created, loaded from and dumped to the model's form.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlValue, MaybeUnset, Row};
use serde_json::{Map, Value};

use crate::model::{Columns, Tables};

/// What a test may have done to the schema before the tool sees it.
pub(crate) const USER_COURSES: &str = "CREATE TABLE user_courses (batchid text, userid text, \
    active boolean, addedby text, completedon timestamp, completionpercentage int, \
    contentstatus map<text,int>, courseid text, datetime timestamp, delta text, \
    enrolleddate text, grade text, lastreadcontentid text, lastreadcontentstatus int, \
    progress int, status int, PRIMARY KEY (batchid, userid)) \
    WITH CLUSTERING ORDER BY (userid ASC)";

pub(crate) const CONTENT_CONSUMPTION: &str = "CREATE TABLE content_consumption (userid text, \
    contentid text, batchid text, courseid text, completedcount int, contentversion text, \
    datetime timestamp, grade text, lastaccesstime text, lastcompletedtime text, \
    lastupdatedtime text, progress int, result text, score text, status int, viewcount int, \
    PRIMARY KEY (userid, contentid, batchid, courseid)) \
    WITH CLUSTERING ORDER BY (contentid ASC, batchid ASC, courseid ASC)";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Text,
    Int,
    Boolean,
    Timestamp,
    IntMap,
}

/// The columns of a table, the key's first.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) key: usize,
    pub(crate) columns: &'static [(&'static str, Kind)],
}

pub(crate) const TABLES: [Table; 2] = [
    Table {
        name: "user_courses",
        key: 2,
        columns: &[
            ("batchid", Kind::Text),
            ("userid", Kind::Text),
            ("active", Kind::Boolean),
            ("addedby", Kind::Text),
            ("completedon", Kind::Timestamp),
            ("completionpercentage", Kind::Int),
            ("contentstatus", Kind::IntMap),
            ("courseid", Kind::Text),
            ("datetime", Kind::Timestamp),
            ("delta", Kind::Text),
            ("enrolleddate", Kind::Text),
            ("grade", Kind::Text),
            ("lastreadcontentid", Kind::Text),
            ("lastreadcontentstatus", Kind::Int),
            ("progress", Kind::Int),
            ("status", Kind::Int),
        ],
    },
    Table {
        name: "content_consumption",
        key: 4,
        columns: &[
            ("userid", Kind::Text),
            ("contentid", Kind::Text),
            ("batchid", Kind::Text),
            ("courseid", Kind::Text),
            ("completedcount", Kind::Int),
            ("contentversion", Kind::Text),
            ("datetime", Kind::Timestamp),
            ("grade", Kind::Text),
            ("lastaccesstime", Kind::Text),
            ("lastcompletedtime", Kind::Text),
            ("lastupdatedtime", Kind::Text),
            ("progress", Kind::Int),
            ("result", Kind::Text),
            ("score", Kind::Text),
            ("status", Kind::Int),
            ("viewcount", Kind::Int),
        ],
    },
];

impl Table {
    /// The columns that are not part of the key.
    pub(crate) fn values(&self) -> &'static [(&'static str, Kind)] {
        &self.columns[self.key..]
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// Writes rows now, or as of a moment in microseconds.
pub(crate) async fn load(session: &Session, keyspace: &str, tables: &Tables, at: Option<i64>) {
    let courses = tables.user_courses.iter().map(|((batch, user), columns)| {
        let key = vec![batch.clone(), user.clone()];
        (batch.as_str(), (key, columns))
    });
    let content = tables.content_consumption.iter().map(|((user, content, batch, course), row)| {
        let key = vec![user.clone(), content.clone(), batch.clone(), course.clone()];
        (user.as_str(), (key, row))
    });
    load_table(session, keyspace, (&TABLES[0], at), courses).await;
    load_table(session, keyspace, (&TABLES[1], at), content).await;
}

type Cells = Vec<MaybeUnset<CqlValue>>;

/// Rows come sorted by partition; those of one partition share batches.
async fn load_table<'a>(
    session: &Session,
    keyspace: &str,
    (table, at): (&Table, Option<i64>),
    rows: impl Iterator<Item = (&'a str, (Vec<String>, &'a Columns))>,
) {
    const BATCH_BYTES: usize = 16_000;
    let marks = vec!["?"; table.columns.len()].join(", ");
    let insert =
        format!("INSERT INTO {keyspace}.{} ({}) VALUES ({marks})", table.name, table.names());
    let mut insert = session.prepare(insert).await.expect("the rows of the test fit the table");
    insert.set_timestamp(at);

    let mut batches: Vec<Vec<Cells>> = Vec::new();
    let mut open = ("", usize::MAX);
    for (partition, (key, columns)) in rows {
        let cells = cells(table, &key, columns);
        let bytes: usize =
            100 + columns.values().map(|value| value.to_string().len()).sum::<usize>();
        if open.0 != partition || open.1.saturating_add(bytes) > BATCH_BYTES {
            batches.push(Vec::new());
            open = (partition, 0);
        }
        open.1 += bytes;
        batches.last_mut().expect("one was just pushed").push(cells);
    }
    stream::iter(batches.into_iter().map(Ok))
        .try_for_each_concurrent(128, |rows| load_rows(session, &insert, rows))
        .await
        .expect("the rows of the test can be loaded");
}

/// Several times, if need be: three nodes on a small machine are easily overloaded.
async fn load_rows(
    session: &Session,
    insert: &PreparedStatement,
    rows: Vec<Cells>,
) -> Result<(), scylla::errors::ExecutionError> {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_timestamp(insert.get_timestamp());
    rows.iter().for_each(|_| batch.append_statement(insert.clone()));
    let mut attempts = 0;
    loop {
        let done = match &rows[..] {
            [row] => session.execute_unpaged(insert, row).await.map(drop),
            rows => session.batch(&batch, rows).await.map(drop),
        };
        attempts += 1;
        if done.is_ok() || attempts == 10 {
            return done;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

fn cells(table: &Table, key: &[String], columns: &Columns) -> Cells {
    for name in columns.keys() {
        assert!(table.values().iter().any(|(known, _)| known == name), "no column {name}");
    }
    let key = key.iter().map(|part| MaybeUnset::Set(CqlValue::Text(part.clone())));
    let values = table.values().iter().map(|(name, kind)| match columns.get(*name) {
        Some(value) => MaybeUnset::Set(to_cql(value, *kind)),
        None => MaybeUnset::Unset,
    });
    key.chain(values).collect()
}

fn to_cql(value: &Value, kind: Kind) -> CqlValue {
    let int = |value: &Value| {
        value.as_i64().and_then(|value| i32::try_from(value).ok()).expect("an int fits a column")
    };
    match kind {
        Kind::Text => CqlValue::Text(value.as_str().expect("text").to_owned()),
        Kind::Int => CqlValue::Int(int(value)),
        Kind::Boolean => CqlValue::Boolean(value.as_bool().expect("a boolean")),
        Kind::Timestamp => CqlValue::Timestamp(CqlTimestamp(value.as_i64().expect("ms"))),
        Kind::IntMap => CqlValue::Map(
            value
                .as_object()
                .expect("a map")
                .iter()
                .map(|(key, value)| (CqlValue::Text(key.clone()), CqlValue::Int(int(value))))
                .collect(),
        ),
    }
}

fn from_cql(value: CqlValue) -> Value {
    match value {
        CqlValue::Text(text) => text.into(),
        CqlValue::Int(number) => number.into(),
        CqlValue::BigInt(number) => number.into(),
        CqlValue::Boolean(boolean) => boolean.into(),
        CqlValue::Double(number) => number.into(),
        CqlValue::Timestamp(time) => time.0.into(),
        CqlValue::List(values) | CqlValue::Set(values) => {
            values.into_iter().map(from_cql).collect::<Vec<_>>().into()
        }
        CqlValue::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| match key {
                CqlValue::Text(key) => (key, from_cql(value)),
                other => panic!("a key of another type: {other:?}"),
            });
            entries.collect::<Map<_, _>>().into()
        }
        other => panic!("a value of another type: {other:?}"),
    }
}

pub(crate) async fn dump(session: &Session, keyspace: &str) -> Tables {
    let mut tables = Tables::default();
    for (mut key, columns) in dump_table(session, keyspace, &TABLES[0]).await {
        let mut part = || key.remove(0);
        let key = (part(), part());
        tables.user_courses.insert(key, columns);
    }
    for (mut key, columns) in dump_table(session, keyspace, &TABLES[1]).await {
        let mut part = || key.remove(0);
        let key = (part(), part(), part(), part());
        tables.content_consumption.insert(key, columns);
    }
    tables
}

async fn dump_table(
    session: &Session,
    keyspace: &str,
    table: &Table,
) -> Vec<(Vec<String>, Columns)> {
    let select = format!("SELECT {} FROM {keyspace}.{}", table.names(), table.name);
    rows(session, &select)
        .await
        .into_iter()
        .map(|mut row| {
            let values = row.split_off(table.key);
            let key = row.into_iter().map(|part| match part {
                Some(Value::String(part)) => part,
                other => panic!("a key part of another type: {other:?}"),
            });
            let columns = table.values().iter().zip(values);
            let columns = columns.filter_map(|((name, _), v)| Some(((*name).to_owned(), v?)));
            (key.collect(), columns.collect::<BTreeMap<_, _>>())
        })
        .collect()
}

/// All rows of a query, null as `None`.
pub(crate) async fn rows(session: &Session, query: &str) -> Vec<Vec<Option<Value>>> {
    let pager = session.query_iter(query, ()).await;
    let rows = pager.unwrap_or_else(|error| panic!("{query}: {error}"));
    let rows = rows.rows_stream::<Row>().expect("any row can be read as one");
    rows.map(|row| {
        let row = row.unwrap_or_else(|error| panic!("{query}: {error}"));
        row.columns.into_iter().map(|cell| cell.map(from_cql)).collect()
    })
    .collect()
    .await
}
