//! What the text alone tells: all of it, with its lines.

use super::*;
use crate::spec::schema::TableSchema;

/// What is wrong with a text, without what errors call it.
fn faults(text: &str) -> Vec<String> {
    listed(&RawSpec::read(text, "a.toml").1)
}

fn listed(faults: &Faults) -> Vec<String> {
    let text = faults.to_string();
    match text.strip_prefix("a.toml, ") {
        _ if faults.is_empty() => Vec::new(),
        Some(one) => vec![one.to_owned()],
        None => text.lines().skip(1).map(|line| line.trim_start().to_owned()).collect(),
    }
}

/// The faults begin so, in this order.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_listed(&faults(text), expected);
}

#[track_caller]
fn check_listed(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found}\ndoes not say\n{expected}");
    }
}

const TABLE: &str = "name = 's'\n[[table]]\nname = 't'\naccount = 'user'\nfind = 'partition'\n";

#[test]
fn all_that_the_text_tells_is_told_at_once() {
    let text = r#"nmae = "school"

[[table]]
name = "own"
account = "user"
find = "index"
on_conflict = { status = "max", tags = "biggest", user = "max", grade = 3 }
delete_source = "yes"

[table.columns]
status = "map<text, int>"
user = "blob"

[[table]]
name = "led"
find = { partitions_from = "owm.course" }

[[table]]
name = "led"
account = "user"

[table.find.partition]
kind = { value = 1.5 }
course = { form = "own.course" }
x = { from = "own" }

[event]
table = "leb"
key = "${account"
when = 1

[event.columns]
grade = { else = "own.grade" }
"#;
    check(
        text,
        &[
            "line 1: the specification has no entry \"nmae\"; its entries are name, table, event",
            "line 1: the specification has no name: it needs one",
            "line 6: table own: find is the text \"index\", but find is either \"partition\"",
            "line 7: table own: column grade: it is 3, but has to be the name of a policy, { each",
            "line 7: table own: column tags: \"biggest\" is not a policy: use keep-target, max",
            "line 7: table own: the policy \"max\" does not fit column status of type map<text, int>",
            "line 7: table own: column user is part of the primary key",
            "line 8: table own: delete_source is the text \"yes\", neither true nor false",
            "line 12: table own: the account column user is of type blob; accounts can be of type text",
            "line 14: table led has no account: it needs one, as in account = \"userid\"",
            "line 16: table led: partitions_from names owm.course, but there is no [[table]] of that name",
            "line 18: table led: it is named twice; the other [[table]] is on line 14",
            "line 23: table led: kind: value is 1.5",
            "line 24: table led: course is a table, but a column of the partition key comes from",
            "line 25: table led: x: from: 'own' is not of the form table.column",
            "line 27: [event] has no value: it needs one",
            "line 28: [event]: there is no [[table]] named leb; there are: own, led, led",
            "line 29: [event]: '${account': a placeholder is not closed by '}'",
            "line 30: [event] has no entry \"when\"",
            "line 33: [event]: columns: grade has no entry \"else\"; its entries are else_min",
        ],
    );
}

/// Of a table that is not understood as a whole, the rest is looked at; what both tell is one fault.
#[test]
fn what_the_schema_tells_stands_beside_what_the_text_tells() {
    let text = "name = 's'\n[[table]]\nname = 'own'\nfind = 'index'\non_conflict = { tags = 'max', gone = 'max', kept = \
                'biggest' }\n[table.columns]\ntags = 'set<text>'\nn = 'int'\n[[table]]\nname = 'lost'\naccount = \
                'user'\nfind = 'partition'\n";
    let own = [("user", "text"), ("tags", "set<text>"), ("n", "text"), ("c", "counter")];
    let tables = [("own".to_owned(), TableSchema::keyed(1, &own))].into();
    let schema = Schema { keyspace: "k".into(), tables };
    let (spec, mut faults) = RawSpec::read(text, "a.toml");
    assert!(spec.hold_against(&schema, &mut faults).is_none());
    check_listed(
        &listed(&faults),
        &[
            "line 2: table own has no account",
            "line 3: table own: column c is a counter",
            "line 4: table own: find is the text \"index\"",
            "line 5: table own: column kept: \"biggest\" is not a policy",
            "line 5: table own: the policy \"max\" does not fit column tags of type set<text>",
            "line 5: table own has no column gone",
            "line 8: table own: column n is of type text, but the merge specification expects int",
            "line 10: keyspace k has no table lost",
        ],
    );
}

