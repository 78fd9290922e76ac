//! How single values are written on the command line, in the environment and in the file.
//!
//! Each function takes text and returns the value, or what is wrong in words that continue
//! "'abc' …".

use std::time::Duration;

use crate::cluster::Consistency;
use crate::pace::InFlight;
use crate::pipeline::{Discover, ErrorLimit};

use super::settings::LogFormat;

/// The port of Cassandra's CQL protocol.
const CQL_PORT: u16 = 9_042;

/// The longest time to settle.
const MAX_SETTLE: Duration = Duration::from_secs(60 * 60);

/// `host:port,…`; the port may be left out, and IPv6 addresses stand in brackets.
pub(super) fn hosts(text: &str) -> Result<Vec<String>, String> {
    list(text)?.into_iter().map(|host| with_port(host, CQL_PORT)).collect()
}

/// `host:port,…` as librdkafka takes it: the port may be left out.
pub(super) fn brokers(text: &str) -> Result<String, String> {
    let brokers = list(text)?;
    for broker in &brokers {
        with_port(broker.rsplit("://").next().unwrap_or(broker), 0)?;
    }
    Ok(brokers.join(","))
}

fn list(text: &str) -> Result<Vec<&str>, String> {
    let items: Vec<_> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() { Err("names no host: use host:port,…".to_owned()) } else { Ok(items) }
}

fn with_port(host: &str, default: u16) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("is not host:port,… ({host}: {why})"));
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
    if name.is_empty() || name.contains(char::is_whitespace) || name.contains('/') {
        return wrong("that is no host name");
    }
    match port.map(str::parse::<u16>) {
        None => Ok(format!("{name}:{default}")),
        Some(Ok(port)) if port > 0 => Ok(format!("{name}:{port}")),
        Some(_) => wrong("a port is a number from 1 to 65535"),
    }
}

/// A keyspace: letters, digits and underscores.
pub(super) fn keyspace(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text.to_owned())
    } else {
        Err("is not a keyspace: letters, digits and _ are allowed".to_owned())
    }
}

/// A topic, as Kafka allows them.
pub(super) fn topic(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty()
        || text.len() > 249
        || [".", ".."].contains(&text)
        || !text.chars().all(legal)
    {
        return Err(
            "is not a topic: up to 249 letters, digits, '.', '_' and '-' are allowed".into()
        );
    }
    Ok(text.to_owned())
}

/// A consistency level by its CQL name.
pub(super) fn consistency(text: &str) -> Result<Consistency, String> {
    let names = Consistency::NAMES.map(|(name, _)| name).join(", ");
    text.parse().map_err(|_| format!("is not a consistency level: use one of {names}"))
}

/// A way in which enrolments are found, by its name.
pub(super) fn discover(text: &str) -> Result<Discover, String> {
    let names = Discover::NAMES.map(|(name, _)| name).join(" or ");
    text.parse().map_err(|()| format!("is not a way to discover enrolments: use {names}"))
}

/// The format of log lines, by its name.
pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is not a format of log lines: use text or json".to_owned()),
    }
}

/// How much more to say.
pub(super) fn verbose(text: &str) -> Result<u8, String> {
    let level = count(text, 0, 2)?;
    Ok(u8::try_from(level).unwrap_or(u8::MAX))
}

/// One character that separates columns.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(*byte),
            [byte @ (b'\t' | b' ')] => Ok(*byte),
            _ => Err("is not a delimiter: use one character such as , ; | or the word tab".into()),
        },
    }
}

/// `2s`, `500ms`, `1m` or seconds.
pub(super) fn settle(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration > MAX_SETTLE { Err("is too long: at most 60m".to_owned()) } else { Ok(duration) }
}

/// The shortest and the longest time that a read may be asked to take.
const LATENCIES: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(60)];

/// `20ms`, or `none`. Without a unit it would be seconds, which nobody means here.
pub(super) fn max_latency(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    match duration(text) {
        Ok(long) if has_unit && (LATENCIES[0]..=LATENCIES[1]).contains(&long) => Ok(Some(long)),
        _ => {
            Err("is not a time for a read: use one from 1ms to 60s, with its unit, or none".into())
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "is not a duration: use 2s, 500ms, 1m or a number of seconds".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1_000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// A whole number within bounds.
pub(super) fn count(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ if max == usize::MAX => Err(format!("is not a whole number from {min} on")),
        _ => Err(format!("is not a whole number from {min} to {max}")),
    }
}

/// The fewest groups that a sample may have: fewer say next to nothing.
const SMALLEST_SAMPLE: usize = 10;

/// `all`, or `sample=N`: so many groups.
pub(super) fn inspect(text: &str) -> Result<Option<usize>, String> {
    match text.strip_prefix("sample=") {
        None if text == "all" => Ok(None),
        None => Err("is neither all nor sample=N".to_owned()),
        Some(groups) => {
            let groups = count(groups, SMALLEST_SAMPLE, usize::MAX);
            groups.map(Some).map_err(|wrong| format!("asks for a sample that {wrong}"))
        }
    }
}

/// A number of groups, or `all`.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => count(text, 1, usize::MAX).map_err(|wrong| format!("{wrong}, nor the word all")),
    }
}

