//! Numbers, durations and tables as people read them in a terminal of 80 columns.

use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What everything is made to fit in.
pub(super) const COLUMNS: usize = 80;

/// A space at which no line is broken.
pub(super) const NO_BREAK: &str = "\u{a0}";

/// The width of the labels at the left.
const LABEL: usize = 12;

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

/// `1 group`, `2 groups`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A part of a whole: `98.7%`; `100%` is nothing but the whole, and `0%` nothing.
pub(super) fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent > 99.95 && part < 1.0 => "99.9%".to_owned(),
        percent if percent < 0.05 && part > 0.0 => "0.1%".to_owned(),
        percent if percent.fract() == 0.0 => format!("{percent:.0}%"),
        percent => format!("{percent:.1}%"),
    }
}

/// A rate: whole numbers from 10 on.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.1}") } else { count(per_second.round() as u64) }
}

/// `812 ms`, `12.3 s`, `3 min 12 s`, `2 h 03 min`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_millis() as f64 / 1_000.0),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", count(seconds / 3_600), seconds % 3_600 / 60),
    }
}

/// `812 bytes`, `1.4 MB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return counted(bytes, "byte");
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

/// A latency with three digits in the unit that suits it; units are padded so that they stand below
/// each other.
pub(super) fn latency(us: u64) -> String {
    let (value, unit) = match us {
        0..1_000 => return format!("{us} µs"),
        1_000..1_000_000 => (us as f64 / 1_000.0, "ms"),
        _ => (us as f64 / 1_000_000.0, "s "),
    };
    // The limits are where rounding would show a fourth digit.
    match value {
        ..9.995 => format!("{value:.2} {unit}"),
        ..99.95 => format!("{value:.1} {unit}"),
        ..999.5 => format!("{value:.0} {unit}"),
        _ if unit == "ms" => "1.00 s ".to_owned(),
        _ => format!("{} {unit}", count(value.round() as u64)),
    }
}

/// A table: the first column to the left, the others to the right. The first is cut where the table
/// would not fit.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    const GAP: usize = 2;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|c| width(c)).max())
        .map(|widest| widest.unwrap_or(0))
        .collect();
    let others: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
    if let Some(first) = widths.first_mut() {
        *first = (*first).min(COLUMNS.saturating_sub(others).max(8));
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &wide)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => line.push_str(&pad_end(&cut_end(cell, wide), wide)),
                _ => line.push_str(&format!("{:1$}{cell}", "", GAP + wide - width(cell))),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A label and its text, broken between words and indented below itself.
pub(super) fn labelled(label: &str, text: &str) -> String {
    wrapped(&pad_end(label, LABEL), &" ".repeat(LABEL), text)
}

/// Text without a label.
pub(super) fn paragraph(text: &str) -> String {
    wrapped("", "", text)
}

/// Where all of it, and more, can be looked at.
pub(super) fn shown_in_browser(page: &str) -> String {
    paragraph(&format!("{page} shows this and more in a browser."))
}

/// Text of others as it may go to a terminal: what is not printable is escaped.
pub(super) fn printable(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    // Quotes do no harm.
    escaped.replace("\\'", "'").replace("\\\"", "\"")
}

/// Text after what stands in front of its first line and of the lines below. A word that does not
/// fit on a line is cut.
fn wrapped(first: &str, indent: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split(' ') {
        let word = &cut_end(word, COLUMNS - width(indent).max(width(first)));
        if begun && width(&line) + 1 + width(word) > COLUMNS {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = indent.to_owned();
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    (lines + line.trim_end() + "\n").replace(NO_BREAK, " ")
}

/// At most `wide` columns; what is cut is at the end.
pub(super) fn cut_end(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    fitting(text.chars(), wide).into_iter().chain(['…']).collect()
}

/// At most `wide` columns; what is cut is at the start, as suits a path.
pub(super) fn cut_start(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    let kept = fitting(text.chars().rev(), wide);
    ['…'].into_iter().chain(kept.into_iter().rev()).collect()
}

/// The first characters that leave one of `wide` columns free.
fn fitting(chars: impl Iterator<Item = char>, wide: usize) -> Vec<char> {
    let mut left = wide.saturating_sub(1);
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or_default()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    chars.take_while(fits).collect()
}

/// Text with spaces behind it, up to so many columns.
pub(super) fn pad_end(text: &str, wide: usize) -> String {
    format!("{text}{:1$}", "", wide.saturating_sub(width(text)))
}

/// The columns of a terminal that text takes: ideographs take two, combining marks none.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        let shown = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.04, 9.94, 10.4, 23_456.7].map(rate), ["0.0", "9.9", "10", "23,457"]);
        let parts = [0.0, 1e-9, 0.25, 0.1234, 0.999_999, 1.0].map(percent);
        assert_eq!(parts, ["0%", "0.1%", "25%", "12.3%", "99.9%", "100%"]);
        assert_eq!([counted(1, "line"), counted(2, "line")], ["1 line", "2 lines"]);
    }

    #[test]
    fn durations_and_sizes_have_the_unit_that_suits_them() {
        let shown = [12, 1_500, 59_900, 192_000, 7_380_000].map(Duration::from_millis);
        assert_eq!(shown.map(duration), ["12 ms", "1.5 s", "59.9 s", "3 min 12 s", "2 h 03 min"]);
        assert_eq!(
            [1, 999, 1_400, 999_999, 12_345_678_901].map(bytes),
            ["1 byte", "999 bytes", "1.4 kB", "1.0 MB", "12.3 GB"]
        );
        assert_eq!(
            [0, 999, 1_234, 9_996, 99_949, 999_499, 999_500, 1_020_000, 65_200_000].map(latency),
            [
                "0 µs", "999 µs", "1.23 ms", "10.0 ms", "99.9 ms", "999 ms", "1.00 s ", "1.02 s ",
                "65.2 s "
            ]
        );
        assert_eq!(latency(1_234_400_000), "1,234 s ");
    }

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        assert_eq!(
            printable("it's \"é\" \u{1b}[2J\r\n\u{202e}\\'"),
            r#"it's "é" \u{1b}[2J\r\n\u{202e}\\'"#
        );
    }

    #[test]
    fn text_is_wrapped_and_cut() {
        let text =
            "1,000,000 = 3 blank + 12 rejected + 40 duplicates + 999,945 pairs and then some";
        assert_eq!(
            labelled("Input", text),
            "Input       1,000,000 = 3 blank + 12 rejected + 40 duplicates + 999,945 pairs\n\
             \x20           and then some\n"
        );
        for line in labelled("Why", &format!("{} of {}", "x".repeat(1_000), "y".repeat(90))).lines()
        {
            assert!(width(line) <= COLUMNS, "{line}");
        }
        assert_eq!(cut_start("/a/long/path.csv", 9), "…path.csv");
        assert_eq!(cut_end("a long reason", 7), "a long…");
        // Ideographs take two columns, combining marks none.
        assert_eq!(cut_end("漢字漢字", 6), "漢字…");
        assert_eq!(cut_start("漢字漢字", 6), "…漢字");
        assert_eq!(cut_end("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
        let wide = [vec!["漢字".into(), "字".into()], vec!["abcd".into(), "12".into()]];
        assert_eq!(table(&wide), "漢字  字\nabcd  12\n");
        let rows = [vec!["x".repeat(90), "1".into()], vec!["y".into(), "1,000".into()]];
        for line in table(&rows).lines() {
            assert_eq!(width(line), COLUMNS, "{line}");
        }
    }
}
