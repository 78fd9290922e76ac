//! How Cassandra orders values of a type, on raw CQL bytes.
//!
//! Two users: policies that pick the higher or the lower of two values, and the merge-join, which must
//! follow the clustering order of the server exactly. The rules are those of the classes in
//! `org.apache.cassandra.db.marshal` (`Int32Type`, `DecimalType`, `TimeUUIDType`, …), each noted where
//! it is not the obvious one. An empty value (zero bytes, which Cassandra accepts for most types) comes
//! before every other value.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// An order on the values of one CQL type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Unsigned bytes, first difference wins: text, ascii, blob, boolean, date, inet.
    Bytes,
    /// Two's complement, big-endian, of a fixed width: tinyint to bigint, timestamp, time.
    Signed,
    /// `Float.compare` of Java: −0 before 0, NaN last.
    Float,
    /// `Double.compare` of Java.
    Double,
    /// Two's complement, big-endian, of any width.
    Varint,
    /// An `int` scale and a varint: by value, so that 1.0 equals 1.00.
    Decimal,
    /// Version first; version 1 by time, others by bytes (`UUIDType`).
    Uuid,
    /// By time, then by signed bytes (`TimeUUIDType`).
    TimeUuid,
}

impl Order {
    /// Compares two values of the type.
    pub(crate) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        if a.is_empty() || b.is_empty() {
            return b.is_empty().cmp(&a.is_empty());
        }
        match self {
            Self::Bytes => a.cmp(b),
            Self::Signed => signed(a, b),
            Self::Float => float(a, b),
            Self::Double => double(a, b),
            Self::Varint => BigInt::from_signed_bytes_be(a).cmp(&BigInt::from_signed_bytes_be(b)),
            Self::Decimal => decimal(a, b),
            Self::Uuid => uuid(a, b),
            Self::TimeUuid => time_uuid(a, b),
        }
    }
}

/// Same width: only the sign bit makes the difference to unsigned bytes.
fn signed(a: &[u8], b: &[u8]) -> Ordering {
    ((a[0] ^ 0x80), &a[1..]).cmp(&((b[0] ^ 0x80), &b[1..]))
}

fn float(a: &[u8], b: &[u8]) -> Ordering {
    match (<[u8; 4]>::try_from(a), <[u8; 4]>::try_from(b)) {
        (Ok(a), Ok(b)) => {
            let (a, b) = (f32::from_be_bytes(a), f32::from_be_bytes(b));
            a.is_nan().cmp(&b.is_nan()).then_with(|| nan_free(a.is_nan(), a.total_cmp(&b)))
        }
        _ => a.cmp(b),
    }
}

fn double(a: &[u8], b: &[u8]) -> Ordering {
    match (<[u8; 8]>::try_from(a), <[u8; 8]>::try_from(b)) {
        (Ok(a), Ok(b)) => {
            let (a, b) = (f64::from_be_bytes(a), f64::from_be_bytes(b));
            a.is_nan().cmp(&b.is_nan()).then_with(|| nan_free(a.is_nan(), a.total_cmp(&b)))
        }
        _ => a.cmp(b),
    }
}

/// All NaNs are one value to Java, whatever their bits.
fn nan_free(both_nan: bool, otherwise: Ordering) -> Ordering {
    if both_nan { Ordering::Equal } else { otherwise }
}

/// Compares by sign, then by magnitude (digits before the point), and only then by digits, so that a
/// scale of two billion costs nothing.
fn decimal(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((a_scale, a)), Some((b_scale, b))) = (decimal_parts(a), decimal_parts(b)) else {
        return a.cmp(b);
    };
    if a.sign() != b.sign() || a.sign() == Sign::NoSign {
        return a.sign().cmp(&b.sign());
    }
    let (a_digits, b_digits) = (a.magnitude().to_string(), b.magnitude().to_string());
    let a_point = a_digits.len() as i64 - i64::from(a_scale);
    let b_point = b_digits.len() as i64 - i64::from(b_scale);
    // With the point at the same digit, the digits compare as text once trailing zeros are gone.
    let magnitude = a_point
        .cmp(&b_point)
        .then_with(|| a_digits.trim_end_matches('0').cmp(b_digits.trim_end_matches('0')));
    if a.sign() == Sign::Minus { magnitude.reverse() } else { magnitude }
}

fn decimal_parts(value: &[u8]) -> Option<(i32, BigInt)> {
    let (scale, unscaled) = value.split_first_chunk::<4>()?;
    Some((i32::from_be_bytes(*scale), BigInt::from_signed_bytes_be(unscaled)))
}

fn uuid(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((a_high, a_low)), Some((b_high, b_low))) = (uuid_halves(a), uuid_halves(b)) else {
        return a.cmp(b);
    };
    let version = |high: u64| (high >> 12) & 0xf;
    version(a_high)
        .cmp(&version(b_high))
        .then_with(|| match version(a_high) {
            1 => uuid_time(a_high).cmp(&uuid_time(b_high)),
            _ => a_high.cmp(&b_high),
        })
        .then_with(|| a_low.cmp(&b_low))
}

