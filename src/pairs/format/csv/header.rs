//! The header: which columns hold the two ids, and how to know it where it stands again.

mod separator;

use super::CsvFormat;
use super::record::{Form, Scanner};
use crate::model::AccountType;
use crate::pairs::format::Head;
use crate::pairs::reason::Heading;
use crate::pairs::signs::{escaped, is_invisible};
use crate::pairs::{Format, Malformed, PairsError};
use separator::Separator;

/// What a header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// The position of the `from` column.
    pub(super) from: usize,
    /// The position of the `to` column.
    pub(super) to: usize,
    /// How many columns there are.
    pub(super) width: usize,
    /// How its records are read.
    pub(super) csv: CsvFormat,
    /// The names of all columns, as they are compared.
    names: Vec<String>,
    /// The length of the longest of them, or of this tool's own.
    longest: usize,
}

impl Header {
    /// The header, as soon as the data holds all of it.
    pub(super) fn find(
        csv: CsvFormat,
        data: &[u8],
        format: &Format,
        eof: bool,
    ) -> Result<Option<(Self, Head)>, PairsError> {
        let Some(separator) = Separator::find(data, eof)? else { return Ok(None) };
        // What the list itself says comes first.
        let declared = separator.delimiter.filter(|declared| *declared != csv.delimiter);
        let own = Self::find_by(data, &separator, csv, format, eof);
        let Some(declared) = declared else { return own };
        let declared = csv.separated_by(declared);
        match Self::find_by(data, &separator, declared, format, eof) {
            Err(error) => own.map_err(|_| error),
            found => found,
        }
    }

    fn find_by(
        data: &[u8],
        before: &Separator,
        csv: CsvFormat,
        format: &Format,
        eof: bool,
    ) -> Result<Option<(Self, Head)>, PairsError> {
        let data = &data[before.end..];
        let delimiter = csv.delimiter;
        let mut scanner = Scanner::new(data, csv, eof);
        let mut blank = before.blank;
        let record = loop {
            match scanner.next() {
                None => return Ok(None),
                Some(record) if record.form == Form::Blank => blank += 1,
                Some(record) => break record,
            }
        };
        let text = &data[record.range.clone()];
        if text.contains(&0) {
            return Err(not_text());
        }
        if let Form::Broken(why) = record.form {
            return Err(match std::str::from_utf8(text) {
                Ok(text) => {
                    let padded = || "white space behind a quote is such text: remove it".to_owned();
                    let is_padded = why == Malformed::TEXT_AFTER_QUOTE;
                    let hint = other_delimiter(text, format, delimiter);
                    let hint = hint.or_else(|| is_padded.then(padded));
                    let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
                    wrong(format!("the header of the input is malformed: {why}{hint}"))
                }
                Err(_) => not_text(),
            });
        }
        let names = |fields: &[std::borrow::Cow<'_, str>]| -> Vec<String> {
            fields.iter().map(|name| bare(name).to_owned()).collect()
        };
        let names = names(&scanner.all_fields(&record));
        let (columns, delimiter) = match columns(&names, format, (text, delimiter)) {
            Ok(columns) => (columns, delimiter),
            // What this tool lists itself can be fed back, whatever else the pairs are called here.
            Err(_) if is_own(text) => ((0, 1), b','),
            Err(error) => return Err(error),
        };
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let own = OWN_NAMES.iter().map(|name| name.len());
        let header = Self {
            longest: names.iter().map(String::len).chain(own).max().unwrap_or_default(),
            from: columns.0,
            to: columns.1,
            width: match delimiter == csv.delimiter {
                true => names.len(),
                false => text.split(|byte| *byte == delimiter).count(),
            },
            csv: csv.separated_by(delimiter),
            names,
        };
        let (end, lines) = (before.end + scanner.position(), before.lines + scanner.lines());
        Ok(Some((header, Head { end, lines, blank })))
    }

    /// Whether these two fields are the header's, not ids.
    #[inline]
    pub(super) fn heading_of(&self, from: &str, to: &str) -> Option<Heading> {
        // Most ids are longer than the names, and there are millions.
        let name = bare(from);
        match name.len() > self.longest && name.is_ascii() {
            true => None,
            false => self.heading_of_short(name, to),
        }
    }

    fn heading_of_short(&self, from: &str, to: &str) -> Option<Heading> {
        let (one, other) = (self.column(from)?, self.column(to)?);
        match (one, other) {
            (Column::From, Column::To) => Some(Heading::Again),
            (Column::To, Column::From) => Some(Heading::Turned),
            // The header of a list with its columns in another order.
            (Column::From | Column::To, Column::Other) => Some(Heading::Turned),
            (Column::Other, Column::From | Column::To) => Some(Heading::Turned),
            _ => None,
        }
    }

