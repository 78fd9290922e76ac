//! What a specification may not say, and what it is told then.

use tributary::model::CqlType;
use tributary::spec::schema::{ColumnKind, ColumnSchema, Schema};
use tributary::spec::{Locator, RawSpec, ScopePart, Spec};

use super::preset::schema;

const PRESET: &str = include_str!("../../src/spec/course-batch.toml");

fn check_text(text: &str, schema: &Schema) -> Result<Spec, String> {
    let raw = RawSpec::parse(text, "test.toml").map_err(|error| error.to_string())?;
    raw.check(schema).map_err(|error| error.to_string())
}

/// The preset with one passage replaced is refused, and the message names what is wrong.
#[track_caller]
fn check_refused(passage: &str, replacement: &str, named: &[&str]) {
    assert!(PRESET.contains(passage), "the preset has no {passage}");
    let message = check_text(&PRESET.replacen(passage, replacement, 1), &schema()).unwrap_err();
    for name in named {
        assert!(message.contains(name), "{message:?} does not name {name:?}");
    }
}

#[track_caller]
fn check_schema_refused(change: impl FnOnce(&mut Schema), named: &[&str]) {
    let mut schema = schema();
    change(&mut schema);
    let message = check_text(PRESET, &schema).unwrap_err();
    for name in named {
        assert!(message.contains(name), "{message:?} does not name {name:?}");
    }
}

fn retype(
    table: &'static str,
    column: &'static str,
    cql_type: &'static str,
) -> impl Fn(&mut Schema) {
    move |schema| {
        let columns = &mut schema.tables.get_mut(table).unwrap().columns;
        let column = columns.iter_mut().find(|candidate| candidate.name == column).unwrap();
        column.cql_type = CqlType::parse(cql_type);
    }
}

fn add(cql_type: &'static str, kind: ColumnKind) -> impl Fn(&mut Schema) {
    move |schema| {
        let table = schema.tables.get_mut("content_consumption").unwrap();
        let cql_type = CqlType::parse(cql_type);
        let column = ColumnSchema { name: "extra".into(), kind, cql_type };
        table.columns.push(column);
    }
}

#[test]
fn the_preset_fits_its_schema() {
    let spec = check_text(PRESET, &schema()).unwrap();
    let names = |table: usize, to: usize| -> Vec<&str> {
        spec.tables[table].columns[..to].iter().map(|column| column.name.as_str()).collect()
    };
    assert_eq!(names(0, 5), ["userid", "contentid", "batchid", "courseid", "status"]);
    assert_eq!((spec.tables[0].slim_len, spec.tables[0].columns.len()), (5, 17));
    assert_eq!(names(1, 3), ["batchid", "userid", "courseid"]);
    assert_eq!((spec.tables[1].slim_len, spec.tables[1].columns.len()), (3, 17));
    let locator = Locator {
        parts: vec![ScopePart::Column(2)],
        through: Some(0),
        is_scanned: false,
        is_whole: true,
    };
    assert_eq!(spec.tables[1].locator, locator);
}

#[test]
fn columns_that_are_not_named_are_copied_whole() {
    let mut schema = schema();
    add("list<frozen<map<text, text>>>", ColumnKind::Regular)(&mut schema);
    let spec = check_text(PRESET, &schema).unwrap();
    let columns = spec.tables.iter().map(|table| table.columns.len()).max();
    assert_eq!(columns, Some(18));
}

