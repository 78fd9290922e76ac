//! Which ids are refused, doubted, or plain.

use proptest::prelude::*;

use super::*;

const UUID: &str = "4aa7f1c0-0000-4000-8000-00000000abcd";

/// The names of all rules that concern an id.
fn rules_as(of: AccountType, id: &str) -> Vec<&'static str> {
    let rules = Signs::of_text(of, id).rules();
    let found = super::super::RULES.iter().filter(|entry| rules & entry.rule.bit() != 0);
    found.map(|entry| entry.name).collect()
}

#[track_caller]
fn check(rule: &str, ids: &[&str]) {
    for id in ids {
        assert_eq!(rules_as(AccountType::Text, id), [rule], "{id:?}");
    }
}

#[track_caller]
fn plain(ids: &[&str]) {
    for id in ids {
        assert_eq!(rules_as(AccountType::Text, id), [""; 0], "{id:?}");
    }
}

#[test]
fn words_for_nothing_are_known_in_any_case_and_in_brackets() {
    check(
        "placeholder",
        &[
            "NULL",
            "null",
            "Null",
            "nUlL",
            "None",
            "none",
            "NONE",
            "nil",
            "undefined",
            "Undefined",
            "NaN",
            "nan",
            "-nan",
            "\\N",
            "\\n",
            "#N/A",
            "#n/a",
            "N/A",
            "n/a",
            "n.a.",
            "#REF!",
            "#VALUE!",
            "#DIV/0!",
            "#NAME?",
            "-",
            "--",
            "---",
            "\u{2013}",
            "\u{2014}",
            "?",
            ".",
            "...",
            "\\",
            "''",
            "\"\"",
            "[]",
            "{}",
            "()",
            "- -",
            "(null)",
            "<null>",
            "<NULL>",
            "[null]",
            "{null}",
            "(none)",
            "<nil>",
            "<NA>",
            "(empty)",
            "'NULL'",
            "\"null\"",
            "`null`",
            "('null')",
            "[object Object]",
            "DBNull",
            "NaT",
        ],
    );
    plain(&[
        "nullable",
        "nonesuch",
        "annul",
        "Null1",
        "null0",
        "nobody1",
        "nile",
        "nina",
        "N",
        "n",
        "Nan-Li",
        "undefined_user",
        "user-",
        "-user",
        "<b>",
        "_x",
        "null@example.org",
        "none.such",
        "(nan-li)",
    ]);
}

#[test]
fn numbers_of_spreadsheets_are_told_from_hexadecimal_ids() {
    check(
        "spreadsheet",
        &[
            "9.91214E+15",
            "9E+15",
            "9.91214e+15",
            "9,91214E+15",
            "-9.91214E+15",
            "1E+00",
            "0E+10",
            "1.2E+123",
            "'007",
            "'9.5",
            "\u{2019}007",
            "=\"007\"",
            "=007",
            "='7'",
        ],
    );
    plain(&[
        "12E45",
        "1E5",
        "9E15",
        "12E+45",
        "9.9.9E+15",
        "9E+1",
        "9E+1x",
        "9E+",
        "9.E+15",
        ".9E+15",
        "E+15",
        "99.1E+15",
        "a'007",
        "'tHooft",
        "O'Brien",
        "7'",
        "=a",
        "user+15",
        "1+1",
        "007",
    ]);
}

#[test]
fn what_nobody_sees_is_found_wherever_it_stands() {
    for c in [
        '\u{feff}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{ad}',
        '\u{0}',
        '\u{1}',
        '\u{7f}',
        '\u{85}',
        '\u{9f}',
        '\t',
        '\n',
        '\r',
        '\u{1b}',
        '\u{2060}',
        '\u{2028}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{e0041}',
        '\u{61c}',
        '\u{2800}',
    ] {
        for id in
            [format!("{c}u1"), format!("u{c}1"), format!("u1{c}"), format!("é{c}é"), c.to_string()]
        {
            assert!(rules_as(AccountType::Text, &id).contains(&"invalid-id"), "{id:?}");
        }
        let uuid = format!("{c}{UUID}");
        assert!(rules_as(AccountType::Uuid, &uuid).contains(&"invalid-id"), "{uuid:?}");
    }
    plain(&["é", "de\u{301}ja\u{300}-vu", "\u{1f600}", "名前", "\u{907}\u{938}", "a b", "a%20b"]);
}

