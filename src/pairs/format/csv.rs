//! CSV: a header that names the columns, and a record per pair.
//!
//! `header` finds the columns, `record` the records.

mod header;
mod record;

use std::sync::Arc;

pub(in crate::pairs) use header::OWN_NAMES;
pub(in crate::pairs) use record::BOM;

use super::{Content, Form, Format, FormatKind, ListFormat, Malformed, Opened, Record, Records};
use crate::pairs::reason::Heading;
use crate::setting::Command::{Apply, Plan, Undo};
use crate::setting::{Setting, ValueKind, settings, text};
use header::Header;
use record::Scanner;

pub(super) static KIND: FormatKind = FormatKind {
    about: "CSV: a line per pair behind a header that names the columns (`--from-column`, `--to-column`, `--delimiter`). \
            More columns that the header names, CRLF and a first line `sep=;` are fine",
    mend: "look whether the delimiter is right; quote what holds one; Latin-1 becomes UTF-8 by: iconv -f WINDOWS-1252 -t UTF-8",
    settings: CSV,
    of: |layers| Ok(Arc::new(CsvFormat { delimiter: layers.get(&DELIMITER)? })),
};

/// Why a line is no record of a CSV.
impl Malformed {
    /// It ends before the columns that are needed.
    const MISSING_COLUMN: Self = Self(&"the line has too few columns");
    /// It goes on behind the columns of the header, so that a delimiter may stand within a field.
    const SURPLUS_COLUMN: Self = Self(&"the line has more columns than the header");
    const BARE_QUOTE: Self = Self(&"a quote inside a field that is not quoted");
    const TEXT_AFTER_QUOTE: Self = Self(&"text after a closing quote");
    /// A quoted field that is not closed, neither on its line nor properly on a later one.
    const UNCLOSED_QUOTE: Self = Self(&"a quoted field that is not closed");
    const QUOTED_TOO_LONG: Self = Self(&"a quoted field that is not closed within 1 MiB");
    const INVALID_UTF8: Self = Self(&"bytes that are not UTF-8");
    /// A carriage return outside quotes that does not end the line.
    const BARE_RETURN: Self = Self(&"a carriage return inside a line");
    const ZEROS: Self = Self(&"nothing but zeros, as padding or a damaged file has them");
}

settings! {
    /// How pairs stand in a CSV.
    CSV: "Input", &[Plan, Apply, Undo];

    /// What separates the columns: one character, or `tab`
    DELIMITER: u8 = Setting::new("delimiter", ValueKind::Text, "CHAR", delimiter)
        .default(",")
        .example(";")
        .recorded(|byte| text(&char::from(*byte)));
}

/// How pairs stand in a CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CsvFormat {
    /// What separates the columns: one ASCII character, not a quote and not a line break.
    pub(crate) delimiter: u8,
}

#[cfg(test)]
impl Default for CsvFormat {
    fn default() -> Self {
        Self { delimiter: b',' }
    }
}

impl CsvFormat {
    /// The same, with columns that are separated by something else.
    pub(in crate::pairs) fn separated_by(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }
}

impl ListFormat for CsvFormat {
    fn begins(&self, _: &[u8]) -> bool {
        true
    }

    fn open(&self, data: &[u8], format: &Format, eof: bool) -> Opened {
        let found = Header::find(*self, data, format, eof)?;
        Ok(found.map(|(header, head)| (Box::new(header) as Box<dyn Form>, head)))
    }
}

impl Form for Header {
    fn records<'a>(&self, data: &'a [u8], eof: bool) -> Box<dyn Records<'a> + 'a> {
        let scanner = Scanner::new(data, self.csv, eof);
        Box::new(Rows { scanner, header: self.clone() })
    }

    fn heading(&self, [from, to]: [&str; 2]) -> Option<Heading> {
        self.heading_of(from, to)
    }
}

/// The records of a piece of a CSV.
struct Rows<'a> {
    scanner: Scanner<'a>,
    header: Header,
}

impl<'a> Records<'a> for Rows<'a> {
    fn next(&mut self) -> Option<Record<'a>> {
        let row = self.scanner.next()?;
        let Header { from, to, width, .. } = self.header;
        let content = match row.form {
            record::Form::Blank => Content::Blank,
            record::Form::Broken(why) => Content::Malformed(why, Default::default()),
            record::Form::Plain | record::Form::Quoted => {
                match self.scanner.fields(&row, [from, to]) {
                    // The header of another list is told as one.
                    [Some(from), Some(to)]
                        if self.scanner.has_more_than(&row, width)
                            && self.header.heading_of(&from, &to).is_none() =>
                    {
                        Content::Malformed(Malformed::SURPLUS_COLUMN, Default::default())
                    }
                    [Some(from), Some(to)] => Content::Ids([from, to]),
                    ids => {
                        let why = match self.scanner.is_zeros(&row) {
                            true => Malformed::ZEROS,
                            false => Malformed::MISSING_COLUMN,
                        };
                        Content::Malformed(why, ids.map(Option::unwrap_or_default))
                    }
                }
            }
        };
        Some(Record { line: row.line, range: row.range, content })
    }

    fn position(&self) -> usize {
        self.scanner.position()
    }

    fn lines(&self) -> u64 {
        self.scanner.lines()
    }
}

/// One character that separates columns.
fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Ok(*byte),
            [byte @ (b'\t' | b' ')] => Ok(*byte),
            _ => Err("is not a delimiter: use one character such as , ; | or the word tab".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
