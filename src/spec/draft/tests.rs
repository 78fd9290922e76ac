//! Drafts of schemas in which accounts stand in many ways.

use super::*;
use crate::model::CqlType;
use crate::spec::schema::Direction;
use crate::spec::{ScopePart, Spec};

/// A table as `name(partition,key|clustering|others|static)`, each column as `name:type`; types are text where none is
/// given.
fn table(text: &str) -> (String, TableSchema) {
    let (name, columns) = text.trim_end_matches(')').split_once('(').unwrap();
    let mut table = TableSchema::default();
    for (part, columns) in columns.split('|').enumerate() {
        for (at, column) in columns.split(';').filter(|column| !column.is_empty()).enumerate() {
            let (name, cql_type) = column.split_once(':').unwrap_or((column, "text"));
            let kind = match part {
                0 => ColumnKind::PartitionKey(at),
                1 => ColumnKind::Clustering(at, Direction::Ascending),
                2 => ColumnKind::Regular,
                _ => ColumnKind::Static,
            };
            let cql_type = CqlType::parse(cql_type);
            table.columns.push(ColumnSchema { name: name.into(), kind, cql_type });
        }
    }
    (name.into(), table)
}

fn schema(tables: &[&str]) -> Schema {
    Schema { keyspace: "k".into(), tables: tables.iter().map(|text| table(text)).collect() }
}

/// The draft, and what it comes to.
#[track_caller]
fn drafted(tables: &[&str]) -> (String, Spec) {
    let schema = schema(tables);
    let text = draft(&schema, &["userid".to_owned()]).unwrap();
    let spec = RawSpec::parse(&text, "a draft").unwrap().check(&schema).unwrap();
    (text, spec)
}

fn names(spec: &Spec) -> Vec<&str> {
    spec.tables.iter().map(|table| table.name.as_str()).collect()
}

#[test]
fn tables_are_found_by_the_account_and_through_each_other() {
    let (text, spec) = drafted(&[
        "a_third(x|userid)",
        "by_course(courseid|user_id)",
        "own(userid|courseid;tenant|x;status:int;tags:set<text>)",
        "by_tenant(tenant;userid|day:date)",
        "others(id)",
    ]);
    assert_eq!(names(&spec), ["a_third", "by_course", "by_tenant", "own"]);
    let through =
        |table: usize| spec.tables[table].locator.through.map(|at| spec.tables[at].name.as_str());
    assert_eq!([0, 1, 2, 3].map(through), [Some("own"), Some("own"), Some("own"), None]);
    assert_eq!(spec.tables[3].survivorship.len(), 1, "the elements of both are kept");
    let unbroken = text.replace("\n# ", " ").replace(" The primary", "\n# The primary");
    let unbroken = unbroken.replace(" Found", "\n# Found");
    for line in [
        "status = \"keep-target\" # int: or \"max\", \"min\", \"first\", \"keep-source\", \"latest\", \"sum\"",
        "tags = \"union\" # set<text>: or \"keep-target\", \"first\", \"keep-source\"",
        "# The primary key of own is (userid, courseid, tenant); accounts are of type text.",
        "# Found by the account itself.",
        "find = { partitions_from = \"own.courseid\" }",
    ] {
        assert!(unbroken.lines().any(|own| own.starts_with(line)), "{line}\nis not in\n{text}");
    }
}

/// A column of a key is never null, so it leads to every partition.
#[test]
fn what_leads_best_is_a_column_of_a_key() {
    let (_, spec) =
        drafted(&["a(userid|x|courseid)", "b(userid|courseid)", "led(courseid|userid)"]);
    let locator = &spec.tables[2].locator;
    assert_eq!((locator.through, &locator.parts[..]), (Some(1), &[ScopePart::Column(1)][..]));
}