fn time_uuid(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((a_high, a_low)), Some((b_high, b_low))) = (uuid_halves(a), uuid_halves(b)) else {
        return a.cmp(b);
    };
    // `signedBytesToNativeLong`: the low half compares as signed bytes, for compatibility with 2.x.
    let signed_bytes = |low: u64| (low ^ 0x0080_8080_8080_8080) as i64;
    uuid_time(a_high)
        .cmp(&uuid_time(b_high))
        .then_with(|| signed_bytes(a_low).cmp(&signed_bytes(b_low)))
}

fn uuid_halves(value: &[u8]) -> Option<(u64, u64)> {
    let (high, rest) = value.split_first_chunk::<8>()?;
    let low = <[u8; 8]>::try_from(rest).ok()?;
    Some((u64::from_be_bytes(*high), u64::from_be_bytes(low)))
}

/// The 60-bit time of a version 1 UUID, most significant bits first.
fn uuid_time(high: u64) -> u64 {
    ((high & 0x0fff) << 48) | ((high & 0xffff_0000) << 16) | (high >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_ascending(order: Order, values: &[Vec<u8>]) {
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(order.compare(a, b), i.cmp(&j), "{order:?} {a:?} {b:?}");
            }
        }
    }

    fn decimal_value(scale: i32, unscaled: i128) -> Vec<u8> {
        let mut value = scale.to_be_bytes().to_vec();
        value.extend(BigInt::from(unscaled).to_signed_bytes_be());
        value
    }

    #[test]
    fn integers_follow_their_sign() {
        let ints = [i32::MIN, -2, -1, 0, 1, 255, 256, i32::MAX];
        let mut values = vec![vec![]];
        values.extend(ints.iter().map(|v| v.to_be_bytes().to_vec()));
        check_ascending(Order::Signed, &values);
        let values: Vec<_> = [-129i64, -128, -1, 0, 1, 127, 128, 70_000]
            .iter()
            .map(|v| BigInt::from(*v).to_signed_bytes_be())
            .collect();
        check_ascending(Order::Varint, &values);
    }

    #[test]
    fn floats_follow_java() {
        let floats = [f32::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-30, 2.0, f32::INFINITY, f32::NAN];
        check_ascending(Order::Float, &floats.map(|v| v.to_be_bytes().to_vec()));
        let doubles = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN];
        check_ascending(Order::Double, &doubles.map(|v| v.to_be_bytes().to_vec()));
        let (nan, negative_nan) = (f64::NAN.to_be_bytes(), (-f64::NAN).to_be_bytes());
        assert_eq!(Order::Double.compare(&nan, &negative_nan), Ordering::Equal);
    }

    #[test]
    fn decimals_compare_by_value() {
        check_ascending(
            Order::Decimal,
            &[
                decimal_value(-2, -5),
                decimal_value(1, -15),
                decimal_value(i32::MAX, -1),
                decimal_value(0, 0),
                decimal_value(i32::MAX, 1),
                decimal_value(2, 99),
                decimal_value(0, 1),
                decimal_value(3, 1001),
                decimal_value(i32::MIN, 1),
            ],
        );
        let (short, long) = (decimal_value(1, 10), decimal_value(2, 100));
        assert_eq!(Order::Decimal.compare(&short, &long), Ordering::Equal);
        let (short, long) = (decimal_value(1, 0), decimal_value(2, 0));
        assert_eq!(Order::Decimal.compare(&short, &long), Ordering::Equal);
    }

    #[test]
    fn time_uuids_follow_their_time() {
        let at = |time: u64, low: u64| {
            let high = (time << 32) | (((time >> 32) & 0xffff) << 16) | 0x1000 | (time >> 48);
            [high.to_be_bytes(), low.to_be_bytes()].concat()
        };
        let values = [
            at(1, 0x8000_0000_0000_0000),
            at(1, 0x8000_0000_0000_007f),
            at(0xffff_ffff, 0x8000_0000_0000_0000),
            at(0x1_0000_0000, 0x8000_0000_0000_0000),
            at(0x1_0000_0000_0000, 0x8000_0000_0000_0000),
        ];
        check_ascending(Order::TimeUuid, &values);
        check_ascending(Order::Uuid, &values);
        // −128 comes before 127 as a signed byte, but after it as an unsigned one.
        let (minus, plus) = (at(1, 0x8000_0000_0000_0080), at(1, 0x8000_0000_0000_007f));
        assert_eq!(Order::TimeUuid.compare(&minus, &plus), Ordering::Less);
        assert_eq!(Order::Uuid.compare(&minus, &plus), Ordering::Greater);
    }
}
