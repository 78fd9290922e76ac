//! Values of all types as CQL writes them. Each type has few of them, in the order in which Cassandra has them, so that
//! which of two is higher is told by where they stand, without any code that compares values.

use scylla::value::CqlValue;

/// The values of a type, in ascending order where the type has one that policies go by.
pub(super) fn pool(of: &str) -> &'static [&'static str] {
    match of {
        "text" => &["''", "'A'", "'a'", "'a''b'", "'ünï'", "'東'"],
        "ascii" => &["''", "'A'", "'a'", "'a''b'"],
        "tinyint" => &["-128", "-1", "0", "100", "127"],
        "smallint" => &["-32768", "-1", "0", "7", "32767"],
        "int" => &["-2147483648", "-1", "0", "7", "2147483647"],
        "bigint" => &["-9223372036854775808", "-3000000000", "0", "1", "9223372036854775807"],
        "varint" => &["-1180591620717411303424", "-1", "0", "255", "1237940039285380274899124224"],
        "decimal" => &["-15E-1", "0E0", "10E-1", "25E9"],
        "float" => &["-1.5", "-0.0", "0.0", "2.5", "NaN"],
        "double" => &["-1.5", "-0.0", "0.0", "2.5", "NaN"],
        "boolean" => &["false", "true"],
        "timestamp" => &["-86400000", "0", "1000", "1700000000000"],
        "date" => &["2147483000", "2147483648", "2147503648"],
        "time" => &["0", "1", "86399999999999"],
        "blob" => &["0x00", "0x01ff", "0x80", "0xff"],
        "timeuuid" => &[
            "13814000-1dd2-11b2-8080-808080808080",
            "50554d6e-29bb-11e5-8888-000000000001",
            "50554d6e-29bb-11ee-b345-000000000001",
        ],
        // Without an order that policies go by.
        "uuid" => &[
            "50554d6e-29bb-11e5-b345-feff819cdc9f",
            "13814000-1dd2-11b2-8080-808080808080",
            "2b4e6cd4-0000-4000-8000-000000000000",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        ],
        "inet" => &["'::1'", "'10.0.0.1'", "'200.0.0.1'", "'fe80::1'"],
        "duration" => &["1mo2d3ns", "0mo5d7ns"],
        "frozen<list<int>>" => &["[]", "[1]", "[1, 1]", "[2]"],
        "frozen<set<text>>" => &["{}", "{'a', 'b'}", "{'c'}"],
        "frozen<map<text, int>>" => &["{}", "{'a': 1}", "{'a': 1, 'b': 2}"],
        "frozen<tuple<int, text>>" => &["(1, 'x')", "(1, 'y')", "(2, '')"],
        "frozen<pair>" => &["{a: 1}", "{a: 1, b: 'x'}", "{b: 'y'}"],
        other => panic!("no values of type {other}"),
    }
}

/// Dates that are text; the first one is none, and the second and third are one moment.
pub(super) const DATES: [&str; 5] = [
    "'no date'",
    "'2019-01-01 00:00:00:000+0000'",
    "'2019-01-01 02:00:00:000+0200'",
    "'2018-12-31 23:00:00:001-0200'",
    "'2020-06-01 00:00:00:000+0000'",
];

/// The higher, the later; what is alike is the same number.
pub(super) fn rank(of: &str, value: &str) -> usize {
    let in_pool = || pool(of).iter().position(|known| *known == value);
    in_pool().unwrap_or_else(|| panic!("{value} is not among the values of {of}"))
}

pub(super) fn rank_of_date(value: &str) -> usize {
    let at = DATES.iter().position(|known| *known == value);
    at.map_or_else(
        || panic!("{value} is not among the dates"),
        |at| if at < 2 { at } else { at - 1 },
    )
}

/// Types of which one value is higher than another.
pub(super) const ORDERED: &[&str] = &[
    "text",
    "ascii",
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "varint",
    "decimal",
    "float",
    "double",
    "boolean",
    "timestamp",
    "date",
    "time",
    "timeuuid",
];
/// Whole numbers, of which the last has no highest value.
pub(super) const NUMBERS: &[&str] = &["tinyint", "smallint", "int", "bigint", "varint"];
/// What else a clustering column can be of.
pub(super) const UNORDERED: &[&str] = &["blob", "uuid", "inet"];
pub(super) const FROZEN: &[&str] = &[
    "frozen<list<int>>",
    "frozen<set<text>>",
    "frozen<map<text, int>>",
    "frozen<tuple<int, text>>",
    "frozen<pair>",
];

/// The fields of the type `pair`, with their types.
pub(super) const FIELDS: [(&str, &str); 2] = [("a", "int"), ("b", "text")];

/// The sum as the type holds it.
pub(super) fn sum(of: &str, one: &str, other: &str) -> String {
    let number = |value: &str| value.parse::<i128>().expect("a number");
    let total = number(one) + number(other);
    let within = |bits: u32| total.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
    let total = match of {
        "tinyint" => within(8),
        "smallint" => within(16),
        "int" => within(32),
        "bigint" => within(64),
        _ => total,
    };
    total.to_string()
}

pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value that was read.
pub(super) fn literal(value: &CqlValue) -> String {
    let listed = |values: &[CqlValue]| values.iter().map(literal).collect::<Vec<_>>().join(", ");
    match value {
        CqlValue::Text(text) | CqlValue::Ascii(text) => quote(text),
        CqlValue::TinyInt(number) => number.to_string(),
        CqlValue::SmallInt(number) => number.to_string(),
        CqlValue::Int(number) => number.to_string(),
        CqlValue::BigInt(number) => number.to_string(),
        CqlValue::Varint(number) => wide(number.as_signed_bytes_be_slice()).to_string(),
        CqlValue::Decimal(number) => {
            let (digits, scale) = number.as_signed_be_bytes_slice_and_exponent();
            format!("{}E{}", wide(digits), -scale)
        }
        CqlValue::Float(number) => format!("{number:?}"),
        CqlValue::Double(number) => format!("{number:?}"),
        CqlValue::Boolean(is) => is.to_string(),
        CqlValue::Timestamp(time) => time.0.to_string(),
        CqlValue::Date(date) => date.0.to_string(),
        CqlValue::Time(time) => time.0.to_string(),
        CqlValue::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{digits}")
        }
        CqlValue::Uuid(uuid) => uuid.to_string(),
        CqlValue::Timeuuid(uuid) => uuid.to_string(),
        CqlValue::Inet(address) => quote(&address.to_string()),
        CqlValue::Duration(of) => format!("{}mo{}d{}ns", of.months, of.days, of.nanoseconds),
        CqlValue::List(values) => format!("[{}]", listed(values)),
        CqlValue::Set(values) => format!("{{{}}}", listed(values)),
        CqlValue::Map(entries) => {
            let entry = |(key, value)| format!("{}: {}", literal(key), literal(value));
            let entries = entries.iter().map(|(key, value)| entry((key, value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        CqlValue::Tuple(values) => {
            let values = values.iter().map(|value| value.as_ref().map_or("null".into(), literal));
            format!("({})", values.collect::<Vec<_>>().join(", "))
        }
        CqlValue::UserDefinedType { fields, .. } => {
            let fields = fields
                .iter()
                .filter_map(|(name, value)| Some(format!("{name}: {}", literal(value.as_ref()?))));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        other => panic!("a value of another type: {other:?}"),
    }
}

/// A number of at most 16 bytes.
fn wide(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    i128::from_be_bytes(wide)
}