#[test]
fn what_is_no_toml_is_told_alone() {
    let found = faults("name = \n[[table]\nname = 't'\n");
    assert!(found.len() >= 2, "{found:#?}");
    assert!(found[0].starts_with("line 1: this is not TOML: "), "{found:#?}");
    assert!(found.iter().all(|fault| fault.contains("this is not TOML: ")), "{found:#?}");
}

#[test]
fn what_leads_nowhere_is_told() {
    let led =
        |find: &str| format!("{TABLE}[[table]]\nname = 'u'\naccount = 'user'\nfind = {find}\n");
    check(TABLE, &[]);
    check("name = 's'", &["line 1: it names no [[table]]"]);
    check("name = 's'\ntable = 3", &["line 2: table is 3: each table has a heading of its own"]);
    check(&led("{ partitions_from = 't.x' }"), &[]);
    check(
        &led("{ partitions_from = 't.user' }"),
        &["line 9: table u: partitions_from names t.user, which is the account"],
    );
    check(
        &led("{ partitions_from = 'u.x' }"),
        &["line 9: table u: what leads to it begins with itself"],
    );
    check(
        &led("{ partition = { a = { from = 't.x' }, b = { from = 'u.x' } } }"),
        &[
            "line 9: table u: find names t.x and u.x: what leads to a partition has to stand in rows of one table",
        ],
    );
    check(
        &led("{ partitions_from = 't.x', partition = {} }"),
        &["line 9: table u: find has the entries (partition, partitions_from), but find is either"],
    );
}

#[test]
fn what_an_event_quotes_is_told() {
    let event = |more: &str| {
        format!(
            "{TABLE}[[table]]\nname = 'u'\naccount = 'user'\nfind = {{ partitions_from = 't.x' }}\n[event]\n{more}\n\
             [event.value]\na = 1\n"
        )
    };
    check(&event("table = 'u'\nkey = '${x}'"), &[]);
    check(&event("table = 't'\nevery = true\nkey = '${x}'"), &[]);
    check(
        &event("table = 't'\nkey = '${x}'\ncolumns.c.else_min = 'u.c'"),
        &["line 13: [event]: else_min names u.c, but no other table leads to t"],
    );
    check(
        &event("table = 'u'\nevery = true\nkey = '${x}'"),
        &["line 12: [event]: every = true is for tables that are found by the account"],
    );
    check(
        &event("table = 'u'\nkey = '${x}'\ncolumns.c.else_min = 'u.c'"),
        &["line 13: [event]: else_min names u.c; it has to be a column of t"],
    );
}

#[test]
fn the_type_of_accounts_is_taken_from_the_text_where_it_says_it() {
    let spec = |more: &str| RawSpec::parse(&format!("{TABLE}{more}"), "a.toml").unwrap();
    assert!(!spec("").gives_account_type());
    assert_eq!(spec("").accounts(), AccountType::Text);
    let uuid = spec("[table.columns]\nuser = 'uuid'\n");
    assert!(uuid.gives_account_type());
    assert_eq!(uuid.accounts(), AccountType::Uuid);
    let mixed = format!(
        "{TABLE}columns = {{ user = 'uuid' }}\n[[table]]\nname = 'u'\naccount = 'user'\nfind = 'partition'\ncolumns.user \
         = 'int'\n"
    );
    check(
        &mixed,
        &["line 11: table u: its account column is of type int, but that of t is of type uuid"],
    );
}

#[test]
fn what_expires_either_does_so_or_does_not() {
    let of = |ttl: &str| RawSpec::parse(&format!("{TABLE}ttl = {ttl}\n"), "the test");
    assert!(of("'carry'").is_ok_and(|spec| spec.tables[0].carries_ttls == Some(6)));
    for wrong in ["'keep'", "60"] {
        let error = of(wrong).unwrap_err().to_string();
        assert!(error.contains("line 6: table t: ttl is "), "{error}");
    }
}
