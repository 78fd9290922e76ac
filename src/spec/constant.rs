//! Constants of a specification: a value of TOML as a value of a column's type.

use bytes::Bytes;
use num_bigint::BigInt;
use toml::Value;
use uuid::Uuid;

use crate::model::CqlType;

/// The value that a column of this type holds.
///
/// # Errors
/// It is no value of this type, or no type that a constant can be written for.
pub(super) fn of(cql_type: &CqlType, value: &Value) -> Result<Bytes, String> {
    let number = value.as_integer();
    let bytes = match cql_type {
        CqlType::Text => value.as_str().map(|text| text.as_bytes().to_vec()),
        CqlType::Ascii => {
            value.as_str().filter(|text| text.is_ascii()).map(|text| text.as_bytes().to_vec())
        }
        CqlType::TinyInt => number.and_then(|n| Some(i8::try_from(n).ok()?.to_be_bytes().to_vec())),
        CqlType::SmallInt => {
            number.and_then(|n| Some(i16::try_from(n).ok()?.to_be_bytes().to_vec()))
        }
        CqlType::Int => number.and_then(|n| Some(i32::try_from(n).ok()?.to_be_bytes().to_vec())),
        CqlType::BigInt => number.map(|n| n.to_be_bytes().to_vec()),
        CqlType::Varint => number.map(|n| BigInt::from(n).to_signed_bytes_be()),
        CqlType::Boolean => value.as_bool().map(|is| vec![u8::from(is)]),
        CqlType::Uuid | CqlType::TimeUuid => {
            value.as_str().and_then(|text| Some(Uuid::try_parse(text).ok()?.as_bytes().to_vec()))
        }
        other => return Err(format!("a constant of type {other} cannot be written here")),
    };
    bytes.map(Bytes::from).ok_or_else(|| format!("{value} is no value of type {cql_type}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cql_type: &CqlType, toml: &str, expected: Result<&[u8], &str>) {
        let table: toml::Table = toml::from_str(&format!("value = {toml}")).unwrap();
        let found = of(cql_type, &table["value"]);
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn constants_have_the_type_of_their_column() {
        check(&CqlType::Text, "'Course'", Ok(b"Course"));
        check(&CqlType::Int, "-2", Ok(&[255, 255, 255, 254]));
        check(&CqlType::Varint, "128", Ok(&[0, 128]));
        check(&CqlType::Boolean, "true", Ok(&[1]));
        check(&CqlType::Int, "'1'", Err("\"1\" is no value of type int"));
        check(&CqlType::TinyInt, "200", Err("200 is no value of type tinyint"));
        check(&CqlType::Ascii, "'é'", Err("\"é\" is no value of type ascii"));
        check(&CqlType::Uuid, "'x'", Err("\"x\" is no value of type uuid"));
        check(&CqlType::Blob, "'x'", Err("a constant of type blob cannot be written here"));
    }
}
