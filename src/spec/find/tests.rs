use crate::model::{CqlType, Scope};
use crate::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use crate::spec::{RawSpec, Spec};

/// A table as `name(partition,key|clustering|others)`, each column as `name:type`; types are text where none is
/// given.
fn table(text: &str) -> (String, TableSchema) {
    let (name, columns) = text.trim_end_matches(')').split_once('(').unwrap();
    let mut table = TableSchema::default();
    for (part, columns) in columns.split('|').enumerate() {
        for (at, column) in columns.split(',').filter(|column| !column.is_empty()).enumerate() {
            let (name, cql_type) = column.split_once(':').unwrap_or((column, "text"));
            let kind = match part {
                0 => ColumnKind::PartitionKey(at),
                1 => ColumnKind::Clustering(at, Direction::Ascending),
                _ => ColumnKind::Regular,
            };
            let cql_type = CqlType::parse(cql_type);
            table.columns.push(ColumnSchema { name: name.into(), kind, cql_type });
        }
    }
    (name.into(), table)
}

/// Tables with what their `find` is; the account is `user`.
fn spec(tables: &[(&str, &str)]) -> Result<Spec, String> {
    let mut text = "name = 'test'\n".to_owned();
    let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
    for (shape, find) in tables {
        let (name, table) = table(shape);
        text.push_str(&format!("[[table]]\nname = '{name}'\naccount = 'user'\nfind = {find}\n"));
        schema.tables.insert(name, table);
    }
    let raw = RawSpec::parse(&text, "the test").map_err(|error| error.to_string())?;
    raw.check(&schema).map_err(|error| error.to_string())
}

#[track_caller]
fn check_refused(tables: &[(&str, &str)], expected: &str) {
    let error = spec(tables).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

const OWN: (&str, &str) = ("own(user|course|tenant)", "'partition'");

#[test]
fn the_account_may_stand_anywhere_in_the_key() {
    for (shape, find) in [
        ("t(tenant,user|c)", "{ partition = { tenant = { value = 'acme' } } }"),
        ("t(user,tenant)", "{ partition = { tenant = { from = 'own.tenant' } } }"),
        (
            "t(type,course,user|x)",
            "{ partition = { type = { value = 'Course' }, course = { from = \
          'own.course' } } }",
        ),
        ("t(course|user)", "{ partitions_from = 'own.course' }"),
        ("t(course|user,x)", "{ partitions_from = 'own.course' }"),
        (
            "t(type,course|x,user,y)",
            "{ partition = { type = { value = 'a' }, course = { from = \
          'own.course' } } }",
        ),
        ("t(type|user)", "{ partition = { type = { value = 'a' } } }"),
        ("t(followed|user)", "'scan'"),
        ("t(a,user,b|c)", "'scan'"),
    ] {
        let spec = spec(&[(shape, find), OWN]).unwrap_or_else(|why| panic!("{shape}: {why}"));
        let table = &spec.tables[0];
        assert_eq!(table.columns[table.account].name, "user");
        assert_eq!(table.locator.parts.len(), table.scope_columns().count(), "{shape}");
    }
}

#[test]
fn what_only_a_scan_finds_has_no_scope_beforehand() {
    let spec = spec(&[("t(a,user,b|c)", "'scan'"), OWN]).unwrap();
    let discovered: Vec<_> = spec.discovered().map(|(index, _)| index).collect();
    assert_eq!(discovered, [0]);
    assert_eq!((spec.tables[0].locator.constant(), spec.led(1).count()), (None, 0));
    check_refused(&[("t(user|c)", "'scan'")], "user is the whole partition key");
    check_refused(&[("t(user)", "'scan'")], "say: find = \"partition\"");
}

#[test]
fn keys_are_taken_apart_and_put_together() {
    let find = "{ partition = { type = { value = 'Course' }, course = { from = 'own.course' } } }";
    let spec = spec(&[("t(type,course,user|x)", find), OWN]).unwrap();
    let table = &spec.tables[0];
    let text = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
    let scope = table.locator.scope(&[Some(text("ann")), Some(text("c1"))]).unwrap();
    assert_eq!(scope, Scope::new([text("Course"), text("c1")]));
    let ann = crate::model::AccountId::new("ann");
    let key = table.partition_key(&scope, &ann);
    assert_eq!(key, ["Course", "c1", "ann"].map(text));
    assert_eq!(table.scope_of_key(&key), scope);
    assert_eq!(table.locator.scope(&[Some(text("ann")), None]), None, "null leads nowhere");
    assert_eq!(spec.tables[1].locator.constant(), Some(Scope::default()));
    assert!(table.owns_partitions() && !table.has_point_rows());
}

#[test]
fn what_leads_comes_before_what_is_led_to() {
    let order = |tables: &[(&str, &str)]| -> Vec<String> {
        spec(tables).unwrap().in_order().map(|(_, table)| table.name.clone()).collect()
    };
    let third = ("third(x|user)", "{ partitions_from = 'second.x' }");
    let second = ("second(course,user|x)", "{ partition = { course = { from = 'own.course' } } }");
    assert_eq!(order(&[third, second, OWN]), ["own", "second", "third"]);
    let other = ("other(user)", "'partition'");
    assert_eq!(order(&[OWN, third, other, second]), ["own", "other", "second", "third"]);
    check_refused(
        &[
            ("a(x,user|y)", "{ partition = { x = { from = 'b.x' } } }"),
            ("b(x,user|y)", "{ partition = { x = { from = 'a.x' } } }"),
        ],
        "table a: what leads to it begins with itself",
    );
}

#[test]
fn what_does_not_fit_is_named() {
    for (shape, find, expected) in [
        ("t(tenant,user)", "'partition'", "whole partition key, but that is (tenant, user)"),
        (
            "t(tenant,user)",
            "'partition'",
            "find = { partition = { tenant = { from = \"other_table.column\" } } }",
        ),
        ("t(x|user)", "'partition'", "find = { partitions_from = \"other_table.column\" }"),
        ("t(tenant,user)", "{ partition = {} }", "does not say where tenant"),
        (
            "t(tenant,user)",
            "{ partition = { tenant = { value = 1 } } }",
            "tenant: 1 is no value of type text",
        ),
        (
            "t(tenant,user)",
            "{ partition = { user = { value = 'a' }, tenant = { value = 'a' } } }",
            "find names user, but the partition key beside the account is (tenant)",
        ),
        (
            "t(user|x)",
            "{ partitions_from = 'own.course' }",
            "(user), x); say: find = \"partition\"",
        ),
        ("t(a,b|user)", "{ partitions_from = 'own.course' }", "((a, b), user)"),
        ("t(x|y|user)", "'partition'", "is a regular column"),
        ("t(x|user)", "{ partitions_from = 'own.nothing' }", "there is no such column"),
        ("t(x|user)", "{ partitions_from = 'nothing.x' }", "there is no [[table]]"),
        ("t(x|user)", "{ partitions_from = 'own.user' }", "which is the account itself"),
        ("t(x:int|user)", "{ partitions_from = 'own.course' }", "x is of type int"),
        (
            "t(x,y|user)",
            "{ partition = { x = { from = 'own.course' }, y = { from = 't.x' } } }",
            "has to stand in rows of one table",
        ),
        (
            "t(x|user:int)",
            "{ partitions_from = 'own.course' }",
            "of type text, but that of t is of type int",
        ),
        ("t(x|user:blob)", "{ partitions_from = 'own.course' }", "accounts can be of type text"),
    ] {
        let tables = [(shape, find), OWN];
        let error = spec(&tables).unwrap_err();
        assert!(error.contains(expected), "{shape} {find}: {error}");
    }
}
