//! The header: which columns hold the two ids.

use std::io::Read;

use super::blocks::Blocks;
use super::record::{Form, Scanner};
use super::{Format, PairsError};
use crate::model::AccountType;

/// Where the ids stand in each record.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The position of the `from` column.
    pub(super) from: usize,
    /// The position of the `to` column.
    pub(super) to: usize,
    /// What separates fields.
    pub(super) delimiter: u8,
    /// White space around ids is removed.
    pub(super) trim: bool,
    /// What ids are read as.
    pub(super) accounts: AccountType,
    /// The physical lines of the header, blank lines before it included.
    pub(super) lines: u64,
    /// Blank lines before the header.
    pub(super) blank: u64,
}

impl Layout {
    /// Reads the header and returns it with what has been read beyond it.
    pub(super) fn read<R: Read>(
        blocks: &mut Blocks<R>,
        format: &Format,
    ) -> Result<(Self, Vec<u8>), PairsError> {
        format.check()?;
        let mut data = Vec::new();
        loop {
            let block = blocks.next()?;
            let eof = block.is_none();
            data.extend(block.unwrap_or_default());
            if let Some((layout, end)) = Self::find(&data, format, eof)? {
                data.drain(..end);
                return Ok((layout, data));
            }
            if eof {
                return Err(PairsError::Empty {
                    from: format.from_column.clone(),
                    to: format.to_column.clone(),
                });
            }
        }
    }

    /// The layout and the end of the header, as soon as the data holds a whole header.
    fn find(data: &[u8], format: &Format, eof: bool) -> Result<Option<(Self, usize)>, PairsError> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let bom = if data.starts_with(BOM) { BOM.len() } else { 0 };
        let mut scanner = Scanner::new(&data[bom..], format.delimiter, eof);
        let mut blank = 0;
        let record = loop {
            match scanner.next() {
                None => return Ok(None),
                Some(record) if record.form == Form::Blank => blank += 1,
                Some(record) => break record,
            }
        };
        let text = &data[bom..][record.range.clone()];
        if text.contains(&0) {
            return Err(PairsError::NotText);
        }
        if let Form::Broken(why) = record.form {
            return Err(match std::str::from_utf8(text) {
                Ok(_) => PairsError::Header { why },
                Err(_) => PairsError::NotText,
            });
        }
        let names: Vec<String> = scanner
            .all_fields(&record)
            .iter()
            .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        let (columns, delimiter) = match columns(&names, format) {
            Ok(columns) => (columns, format.delimiter),
            // What this tool lists itself can be fed back, whatever else the pairs are called here.
            Err(_) if is_own(text) => ((0, 1), b','),
            Err(error) => return Err(error),
        };
        let layout = Self {
            from: columns.0,
            to: columns.1,
            delimiter,
            trim: format.trim,
            accounts: format.accounts,
            lines: scanner.lines(),
            blank,
        };
        Ok(Some((layout, bom + scanner.position())))
    }
}

/// The headers of rejects.csv and failures.csv.
pub(crate) const OWN_HEADERS: [&str; 2] = ["from,to,line,reason,original", "from,to,line,reason"];

fn is_own(header: &[u8]) -> bool {
    OWN_HEADERS.iter().any(|own| own.as_bytes() == header.trim_ascii_end())
}

/// The positions of both columns.
fn columns(names: &[String], format: &Format) -> Result<(usize, usize), PairsError> {
    Ok((position(names, &format.from_column, format)?, position(names, &format.to_column, format)?))
}

fn position(names: &[String], wanted: &str, format: &Format) -> Result<usize, PairsError> {
    let wanted = wanted.trim();
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted);
    match (found.next(), found.next()) {
        (Some((position, _)), None) => Ok(position),
        (Some(_), Some(_)) => Err(PairsError::RepeatedColumn { name: wanted.to_owned() }),
        (None, _) => Err(PairsError::MissingColumn {
            name: wanted.to_owned(),
            found: listed(names),
            delimiter: char::from(format.delimiter),
        }),
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
            Some((end, _)) => format!("'{}…'", name[..end].escape_debug()),
            None => format!("'{}'", name.escape_debug()),
        })
        .collect();
    if names.len() > MAX_NAMES {
        list.push(format!("and {} more", names.len() - MAX_NAMES));
    }
    list.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &[u8], format: &Format) -> Result<(usize, usize, Vec<u8>), PairsError> {
        let whole = Layout::read(&mut Blocks::new(text, 1 << 10), format);
        let tiny = Layout::read(&mut Blocks::new(text, 3), format);
        match (whole, tiny) {
            (Ok((a, rest)), Ok((b, _))) => {
                assert_eq!((a.from, a.to, a.lines), (b.from, b.to, b.lines));
                Ok((a.from, a.to, rest))
            }
            (Err(a), Err(b)) => {
                assert_eq!(a.to_string(), b.to_string());
                Err(a)
            }
            (a, b) => panic!("{a:?} {b:?}"),
        }
    }

    fn accepts(text: &[u8], format: &Format, expected: (usize, usize)) {
        let (from, to, _) = layout(text, format).unwrap();
        assert_eq!((from, to), expected);
    }

    #[test]
    fn finds_the_columns_wherever_they_are() {
        let format = Format::default();
        accepts(b"from,to\n", &format, (0, 1));
        accepts(b"from,to", &format, (0, 1));
        accepts(b"\xef\xbb\xbffrom,to\r\n1,2\r\n", &format, (0, 1));
        accepts(b"\xef\xbb\xbf\"from\",\"to\"\n", &format, (0, 1));
        accepts(b"x, to ,\"two\nlines\", from \n", &format, (3, 1));
        let custom = Format {
            from_column: "alt".into(),
            to_column: "neu".into(),
            delimiter: b';',
            ..Format::default()
        };
        accepts(b"neu;a,b;alt\n", &custom, (2, 0));
    }

    #[test]
    fn lists_of_our_own_are_known_whatever_the_columns_are_called() {
        let format = Format {
            from_column: "alt".into(),
            to_column: "neu".into(),
            delimiter: b';',
            ..Format::default()
        };
        for header in OWN_HEADERS {
            let text = format!("{header}\r\na,b,2,why\n");
            let layout =
                Layout::read(&mut Blocks::new(text.as_bytes(), 1 << 10), &format).unwrap().0;
            assert_eq!((layout.from, layout.to, layout.delimiter), (0, 1, b','));
        }
        let other = layout(b"from,to,line\n", &format).unwrap_err().to_string();
        assert!(other.contains("alt"), "{other}");
        // Columns that are there win.
        let reason = Format { to_column: "reason".into(), ..Format::default() };
        accepts(b"from,to,line,reason\n", &reason, (0, 3));
    }

    #[test]
    fn leaves_what_follows_the_header() {
        let (_, _, rest) = layout(b"\n\nfrom,to\na,b\nc,d\n", &Format::default()).unwrap();
        assert_eq!(rest, b"a,b\nc,d\n");
    }

    fn refuses(text: &[u8], words: &str) {
        let error = layout(text, &Format::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_header() {
        refuses(b"", "empty");
        refuses(b"\xef\xbb\xbf", "empty");
        refuses(b"\n\r\n", "empty");
        refuses(b"from;to\n", "'from;to'");
        refuses(b"from;to\n", "--delimiter");
        refuses(b"a,to\n", "--from-column");
        refuses(b"from,to,from\n", "twice");
        refuses(b"fr\0om,to\n", "not a CSV file");
        refuses(b"\xff\xfef\0r\0\n", "not a CSV file");
        refuses(b"\"from,to\n", "header");
    }
}