/// The most groups at once: more would only fill the memory.
const MAX_IN_FLIGHT: usize = 65_536;

/// A number of groups, or `auto`.
pub(super) fn in_flight(text: &str) -> Result<InFlight, String> {
    match text.parse() {
        Ok(InFlight::Fixed(1..=MAX_IN_FLIGHT) | InFlight::Auto) => {
            text.parse().map_err(|()| String::new())
        }
        _ => Err(format!("is neither auto nor a whole number from 1 to {MAX_IN_FLIGHT}")),
    }
}

/// So many per second, or `none` for as many as there are.
pub(super) fn rate(text: &str) -> Result<Option<f64>, String> {
    match text.replace('_', "").parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(Some(rate)),
        _ if text == "none" => Ok(None),
        _ => Err("is not a rate: use a number of groups per second, from 0.001 on, or none".into()),
    }
}

/// `100` or `5%`.
pub(super) fn max_errors(text: &str) -> Result<ErrorLimit, String> {
    let wrong = || "is neither a number of groups nor a share from 0% to 100%".to_owned();
    match text.strip_suffix('%') {
        None => text.parse().map(ErrorLimit::Groups).map_err(|_| wrong()),
        Some(share) => match share.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(ErrorLimit::Percent(percent)),
            _ => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_port() {
        assert_eq!(
            hosts("db1, db2:9043,[::1],[fe80::1]:1,").unwrap(),
            ["db1:9042", "db2:9043", "[::1]:9042", "[fe80::1]:1"]
        );
        for wrong in
            ["", " , ", "db1:", "db1:0", "db1:99999", "::1", "[::1", "[::1]9", "a b:1", "h/x"]
        {
            hosts(wrong).unwrap_err();
        }
        assert_eq!(brokers("k1, SSL://k2:9093").unwrap(), "k1,SSL://k2:9093");
        brokers("k1:x").unwrap_err();
    }

    #[test]
    fn durations_have_units() {
        let ms = ["2s", "500ms", "1m", "3", "0.5", "1.5 s", "0", "60m"].map(|t| settle(t).unwrap());
        assert_eq!(
            ms.map(|d| d.as_millis()),
            [2_000, 500, 60_000, 3_000, 500, 1_500, 0, 3_600_000]
        );
        for wrong in ["", "s", "2h", "-1s", "2 weeks", "NaN", "inf", "61m", "1e400", "2sé"] {
            settle(wrong).unwrap_err();
        }
    }

    #[test]
    fn delimiters_can_be_named() {
        assert_eq!(
            [",", ";", "tab", "\\t", "\t", "|"].map(|t| delimiter(t).unwrap()),
            *b",;\t\t\t|"
        );
        for wrong in ["", "\"", ";;", "a", "\n", "é"] {
            delimiter(wrong).unwrap_err();
        }
    }

    #[test]
    fn error_limits_are_numbers_or_shares() {
        assert_eq!(max_errors("0").unwrap(), ErrorLimit::Groups(0));
        assert_eq!(max_errors("2.5%").unwrap(), ErrorLimit::Percent(2.5));
        for wrong in ["", "%", "-1", "101%", "1.5", "NaN%"] {
            max_errors(wrong).unwrap_err();
        }
    }

    #[test]
    fn names_and_counts_are_checked() {
        assert_eq!(count("1_000", 1, 2_000), Ok(1_000));
        assert_eq!(count("0", 1, 9).unwrap_err(), "is not a whole number from 1 to 9");
        assert_eq!((limit("7"), limit("all")), (Ok(7), Ok(usize::MAX)));
        assert!(limit("0").unwrap_err().ends_with("from 1 on, nor the word all"));
        let rates = ["0.5", "1_000", "none"].map(|text| rate(text).unwrap());
        assert_eq!(rates, [Some(0.5), Some(1_000.0), None]);
        assert!(["0", "-1", "inf", "NaN", "fast"].iter().all(|text| rate(text).is_err()));
        assert_eq!((inspect("all"), inspect("sample=1_000")), (Ok(None), Ok(Some(1_000))));
        assert!(
            ["sample", "sample=", "sample=9", "pairs.csv", ""].iter().all(|t| inspect(t).is_err())
        );
        let latencies = ["20ms", "1.5s", "none"].map(|text| max_latency(text).unwrap());
        assert_eq!(
            latencies.map(|long| long.map(|long| long.as_millis())),
            [Some(20), Some(1_500), None]
        );
        assert!(["20", "0ms", "2m", "quick", ""].iter().all(|text| max_latency(text).is_err()));
        keyspace("k-1").unwrap_err();
        topic("a b").unwrap_err();
        assert_eq!(consistency("quorum").unwrap(), Consistency::Quorum);
        assert!(consistency("most").unwrap_err().contains("LOCAL_QUORUM"));
        assert_eq!(discover("scan"), Ok(Discover::Scan));
        assert!(discover("all").unwrap_err().ends_with("use content or scan"));
    }
}