#[test]
fn a_uuid_that_is_written_otherwise_is_doubted_where_accounts_are_text() {
    let upper = UUID.to_uppercase();
    let urn = format!("urn:uuid:{UUID}");
    check("uuid-spelling", &[&upper, &format!("{{{UUID}}}"), &format!("({UUID})"), &urn]);
    assert_eq!(rules_as(AccountType::Uuid, &upper), [""; 0]);
    plain(&[&UUID.replace('-', ""), &format!("x{UUID}"), &upper[1..], &format!("{{{upper}")]);
    check("placeholder", &[&format!("{{{}}}", "00000000-0000-0000-0000-000000000000")]);
    assert!(Signs::of_uuid(&[0; 16]).has(Rule::Placeholder));
    assert!(Signs::of_uuid(&[0xff; 16]).has(Rule::StandIn));
    let mut one = [0; 16];
    one[8] = 1;
    assert_eq!(Signs::of_uuid(&one).rules(), 0);
}

#[test]
fn what_may_be_meant_is_doubted_only() {
    check("stand-in", &["0", "-1", "guest", "Anonymous", "UNKNOWN", "NA", "true", "test"]);
    check(
        "reformatted",
        &["123.0", "7.00", "1,234", "12,345,678", "9.91214E15", "1-Mar", "MAR-01", "2-Sep-2024"],
    );
    check("quoted", &["'abc'", "\"abc\"", "`abc`", "b'abc'", "u'abc'"]);
    check(
        "look-alike",
        &["a\u{a0}b", "a\u{202f}b", "p\u{430}ul", "\u{391}nna", "\u{ff11}2", "a\u{fe0f}1"],
    );
    plain(
        &[
            "10",
            "1.2.0",
            "v1.0",
            "123.5",
            "12,34",
            "1,2345",
            "a,b",
            "mar",
            "1-2",
            "x-mar",
            "'abc",
            "abc'",
            "guest1",
            "паул",
            "\u{391}\u{3bd}\u{3bd}\u{3b1}",
            "9.1",
            "tester",
            "b'",
            "'",
        ]
        .into_iter()
        .filter(|id| *id != "'")
        .collect::<Vec<_>>(),
    );
    assert!(Signs::of_number("0").has(Rule::StandIn) && Signs::of_number("10").rules() == 0);
}

#[test]
fn shapes_are_told_apart() {
    for (id, shape) in [
        ("12345", Shape::Number),
        ("a@b.org", Shape::Mail),
        ("4aa7f1c0000040008000000000000abc", Shape::Hex),
        ("4aa7f1c0-0000-4000-8000-00000000ABCD", Shape::Uuid),
        ("bob", Shape::Other),
        ("1234567890123450", Shape::RoundedNumber),
        ("1234567890123456", Shape::LongNumber),
    ] {
        assert!(Signs::of_text(AccountType::Text, id).is(shape), "{id}");
    }
    let kept = Signs::of_text(AccountType::Text, "123456789012340");
    assert!(!kept.is(Shape::LongNumber) && !kept.is(Shape::RoundedNumber));
}

#[test]
fn what_is_shown_can_be_seen() {
    assert_eq!(escaped("\u{feff}a\u{0}\tb\né名\\"), "\\u{feff}a\\u{0}\\tb\\né名\\");
}

proptest! {
    /// No id of a usual form is refused, whatever it spells.
    #[test]
    fn usual_ids_are_let_pass(
        id in prop_oneof![
            "[a-z]{2}[0-9]{1,12}",
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}",
            "[0-9a-f]{32}",
            "[1-9][0-9]{0,18}",
            "[0-9][0-9A-F]{2,11}",
            "[a-z]{1,8}\\.[a-z]{3,8}@[a-z]{2,9}\\.org",
            "[A-Za-z0-9_-]{21}",
            "[0-9A-HJKMNP-TV-Z]{26}",
            "auth0\\|[0-9a-f]{24}",
        ],
    ) {
        let rules = Signs::of_text(AccountType::Text, &id).rules();
        prop_assert_eq!(super::super::Accepted::default().refuse(rules), 0, "{}", id);
    }

    /// Nothing at all is refused for what it is shown as: what is escaped can be seen.
    #[test]
    fn what_is_escaped_has_nothing_that_nobody_sees(text in "\\PC*|.*") {
        prop_assert!(!escaped(&text).chars().any(is_invisible));
    }
}
