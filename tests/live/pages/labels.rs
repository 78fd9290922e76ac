//! What a page shows of an output, compared with an output: by its labels, for figures differ from run to run.

/// Units that a figure may have, and what they are all taken for.
const UNITS: [(&str, &str); 7] =
    [("ms", "s"), ("µs", "s"), ("B", "B"), ("kB", "B"), ("MB", "B"), ("GB", "B"), ("MiB", "B")];

/// A figure, whatever it is.
const FIGURE: char = '#';

/// What stands for text that was left out.
const LEFT_OUT: char = '…';

/// Every line that is shown must be in the output, in order and word by word. Where lines are broken differs.
#[track_caller]
pub(super) fn assert_shown<'t>(shown: impl IntoIterator<Item = &'t str>, output: &str) {
    let words = words(output);
    let mut rest = &words[..];
    for line in shown {
        let label = self::words(line);
        let found = rest.windows(label.len()).position(|window| {
            window.iter().zip(&label).all(|(word, shown)| is_shown_as(word, shown))
        });
        let found =
            found.unwrap_or_else(|| panic!("the page shows:\n{line}\nwhich is not in:\n{output}"));
        rest = &rest[found + label.len()..];
    }
}

/// Whether a page may show this word so.
fn is_shown_as(word: &str, shown: &str) -> bool {
    match shown.strip_suffix(LEFT_OUT) {
        // What is left of it is a part of something that differs.
        Some(part) => word.starts_with(part.rsplit_once('=').map_or(part, |(name, _)| name)),
        None => word == shown,
    }
}

/// The words of a text, all figures alike. What is left out at the end of a line leaves no comma there.
fn words(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(|word| without_figures(word.trim_end_matches(',')));
    let mut words: Vec<String> = words.collect();
    // A unit may stand apart from its figure.
    for at in 1..words.len() {
        if words[at - 1].ends_with(FIGURE) {
            words[at] = with_common_unit(&words[at]);
        }
    }
    words
}

/// `2026-11-29T00:53:32Z` → `#-#-#T#Z`, `1,105/s` → `#/s`, `3.8MB,` → `#B,`.
fn without_figures(word: &str) -> String {
    let mut shown = String::new();
    let mut rest = word;
    while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
        let figure = &rest[begin..];
        let is_of_figure = |c: char| c.is_ascii_digit() || ",.:".contains(c);
        let end = figure.find(|c| !is_of_figure(c)).unwrap_or(figure.len());
        // Signs at its end are of the sentence.
        let end = figure[..end].trim_end_matches([',', '.', ':']).len();
        shown += &rest[..begin];
        shown.push(FIGURE);
        rest = &figure[end..];
        let unit = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        shown += &with_common_unit(&rest[..unit]);
        rest = &rest[unit..];
    }
    shown + rest
}

/// A word, perhaps with signs behind it, that may be a unit.
fn with_common_unit(word: &str) -> String {
    let letters = word.trim_end_matches([',', '.', ':', ';', ')']);
    let common = UNITS.iter().find(|(unit, _)| *unit == letters);
    common.map_or(word.to_owned(), |(_, common)| format!("{common}{}", &word[letters.len()..]))
}

#[test]
fn figures_may_differ_and_labels_may_not() {
    let output = "2026-11-29T05:22:42.556Z  INFO 12/120 groups, 5/s, 9 under way, 3 requests, 740.4 kB, oldest 1.1 s\n\
                  apply 20261129T052234Z-d166: finished in 896 ms\nInput       a.csv, 1.5 MB: 3 =\n   2 + 1\n\
                  live page: http://127.0.0.1:8088/#token=ab12\n";
    let shown = |lines: &[&str]| {
        let (lines, output) = (lines.join("\n"), output.to_owned());
        std::panic::catch_unwind(move || assert_shown(lines.lines(), &output)).is_ok()
    };
    assert!(shown(&[
        "2026-01-01T00:00:01Z  INFO 1234/20077 groups, 1,105/s, 512 under way, 16 requests"
    ]));
    assert!(shown(&["finished in 20.8 s", "Input  a.csv, 12 kB: 4 = 2 + 2"]));
    assert!(shown(&["live page: http://127.0.0.1:1/#token=9f0c…"]));
    for wrong in [
        &["Output  a.csv"][..],
        &["Input  b.csv"],
        &["12/120 group"],
        // The other way round.
        &["Input a.csv", "finished in 20.8 s"],
        &["live pages: http://127.0.0.1:1/#token=9f0c…"],
        &["http://127.0.0.1:1/#word=9f0c…"],
    ] {
        assert!(!shown(wrong), "{wrong:?}");
    }
}
