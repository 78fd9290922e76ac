use super::*;

fn check(on_conflict: &str) -> Result<Spec, Faults> {
    check_with(on_conflict, "int")
}

/// With a status of this type.
fn check_with(on_conflict: &str, status: &str) -> Result<Spec, Faults> {
    let text = format!(
        "name = 'test'\n[[table]]\nname = 'enrolments'\naccount = 'user'\nfind = 'partition'\n\
         on_conflict = {on_conflict}\n"
    );
    let columns = [("user", "text"), ("course", "text"), ("status", status)];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("enrolments".into(), table)].into() };
    RawSpec::parse(&text, "the test")?.check(&schema)
}

#[test]
fn every_column_with_a_policy_must_exist() {
    for policy in ["keep-target", "max"] {
        assert!(check(&format!("{{ status = '{policy}' }}")).is_ok());
        let error = check(&format!("{{ statsu = '{policy}' }}")).unwrap_err().to_string();
        assert!(
            error.starts_with("the test, line 6: table enrolments has no column statsu"),
            "{error}"
        );
    }
}

#[test]
fn to_keep_the_target_is_the_same_as_no_policy() {
    let kept = check("{ status = 'keep-target' }").unwrap();
    assert!(kept.tables[0].survivorship.is_empty());
    assert!(check("'keep-target'").unwrap().tables[0].survivorship.is_empty());
    assert_eq!(check("{ status = 'max' }").unwrap().tables[0].survivorship.len(), 1);
}

#[test]
fn what_cannot_be_replayed_or_told_apart_is_refused() {
    for cql_type in ["counter", "'org.apache.cassandra.db.marshal.DynamicCompositeType'"] {
        let error = check_with("'keep-target'", cql_type).unwrap_err().to_string();
        assert!(error.contains("column status is") && error.contains("not merged"), "{error}");
    }
    for cql_type in [
        "varint",
        "address",
        "\"Address\"",
        "frozen<address>",
        "frozen<list<int>>",
        "map<text, frozen<address>>",
        "set<uuid>",
        "list<frozen<map<text, text>>>",
        "frozen<tuple<int, text>>",
        "vector<float, 3>",
    ] {
        assert!(check_with("'keep-target'", cql_type).is_ok(), "{cql_type}");
    }
}

#[test]
fn collections_have_many_cells_unless_they_are_frozen() {
    let cells = |cql_type: &str| {
        let spec = check_with("'keep-target'", cql_type).unwrap();
        spec.tables[0].columns[2].is_multi_cell()
    };
    assert!(cells("address") && !cells("frozen<address>"));
    assert!(cells("map<text, int>") && cells("set<frozen<list<int>>>") && cells("list<int>"));
    assert!(!cells("frozen<list<int>>") && !cells("text") && !cells("vector<float, 3>"));
}
