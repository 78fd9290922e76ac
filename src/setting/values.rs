//! How values are written that several settings have.
//!
//! Each function takes text and returns the value, or what is wrong in words that continue "'abc' …".

use std::path::{self, PathBuf};
use std::time::Duration;

/// Any text.
///
/// # Errors
/// None.
pub(crate) fn any(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// On or off.
///
/// # Errors
/// It is neither.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "t" | "y" | "1" => Ok(true),
        "false" | "no" | "off" | "f" | "n" | "0" => Ok(false),
        _ => Err("is neither true nor false".to_owned()),
    }
}

/// A path as it stands there.
///
/// # Errors
/// None.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

/// The path of a file, wherever the command is run later.
///
/// # Errors
/// It is empty.
pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("is not a file".to_owned()),
        text => path::absolute(text).map_err(|error| format!("is not a path: {error}")),
    }
}

/// The hosts of `host:port,…`, each as it stands there.
///
/// # Errors
/// There is none.
pub(crate) fn hosts(text: &str) -> Result<Vec<&str>, String> {
    let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() { Err("names no host: use host:port,…".to_owned()) } else { Ok(items) }
}

/// A host with its port, which may be left out; an IPv6 address stands in brackets.
///
/// # Errors
/// It is no host, or no port.
pub(crate) fn with_port(host: &str, default: u16) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("is not host:port,… ({host}: {why})"));
    if host.contains("://") {
        return wrong("a scheme such as http:// does not belong there");
    }
    let (name, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return wrong("the closing bracket is missing"),
        Some(Some((address, rest))) => match rest.strip_prefix(':') {
            None if rest.is_empty() => (format!("[{address}]"), None),
            None => return wrong("after the bracket only :port can follow"),
            port => (format!("[{address}]"), port),
        },
        None => match host.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return wrong("an IPv6 address stands in brackets, as in [::1]:9042");
            }
            Some((name, port)) => (name.to_owned(), Some(port)),
            None => (host.to_owned(), None),
        },
    };
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains(['/', '=']) {
        return wrong("that is no host name");
    }
    match port.map(str::parse::<u16>) {
        None => Ok(format!("{name}:{default}")),
        Some(Ok(port)) if port > 0 => Ok(format!("{name}:{port}")),
        Some(_) => wrong("a port is a number from 1 to 65535"),
    }
}

/// The units of durations, in seconds; the longer of two that begin alike first.
const UNITS: [(&str, f64); 6] =
    [("ms", 0.001), ("min", 60.0), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// `500ms`, `2s`, `1h30m`: numbers with units, one after the other; or a number of seconds.
///
/// # Errors
/// It is none of these, or too long.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "is not a duration: use numbers with the units d, h, m, s and ms, as in 500ms or 1h30m, or a number of seconds"
            .to_owned()
    };
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].trim_start();
        let known = UNITS.iter().find(|(name, _)| unit.starts_with(name));
        let (name, of_unit) = match known {
            Some(known) => *known,
            None if digits == text.len() => ("", 1.0),
            None => return Err(wrong()),
        };
        seconds += number * of_unit;
        rest = &unit[name.len()..];
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| "is too long".to_owned())
}

/// A [`duration`] that is not nothing, with its unit: of hours or days, a mere number would be taken for something else.
///
/// # Errors
/// As of it, or it is nothing, or has no unit.
pub(crate) fn time_span(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("is no time at all".to_owned()),
        _ if !text.ends_with(|c: char| c.is_ascii_alphabetic()) => {
            Err("has no unit: one of d, h, m, s and ms".to_owned())
        }
        span => Ok(span),
    }
}

/// A whole number within bounds.
///
/// # Errors
/// It is none, or not within them.
pub(crate) fn count(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ if max == usize::MAX => Err(format!("is not a whole number from {min} on")),
        _ => Err(format!("is not a whole number from {min} to {max}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_said_in_many_words() {
        let switches = ["true", "Yes", "1", "off", "N"].map(|text| switch(text).unwrap());
        assert_eq!(switches, [true, true, true, false, false]);
        assert!(["", "maybe", "2"].iter().all(|text| switch(text).is_err()));
    }

    #[test]
    fn durations_add_up() {
        let all = [
            ("500ms", 500),
            ("2", 2_000),
            ("0.5s", 500),
            ("1min", 60_000),
            ("4h", 14_400_000),
            ("1d2h3m4s", 93_784_000),
            ("0h2s", 2_000),
            ("1.5 s", 1_500),
            ("1m5ms", 60_005),
        ];
        for (text, ms) in all {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "h", "-1s", "1h30", "4w", "4hé", "é", ".", "1..2s", "NaN", "inf"] {
            assert!(duration(text).unwrap_err().contains("1h30m"), "{text}");
        }
        assert_eq!(duration("9999999999999999999999d").unwrap_err(), "is too long");
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(time_span("0s").unwrap_err(), "is no time at all");
        assert_eq!(time_span("4").unwrap_err(), "has no unit: one of d, h, m, s and ms");
        assert_eq!(time_span("90d"), Ok(Duration::from_secs(90 * 86_400)));
    }

    #[test]
    fn counts_are_checked() {
        assert_eq!(count("1_000", 1, 2_000), Ok(1_000));
        assert_eq!(count("0", 1, 9).unwrap_err(), "is not a whole number from 1 to 9");
    }
}