/// What else could lead there is for whoever knows the rows; nothing that is led to leads back.
#[test]
fn what_else_could_lead_there_is_named() {
    let (text, spec) =
        drafted(&["a(x;userid|y)", "led(x|userid)", "own(userid|x)", "third(y|userid|x)"]);
    let through = |table: usize| spec.tables[table].locator.through;
    assert_eq!([0, 1, 2, 3].map(through), [Some(2), Some(2), None, Some(0)]);
    let named: Vec<_> = text.lines().filter(|line| line.contains("could lead")).collect();
    assert_eq!(named.len(), 2, "{text}");
    assert!(text.replace("\n# ", " ").contains("as well: led."), "{text}");
    assert!(text.replace("\n# ", " ").contains("as well: a, third."), "{text}");
}

#[test]
fn what_cannot_be_merged_stands_there_with_the_reason() {
    let (text, spec) = drafted(&[
        "own(userid|courseid)",
        "counts(userid|courseid|n:counter)",
        "fields(userid|courseid|l:address;m:frozen<address>)",
        "timed(userid|courseid|d:'org.DateType')",
        "follows(userid|user_id)",
        "mentions(id||userid;user_id)",
        "numbered(userid:int|x)",
        "lost(day:date;kind|userid)",
        "shared(userid|x||s:int)",
    ]);
    let merged = ["fields", "lost", "mentions", "own", "mentions"];
    assert_eq!(names(&spec), merged, "each mention is one");
    assert!(spec.tables[1].locator.is_scanned, "nothing leads there");
    assert!(spec.tables.iter().any(|table| table.is_mention()), "{text}");
    let flat = text.replace("\n# ", " ");
    for reason in [
        "Not merged: table counts: column n is a counter",
        "l = \"keep-target\" # address",
        "Not merged: table timed: column d is of a type that is known by its class alone",
        "Not merged: table follows: its key names accounts in userid and user_id",
        "Not merged: table numbered: its account column is of type int, but that of fields is of type text",
        "Nothing that is found has rows which name day and kind.",
        "of a fitting type are fields.courseid",
        "Not merged: table shared: column s is static",
    ] {
        assert!(flat.contains(reason), "{reason}\nis not in\n{text}");
    }
    // Whoever has mended the cause takes the signs away.
    assert!(text.contains(
        "\n# [[table]]\n# name = \"counts\"\n# account = \"userid\"\n# find = \"partition\"\n"
    ));
    assert!(
        text.contains("\nname = \"mentions\"\nmentions = [\"userid\", \"user_id\"]\n"),
        "{text}"
    );
}

#[test]
fn there_is_no_draft_without_a_table() {
    let error = |tables: &[&str]| draft(&schema(tables), &["userid".to_owned()]).unwrap_err();
    let none = error(&["others(id||user)"]);
    assert_eq!(none, "keyspace k has no table with a column named like userid; it has: others");
    let refused = error(&["shared(id|x||userid)"]);
    assert!(
        refused.starts_with("no table of keyspace k can be merged as it is: table shared: "),
        "{refused}"
    );
}

#[test]
fn names_are_quoted_where_they_must_be() {
    let (_, spec) = drafted(&["odd name(User \"Id|x y|größe:int)"]);
    assert_eq!(names(&spec), ["odd name"]);
}

#[test]
fn what_expires_by_default_does_so_where_it_is_copied() {
    let mut schema = schema(&["sessions(userid|k|note)", "tagged(userid|k|tags:set<text>)"]);
    let tables = schema.tables.values_mut();
    tables.for_each(|table| table.default_time_to_live_s = 60);
    let text = draft(&schema, &["userid".to_owned()]).unwrap();
    let spec = RawSpec::parse(&text, "a draft").unwrap().check(&schema).unwrap();
    assert_eq!((names(&spec), spec.tables[0].carries_ttls), (vec!["sessions"], true), "{text}");
    assert!(
        text.replace("\n# ", " ").contains("Not merged: table tagged: default_time_to_live is")
    );
}
