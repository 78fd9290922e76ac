//! Numbers as people read them: the only place that formats one.

use std::time::Duration;

use serde_json::Value;

use crate::moment::Moment;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Things.
    Count(u64),
    /// The line of a file: a name, so it has no separators.
    Line(u64),
    Bytes(u64),
    /// A latency in microseconds.
    Micros(u64),
    /// A duration in seconds.
    Seconds(f64),
    /// A number that is not whole, with so many digits behind its point.
    Decimal(f64, usize),
    /// A part of a whole.
    Part(f64),
}

impl Number {
    /// As people read it.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Count(n) => count(n),
            Self::Line(n) => n.to_string(),
            Self::Bytes(n) => bytes(n),
            Self::Micros(us) => latency(us),
            Self::Seconds(s) => duration(s),
            Self::Decimal(n, digits) => decimal(n, digits),
            Self::Part(part) => percent(part),
        }
    }

    /// A whole number where it is one, so that no program reads `12.0`.
    pub(super) fn json(self) -> Value {
        match self {
            Self::Count(n) | Self::Line(n) | Self::Bytes(n) | Self::Micros(n) => n.into(),
            Self::Seconds(n) | Self::Decimal(n, _) | Self::Part(n) => n.into(),
        }
    }

    /// As programs read it on a page.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::Count(n) | Self::Line(n) | Self::Bytes(n) | Self::Micros(n) => n as f64,
            Self::Seconds(n) | Self::Decimal(n, _) | Self::Part(n) => n,
        }
    }
}

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1,234.50`.
fn decimal(n: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", n.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), count);
    let is_below_zero = n < 0.0 && text.contains(|digit: char| ('1'..='9').contains(&digit));
    let sign = if is_below_zero { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// The word for so many: that for one, or that for several.
pub(super) fn plural(n: u64, [one, several]: [&'static str; 2]) -> &'static str {
    if n == 1 { one } else { several }
}

/// `98.7%`; `100%` is nothing but the whole, and `0%` nothing.
fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent > 99.95 && part < 1.0 => "99.9%".to_owned(),
        percent if percent < 0.05 && part > 0.0 => "0.1%".to_owned(),
        percent if percent.fract() == 0.0 => format!("{percent:.0}%"),
        percent => format!("{percent:.1}%"),
    }
}

/// `812 ms`, `12.3 s`, `3 min 12 s`, `2 h 03 min`, `10 d 00 h`.
fn duration(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_millis() as f64 / 1_000.0),
        whole @ 60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        whole @ 3_600..172_800 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        whole => format!("{} d {:02} h", count(whole / 86_400), whole % 86_400 / 3_600),
    }
}

/// `812 bytes`, `1.4 MB`.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let mut value = bytes as f64 / 1_000.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 999.95 && units.len() > 0 {
        value /= 1_000.0;
        unit = units.next();
    }
    format!("{value:.1} {}", unit.unwrap_or(&""))
}

/// A latency with three digits in the unit that suits it.
pub(super) fn latency(us: u64) -> String {
    let (value, unit) = match us {
        0..1_000 => return format!("{us} µs"),
        1_000..1_000_000 => (us as f64 / 1_000.0, "ms"),
        _ => (us as f64 / 1_000_000.0, "s"),
    };
    // The limits are where rounding would show a fourth digit.
    match value {
        ..9.995 => format!("{value:.2} {unit}"),
        ..99.95 => format!("{value:.1} {unit}"),
        ..999.5 => format!("{value:.0} {unit}"),
        _ if unit == "ms" => "1.00 s".to_owned(),
        _ => format!("{} {unit}", count(value.round() as u64)),
    }
}

/// A point in time, to the second.
pub(super) fn moment(moment: Moment) -> String {
    let text = moment.to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    seconds.replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<const N: usize, T>(numbers: [T; N], of: fn(T) -> Number) -> [String; N] {
        numbers.map(|number| of(number).shown())
    }

    #[test]
    fn numbers_have_the_unit_that_suits_them() {
        let counts = all([0, 999, 1_000, 1_234_567], Number::Count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(all([12_345], Number::Line), ["12345"]);
        let of = |digits, numbers: [f64; 4]| numbers.map(|n| Number::Decimal(n, digits).shown());
        assert_eq!(of(0, [0.4, 9.94, 999.5, 23_456.7]), ["0", "10", "1,000", "23,457"]);
        assert_eq!(
            of(2, [10.25, -0.001, -1_234.5, f64::NAN]),
            ["10.25", "0.00", "-1,234.50", "NaN"]
        );
        let parts = all([0.0, 1e-9, 0.25, 0.1234, 0.999_999, 1.0], Number::Part);
        assert_eq!(parts, ["0%", "0.1%", "25%", "12.3%", "99.9%", "100%"]);
        let durations = all([0.012, 1.5, 59.9, 192.0, 7_380.0, 864e3, f64::NAN], Number::Seconds);
        let shown = ["12 ms", "1.5 s", "59.9 s", "3 min 12 s", "2 h 03 min", "10 d 00 h", "0 ms"];
        assert_eq!(durations, shown);
        let sizes = all([1, 999, 1_400, 999_999, 12_345_678_901], Number::Bytes);
        assert_eq!(sizes, ["1 byte", "999 bytes", "1.4 kB", "1.0 MB", "12.3 GB"]);
        let times = [0, 999, 1_234, 9_996, 99_949, 999_499, 999_500, 65_200_000, 1_234_400_000];
        assert_eq!(
            all(times, Number::Micros),
            [
                "0 µs", "999 µs", "1.23 ms", "10.0 ms", "99.9 ms", "999 ms", "1.00 s", "65.2 s",
                "1,234 s"
            ]
        );
    }
}
