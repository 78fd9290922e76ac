//! The report of rejected lines, `rejects.csv`, written by a second walk over the input.

use std::io::{Read, Write};

use super::accounts::Accounts;
use super::blocks::{BLOCK_BYTES, Blocks};
use super::format::csv::OWN_NAMES;
use super::format::{Layout, Record};
use super::parse::{ParsedRecord, judge};
use super::reason::{Heading, Reason};
use super::rejects::{Reject, Rejects};
use super::source::Source;
use super::{Format, PairsError};
use crate::model::MAX_ACCOUNT_ID_BYTES;

/// How much of a rejected line is repeated, so that a report of rejects is itself acceptable input.
const MAX_ORIGINAL_BYTES: usize = 256 << 10;
/// How much of an over-long id is repeated. It is more than any valid id takes.
const MAX_SHOWN_ID_BYTES: usize = 2 * MAX_ACCOUNT_ID_BYTES;

/// Writes the rejected lines as CSV with the columns `from,to,line,reason,original`, which can be
/// read back as input. It reads `source`, the input that `rejects` came from, once more and up to
/// the last rejected line only.
pub(crate) fn write_rejects(
    source: &dyn Source,
    format: &Format,
    rejects: &Rejects,
    accounts: &Accounts,
    out: impl Write,
) -> Result<(), PairsError> {
    write_rejects_in_blocks(source, format, rejects, accounts, out, BLOCK_BYTES)
}

pub(crate) fn write_rejects_in_blocks(
    source: &dyn Source,
    format: &Format,
    rejects: &Rejects,
    accounts: &Accounts,
    out: impl Write,
    block_bytes: usize,
) -> Result<(), PairsError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["from", "to", "line", "reason", "original"])?;
    if !rejects.is_empty() {
        let mut walk = Walk { format, rejects, accounts, writer: &mut writer, next: 0, line: 1 };
        walk.run(source.open()?, block_bytes)?;
    }
    writer.flush().map_err(csv::Error::from)?;
    Ok(())
}

/// The second walk over the input.
struct Walk<'a, W: Write> {
    format: &'a Format,
    rejects: &'a Rejects,
    accounts: &'a Accounts,
    writer: &'a mut csv::Writer<W>,
    /// The position of the next reject to write.
    next: usize,
    /// The line number of the first byte that has not been passed yet.
    line: u64,
}

impl<W: Write> Walk<'_, W> {
    fn run(&mut self, reader: impl Read, block_bytes: usize) -> Result<(), PairsError> {
        let mut blocks = Blocks::new(reader, block_bytes);
        let (layout, mut carry) = Layout::read(&mut blocks, self.format)?;
        self.line += layout.lines;
        while self.next < self.rejects.len() {
            let block = blocks.next()?;
            let eof = block.is_none();
            carry.extend(block.unwrap_or_default());
            let decided = self.pass(&carry, &layout, eof)?;
            carry.drain(..decided);
            if eof {
                break;
            }
        }
        match self.rejects.get(self.next) {
            Some(reject) => Err(PairsError::Changed { line: reject.line }),
            None => Ok(()),
        }
    }

    /// Passes over the records of `data` and writes the rejected ones; returns what it has passed.
    fn pass(&mut self, data: &[u8], layout: &Layout, eof: bool) -> Result<usize, PairsError> {
        let mut records = layout.form.records(data, eof);
        while let Some(reject) = self.rejects.get(self.next) {
            let Some(record) = records.next() else { break };
            let line = self.line + record.line;
            if line > reject.line {
                return Err(PairsError::Changed { line: reject.line });
            }
            if line == reject.line {
                self.write(data, record, reject, layout)?;
                self.next += 1;
            }
        }
        self.line += records.lines();
        Ok(records.position())
    }

    fn write(
        &mut self,
        data: &[u8],
        record: Record<'_>,
        reject: Reject,
        layout: &Layout,
    ) -> Result<(), PairsError> {
        let original = String::from_utf8_lossy(&data[record.range]);
        let (from, to) = match judge(record.content, layout) {
            ParsedRecord::Blank => return Err(PairsError::Changed { line: reject.line }),
            ParsedRecord::Pair(from, to) => (from.id, to.id),
            ParsedRecord::Reject(_, from, to) => (from, to),
        };
        let reason = self.rejects.explain(reject, [&from, &to], self.accounts);
        // A header is one here as well, whatever the columns are called where it comes from.
        let [own_from, own_to] = OWN_NAMES;
        let (from, to) = match reject.reason {
            Reason::Header(Heading::Again) => (own_from.into(), own_to.into()),
            Reason::Header(Heading::Turned) => (own_to.into(), own_from.into()),
            _ => (from, to),
        };
        self.writer.write_record([
            cut(&from, MAX_SHOWN_ID_BYTES),
            cut(&to, MAX_SHOWN_ID_BYTES),
            &reject.line.to_string(),
            &reason,
            cut(&original, MAX_ORIGINAL_BYTES),
        ])?;
        Ok(())
    }
}