#[test]
fn missing_things_are_named() {
    check_schema_refused(
        |schema| drop(schema.tables.remove("user_courses")),
        &["keyspace k", "user_courses", "content_consumption"],
    );
    let without_status = |schema: &mut Schema| {
        let table = schema.tables.get_mut("content_consumption").unwrap();
        table.columns.retain(|column| column.name != "status");
    };
    check_schema_refused(without_status, &["content_consumption", "status", "viewcount"]);
    check_refused("[table.columns]", "[table.coulmns]", &["test.toml", "coulmns"]);
    check_refused(
        r#"partitions_from = "content_consumption.batchid""#,
        r#"partitions_from = "content.batchid""#,
        &["user_courses", "content.batchid"],
    );
    check_refused(r#"account = "userid""#, r#"account = "user""#, &["content_consumption", "user"]);
}

#[test]
fn policies_have_to_fit() {
    let policy = r#"{ status = "max" }"#;
    check_refused(policy, r#"{ status = "biggest" }"#, &["status", "biggest", "keep-target"]);
    check_refused(policy, r#"{ status = { each = "max" } }"#, &["each max", "status", "a map"]);
    check_refused(policy, r#"{ grade = { each = "union" } }"#, &["union", "entry of a map"]);
    let dates = r#"{ grade = { policy = "max", format = "yyyy" } }"#;
    check_refused(policy, dates, &["grade", "yyyy", "no pattern of a date"]);
    let dates = r#"{ status = { policy = "max", format = "%Y-%m-%d" } }"#;
    check_refused(policy, dates, &["status", "int", "text"]);
    let formatted = r#"{ grade = { policy = "first", format = "%Y" } }"#;
    check_refused(policy, formatted, &["first", "takes no format"]);
    check_refused(policy, r#"{ grade = { max = "%Y" } }"#, &["grade", "each, policy, format"]);
    check_refused(policy, r#"{ grade = 3 }"#, &["grade", "3", "each ="]);
    let higher = |by: &str| format!("{{ keep = \"higher\", by = [{by}] }}");
    check_refused(policy, &higher("\"contentid\""), &["contentid", "primary key"]);
    check_refused(policy, &higher("\"nothing\""), &["content_consumption", "nothing"]);
    check_refused(policy, &higher(""), &["by names the columns", "keep = \"higher\""]);
    check_refused(policy, &higher("\"status\""), &["not available beside a list", "notes"]);
    check_refused(policy, r#"{ keep = "lower", by = ["status"] }"#, &["lower", "use \"higher\""]);
    check_refused(
        "on_conflict = \"keep-target\"",
        "on_conflict = { keep = \"higher\", by = [\"contentstatus\"] }",
        &["contentstatus", "map<text, int>", "order"],
    );
    check_refused(policy, r#"{ contentid = "max" }"#, &["contentid", "primary key"]);
    check_refused(policy, r#"{ nothing = "max" }"#, &["content_consumption", "nothing"]);
    check_refused(policy, r#""keep-source""#, &["not available beside a list", "notes"]);
    let passage = "on_conflict = \"keep-target\"";
    let replacement = r#"on_conflict = { contentstatus = "max" }"#;
    check_refused(
        passage,
        replacement,
        &["user_courses", "contentstatus", "map<text, int>", "max"],
    );
}

#[test]
fn what_cannot_be_replayed_is_refused() {
    check_schema_refused(add("counter", ColumnKind::Regular), &["extra", "counter"]);
    check_schema_refused(add("int", ColumnKind::Static), &["extra", "static"]);
    let with_ttl = |schema: &mut Schema| {
        schema.tables.get_mut("user_courses").unwrap().default_time_to_live_s = 60;
    };
    check_schema_refused(with_ttl, &["user_courses", "default_time_to_live", "60"]);
}

#[test]
fn types_have_to_be_the_expected_ones() {
    check_schema_refused(
        retype("content_consumption", "status", "text"),
        &["content_consumption", "status", "text", "int", "--spec"],
    );
    // Without the expectations, the shape itself still has to fit.
    let bare = {
        let mut table: toml::Table = PRESET.parse().unwrap();
        for entry in table["table"].as_array_mut().unwrap() {
            entry.as_table_mut().unwrap().remove("columns");
        }
        table.to_string()
    };
    assert!(check_text(&bare, &schema()).is_ok());
    for (table, column, cql_type, named) in [
        ("content_consumption", "userid", "uuid", "account column"),
        ("content_consumption", "contentid", "duration", "order"),
        ("user_courses", "batchid", "int", "content_consumption.batchid"),
        ("content_consumption", "courseid", "int", "[event]"),
    ] {
        let mut schema = schema();
        retype(table, column, cql_type)(&mut schema);
        let message = check_text(&bare, &schema).unwrap_err();
        assert!(message.contains(table) && message.contains(named), "{message}");
    }
}

#[test]
fn keys_have_to_have_a_known_shape() {
    check_refused(r#"find = "partition""#, r#"find = "index""#, &["find", "partition"]);
    check_refused(
        r#"find = { partitions_from = "content_consumption.batchid" }"#,
        r#"find = "partition""#,
        &["[event]", "no other table leads to user_courses"],
    );
    check_refused(
        r#"partitions_from = "content_consumption.batchid""#,
        r#"partitions_from = "content_consumption.grade""#,
        &["[event]", "user_courses", "content_consumption", "no part of the primary key"],
    );
}

#[test]
fn events_quote_what_exists() {
    check_refused(r#"key = "${batchid}_${account}""#, r#"key = "${batch}""#, &["${batch}"]);
    check_refused(r#"mid = "LP.${ets}.${uuid}""#, r#"mid = "LP.${ets""#, &["not closed"]);
    check_refused("[event.columns]\ncourseid", "[event.columns]\ncourse", &["course"]);
    check_refused("[event]\ntable = \"user_courses\"", "[event]\ntable = \"users\"", &["users"]);
}
