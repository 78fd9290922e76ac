//! A few lines of a CSV file of the run, so that a report can show what its numbers are made of.

use std::collections::HashMap;
use std::io::Read;

use serde::Serialize;

/// Lines of each kind.
const OF_EACH_KIND: usize = 3;
/// Kinds that are told apart; reasons may hold ids, so there may be as many kinds as lines.
const MOST_KINDS: usize = 20;
/// A file is not looked at beyond so many lines: it may have millions.
const MOST_LINES: usize = 1_000_000;
/// A field is cut beyond so many characters.
const LONGEST_FIELD: usize = 200;

/// A few lines of a CSV file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Listing {
    /// The file in the run directory that has all of them.
    pub file: String,
    pub columns: Vec<String>,
    /// The first lines of each kind, in the order of the file. Long fields are cut.
    pub rows: Vec<Vec<String>>,
}

impl Listing {
    /// The first lines of each kind of a CSV file with a header. The kind of a line is what stands in the column
    /// `kind` before the first colon. If it is known how many kinds there are, no more is read than is needed.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(
        file: &str,
        csv: impl Read,
        kind: &str,
        kinds: Option<usize>,
    ) -> Result<Self, csv::Error> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(csv);
        let columns: Vec<_> = reader.headers()?.iter().map(str::to_owned).collect();
        let index = columns.iter().position(|column| column == kind).unwrap_or(0);
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut wanted = kinds.map(|kinds| kinds * OF_EACH_KIND);
        let mut rows = Vec::new();
        let mut record = csv::ByteRecord::new();
        for _ in 0..MOST_LINES {
            if wanted == Some(0) || !reader.read_byte_record(&mut record)? {
                break;
            }
            let kind = record.get(index).unwrap_or_default();
            let kind = kind.split(|byte| *byte == b':').next().unwrap_or_default();
            let kind = String::from_utf8_lossy(kind);
            if kind.is_empty() {
                continue; // a line that only completes others
            }
            if !seen.contains_key(kind.as_ref()) {
                if seen.len() == MOST_KINDS {
                    continue;
                }
                seen.insert(kind.clone().into_owned(), 0);
            }
            let Some(of_kind) = seen.get_mut(kind.as_ref()).filter(|n| **n < OF_EACH_KIND) else {
                continue;
            };
            *of_kind += 1;
            wanted = wanted.map(|wanted| wanted - 1);
            rows.push(record.iter().map(|field| cut(&String::from_utf8_lossy(field))).collect());
        }
        Ok(Self { file: file.to_owned(), columns, rows })
    }
}

fn cut(field: &str) -> String {
    match field.char_indices().nth(LONGEST_FIELD) {
        Some((end, _)) => format!("{}…", &field[..end]),
        None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_each_kind_are_shown() {
        let mut csv = "from,line,reason\n".to_owned();
        for line in 0..50 {
            csv += &format!("a,{line},cycle: {line} accounts\n");
        }
        csv += "\"b,\",50,malformed\nc,51,\nd\ne,53,self-pair\n";
        let listing = Listing::read("rejects.csv", csv.as_bytes(), "reason", None).unwrap();
        let lines: Vec<_> = listing.rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(lines, ["0", "1", "2", "50", "53"]);
        assert_eq!(listing.rows[3], ["b,", "50", "malformed"]);
        let first = Listing::read("rejects.csv", csv.as_bytes(), "reason", Some(1)).unwrap();
        assert_eq!(first.rows, listing.rows[..3]);
    }

    #[test]
    fn what_is_shown_is_bounded_whatever_the_file() {
        let mut csv = "reason,from\n".to_owned();
        for kind in 0..1_000 {
            csv += &format!("{kind},{}\n", "é".repeat(1_000));
        }
        let listing = Listing::read("f", csv.as_bytes(), "reason", None).unwrap();
        assert_eq!(listing.rows.len(), MOST_KINDS);
        assert_eq!(listing.rows[0][1].chars().count(), LONGEST_FIELD + 1);
        let cut_off = Listing::read("f", b"reason,from\n\"a".as_slice(), "reason", None).unwrap();
        assert_eq!(cut_off.rows.len(), 1);
    }
}