/// The longest prefix of whole characters within the bound.
fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = max_bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use super::super::read;
    use super::*;
    use crate::model::AccountType;

    struct Text(Vec<u8>);

    impl Source for Text {
        fn open(&self) -> Result<Box<dyn Read + Send>, PairsError> {
            Ok(Box::new(Cursor::new(self.0.clone())))
        }
    }

    fn report(text: &[u8]) -> Vec<u8> {
        report_as(AccountType::Text, text)
    }

    fn report_as(accounts: AccountType, text: &[u8]) -> Vec<u8> {
        let format = Format { accounts, ..Format::default() };
        let list = read(text, &format).unwrap();
        let source = Text(text.to_vec());
        let mut report = Vec::new();
        write_rejects(&source, &format, list.rejects(), list.accounts(), &mut report).unwrap();
        report
    }

    #[test]
    fn a_report_can_be_fed_back() {
        let mut text = b"from,to\na,a\nlonely\n\"open,b\n".to_vec();
        // The worst that a report has to repeat: every byte grows on the way, and so does a quote.
        let broken = [&[0xff; 600_000][..], b",b\n", &[b'"'; 600_000], b"x,b\n"].concat();
        text.extend_from_slice(&broken);
        text.extend([&[b'x'; 500_000][..], b",b\n"].concat());
        let first = report(&text);
        let list = read(&first[..], &Format::default()).unwrap();
        assert_eq!((list.len(), list.rejects().len()), (0, 6));
        let again = report(&first);
        let reasons = |report: &[u8]| -> Vec<String> {
            let mut reader = csv::Reader::from_reader(report);
            reader.records().map(|record| record.unwrap()[3].to_owned()).collect()
        };
        assert_eq!(reasons(&first).len(), reasons(&again).len());
        assert!(reasons(&again)[0].starts_with("self-pair:"));
        assert!(reasons(&again)[1].starts_with("invalid-id:"));
    }

    /// What stands in the input is shown and rejected again for the same reason, whatever it is written like.
    #[test]
    fn a_report_of_typed_ids_can_be_fed_back() {
        let uuid = "4aa7f1c0-0000-4000-8000-00000000abcd";
        let text = format!("from,to\n{{{uuid}}},{}\nalice,{uuid}\n", uuid.to_uppercase());
        let first = report_as(AccountType::Uuid, text.as_bytes());
        let again = report_as(AccountType::Uuid, &first);
        let rows = |report: &[u8]| -> Vec<Vec<String>> {
            let mut reader = csv::Reader::from_reader(report);
            let record = |record: csv::StringRecord| {
                [0, 1, 3].map(|column| record[column].to_owned()).to_vec()
            };
            reader.records().map(|found| record(found.unwrap())).collect()
        };
        assert_eq!(rows(&first), rows(&again));
        assert_eq!(rows(&first)[0][..2], [format!("{{{uuid}}}"), uuid.to_uppercase()]);
        assert_eq!(rows(&first)[1][2], "invalid-id: from is not a uuid");
    }

    #[test]
    fn nothing_rejected_leaves_a_header_and_the_input_alone() {
        let source = || -> io::Result<Box<dyn Read + Send>> { Err(io::ErrorKind::NotFound.into()) };
        let list = read(&b"from,to\na,b\n"[..], &Format::default()).unwrap();
        let (rejects, accounts) = (list.rejects(), list.accounts());
        let mut out = Vec::new();
        write_rejects(&source, &Format::default(), rejects, accounts, &mut out).unwrap();
        assert_eq!(out, b"from,to,line,reason,original\n");
    }

    #[test]
    fn changed_input_is_noticed() {
        let list = read(&b"from,to\na,b\na,a\n"[..], &Format::default()).unwrap();
        for text in [&b"from,to\na,b\n"[..], b"from,to\n\"a\na\",b\nc,d\n", b"from,to\na,b\n\n"] {
            let (rejects, accounts) = (list.rejects(), list.accounts());
            let source = Text(text.to_vec());
            let error = write_rejects(&source, &Format::default(), rejects, accounts, io::sink())
                .unwrap_err();
            assert!(matches!(error, PairsError::Changed { line: 3 }), "{error}");
        }
    }
}