    /// The column of this name.
    fn column(&self, field: &str) -> Option<Column> {
        let name = bare(field);
        // Names of the most usual letters are compared without an allocation.
        let is = |other: &String| match other.is_ascii() {
            true => other.eq_ignore_ascii_case(name),
            false => *other == name.to_lowercase(),
        };
        match self.names.iter().position(is) {
            Some(index) if index == self.from => Some(Column::From),
            Some(index) if index == self.to => Some(Column::To),
            Some(_) => Some(Column::Other),
            // What this tool lists itself may stand behind any list.
            None if name == OWN_NAMES[0] => Some(Column::From),
            None if name == OWN_NAMES[1] => Some(Column::To),
            None => None,
        }
    }
}

fn wrong(words: String) -> PairsError {
    PairsError::Beginning { words }
}

fn not_text() -> PairsError {
    let words =
        "the input is not a CSV file in UTF-8: its first line holds bytes that are not text";
    wrong(words.to_owned())
}

/// A column, as far as it matters.
enum Column {
    From,
    To,
    Other,
}

/// A name without what may be around it.
#[inline]
fn bare(name: &str) -> &str {
    // So are nearly all.
    if let [first, .., last] = name.as_bytes()
        && first.is_ascii_graphic()
        && last.is_ascii_graphic()
    {
        return name;
    }
    name.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// The headers of rejects.csv and failures.csv.
const OWN_HEADERS: [&str; 2] = ["from,to,line,reason,original", "from,to,line,reason"];

/// What the two columns of those are called.
pub(in crate::pairs) const OWN_NAMES: [&str; 2] = ["from", "to"];

fn is_own(header: &[u8]) -> bool {
    OWN_HEADERS.iter().any(|own| own.as_bytes() == header.trim_ascii_end())
}

/// The positions of both columns; with the header as it stands, and what it was split by.
fn columns(
    names: &[String],
    format: &Format,
    header: (&[u8], u8),
) -> Result<(usize, usize), PairsError> {
    let [from, to] = [&format.from_column, &format.to_column].map(|wanted| {
        let wanted = bare(wanted);
        position(names, wanted)?.ok_or_else(|| {
            wrong(format!(
                "the header of the input has no column '{wanted}'; with the delimiter {:?} its columns are {} ({})",
                char::from(header.1),
                listed(names),
                hint(names, format, header)
            ))
        })
    });
    Ok((from?, to?))
}

/// Where a name stands: as it is written, else in other letters, if that is one column.
fn position(names: &[String], wanted: &str) -> Result<Option<usize>, PairsError> {
    let folded = wanted.to_lowercase();
    let same: [&dyn Fn(&str) -> bool; 2] =
        [&|name| name == wanted, &|name| name.to_lowercase() == folded];
    for is in same {
        let mut found = names.iter().enumerate().filter(|(_, name)| is(name));
        match (found.next(), found.next()) {
            (Some((position, _)), None) => return Ok(Some(position)),
            (Some((_, name)), Some(_)) => {
                return Err(wrong(format!(
                    "the header of the input has the column '{name}' twice (see --from-column and --to-column)"
                )));
            }
            (None, _) => {}
        }
    }
    Ok(None)
}

/// What may separate the columns in truth.
fn other_delimiter(text: &str, format: &Format, delimiter: u8) -> Option<String> {
    const USUAL: [(u8, &str); 6] =
        [(b',', ","), (b';', "';'"), (b'\t', "tab"), (b'|', "'|'"), (b':', ":"), (b' ', "' '")];
    let both = |separator: u8| {
        let names: Vec<String> = text
            .split(char::from(separator))
            .map(|name| bare(name).trim_matches('"').to_owned())
            .collect();
        [&format.from_column, &format.to_column]
            .iter()
            .all(|wanted| matches!(position(&names, bare(wanted)), Ok(Some(_))))
    };
    let found = USUAL.iter().find(|(usual, _)| *usual != delimiter && both(*usual));
    found.map(|(_, name)| format!("with --delimiter {name} both columns are there"))
}

/// What to do about a header without the columns.
fn hint(names: &[String], format: &Format, (text, delimiter): (&[u8], u8)) -> String {
    if let Some(hint) = other_delimiter(&String::from_utf8_lossy(text), format, delimiter) {
        return hint;
    }
    let is_id = |name: &String| {
        AccountType::Uuid.parse(name).is_some() || AccountType::Varint.parse(name).is_some()
    };
    let (from, to) = (&format.from_column, &format.to_column);
    let missing = "these look like ids: is the header missing?";
    match names.len() {
        2 if names.iter().any(is_id) => format!("{missing} Put the line '{from},{to}' before them"),
        3.. if names.iter().any(is_id) => format!(
            "{missing} Put a line before them that names each column, with '{from}' and '{to}' for the two that are merged"
        ),
        _ => "see --from-column, --to-column and --delimiter".to_owned(),
    }
}

/// The columns found, short enough for one message.
fn listed(names: &[String]) -> String {
    const MAX_NAMES: usize = 12;
    const MAX_CHARS: usize = 40;
    let mut list: Vec<String> = names
        .iter()
        .take(MAX_NAMES)
        .map(|name| match name.char_indices().nth(MAX_CHARS) {
            Some((end, _)) => format!("'{}…'", escaped(&name[..end])),
            None => format!("'{}'", escaped(name)),
        })
        .collect();
    if names.len() > MAX_NAMES {
        list.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests;
