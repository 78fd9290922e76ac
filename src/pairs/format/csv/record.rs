//! Where a record begins and ends: RFC 4180, one record at a time, without copying.
//!
//! A physical line ends with a line feed; a carriage return before it, or before the end of the
//! data, belongs to the line's end. A quoted field may hold delimiters, doubled quotes and line
//! breaks of any kind; outside quotes a carriage return stands nowhere else. What breaks these rules
//! costs one physical line, never the lines after it: the scan goes on at the next line.

use std::borrow::Cow;
use std::ops::Range;
use std::str;

use memchr::{memchr, memchr_iter, memchr3};

use super::{CsvFormat, Malformed};

/// How far a quoted field may reach from the start of its record. It bounds what is read again after
/// a quote that nobody closes.
pub(super) const MAX_QUOTED_BYTES: usize = 1 << 20;

/// The byte order mark.
pub(in crate::pairs) const BOM: &[u8] = b"\xef\xbb\xbf";

/// One field of a record that contains quotes.
#[derive(Clone, Debug)]
struct Span {
    range: Range<usize>,
    quoted: bool,
    /// A byte order mark stands before its quote: lists that were put together have it in the middle. It belongs to
    /// the field, so that nobody takes the field for what it is without.
    marked: bool,
}

/// What a record is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing, or white space only.
    Blank,
    /// One line without a quote.
    Plain,
    /// Fields of which at least one is quoted.
    Quoted,
    /// Not a record.
    Broken(Malformed),
}

/// A record, by its position in the data.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Its bytes, without the line end.
    pub(super) range: Range<usize>,
    /// The physical line it starts on, from 0 for the first line of the data.
    pub(super) line: u64,
    /// What it is made of.
    pub(super) form: Form,
}

/// Walks over the records of a piece of input that begins at the start of a record.
pub(super) struct Scanner<'a> {
    data: &'a [u8],
    csv: CsvFormat,
    /// Nothing follows the data.
    eof: bool,
    has_quotes: bool,
    /// A carriage return that does not stand before a line feed.
    has_bare_returns: bool,
    is_utf8: bool,
    at: usize,
    line: u64,
    spans: Vec<Span>,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte. Without `eof` the data must end with a line feed.
    pub(super) fn new(data: &'a [u8], csv: CsvFormat, eof: bool) -> Self {
        Self {
            data,
            csv,
            eof,
            has_quotes: memchr(b'"', data).is_some(),
            has_bare_returns: memchr_iter(b'\r', data).any(|at| data.get(at + 1) != Some(&b'\n')),
            is_utf8: str::from_utf8(data).is_ok(),
            at: 0,
            line: 0,
            spans: Vec::new(),
        }
    }

    /// The start of the next record. After the last one: how much of the data has been decided.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The physical lines before [`position`](Self::position).
    pub(super) fn lines(&self) -> u64 {
        self.line
    }

    /// The next record; `None` at the end of the data, or where a quoted field may go on beyond it.
    pub(super) fn next(&mut self) -> Option<Record> {
        if self.at >= self.data.len() {
            return None;
        }
        let start = self.at;
        let newline = memchr(b'\n', &self.data[start..]).map(|offset| start + offset);
        let line_end = newline.unwrap_or(self.data.len());
        let after_line = newline.map_or(self.data.len(), |at| at + 1);
        let text = start..start + without_cr(&self.data[start..line_end]).len();
        let line = self.line;

        if self.has_quotes && memchr(b'"', &self.data[text.clone()]).is_some() {
            match self.scan_quoted() {
                Quoted::Complete { end, next } => {
                    self.line += lines_in(&self.data[start..next]);
                    self.at = next;
                    let form = self.checked(&(start..end), Form::Quoted);
                    return Some(Record { range: start..end, line, form });
                }
                Quoted::Undecided => return None,
                Quoted::Broken(why) => {
                    self.at = after_line;
                    self.line += 1;
                    return Some(Record { range: text, line, form: Form::Broken(why) });
                }
            }
        }
        self.at = after_line;
        self.line += 1;
        let form = if self.is_blank(&self.data[text.clone()]) {
            Form::Blank
        } else if self.has_bare_returns && memchr(b'\r', &self.data[text.clone()]).is_some() {
            Form::Broken(Malformed::BARE_RETURN)
        } else {
            Form::Plain
        };
        let form = self.checked(&text, form);
        Some(Record { range: text, line, form })
    }

    /// The fields in the given columns of the record that [`next`](Self::next) returned last, where
    /// they exist. Its form must be [`Form::Plain`] or [`Form::Quoted`].
    pub(super) fn fields<const N: usize>(
        &self,
        record: &Record,
        columns: [usize; N],
    ) -> [Option<Cow<'a, str>>; N] {
        match record.form {
            Form::Quoted => columns.map(|column| self.spans.get(column).and_then(|s| self.text(s))),
            _ => self.plain_fields(&self.data[record.range.clone()], columns),
        }
    }

    /// Every field of the record that [`next`](Self::next) returned last.
    pub(super) fn all_fields(&self, record: &Record) -> Vec<Cow<'a, str>> {
        match record.form {
            Form::Quoted => self.spans.iter().filter_map(|span| self.text(span)).collect(),
            _ => {
                let fields = self.data[record.range.clone()].split(|&b| b == self.csv.delimiter);
                fields.map(String::from_utf8_lossy).collect()
            }
        }
    }

    /// Whether there is something behind so many columns of the record that [`next`](Self::next) returned last.
    pub(super) fn has_more_than(&self, record: &Record, columns: usize) -> bool {
        match record.form {
            Form::Quoted => {
                let behind = self.spans.iter().skip(columns);
                behind.into_iter().any(|span| !self.is_empty(&self.data[span.range.clone()]))
            }
            _ => {
                let line = &self.data[record.range.clone()];
                let end = memchr_iter(self.csv.delimiter, line).nth(columns.saturating_sub(1));
                end.is_some_and(|end| !self.is_empty(&line[end..]))
            }
        }
    }

    /// Whether there is nothing but delimiters and white space.
    fn is_empty(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r') || *byte == self.csv.delimiter)
    }

    /// Whether a record is nothing but zeros.
    pub(super) fn is_zeros(&self, record: &Record) -> bool {
        self.data[record.range.clone()].iter().all(|byte| *byte == 0)
    }

    fn text(&self, span: &Span) -> Option<Cow<'a, str>> {
        let text = str::from_utf8(&self.data[span.range.clone()]).ok()?;
        let doubled = span.quoted && text.contains('"');
        let text =
            if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) };
        Some(if span.marked { Cow::Owned(format!("\u{feff}{text}")) } else { text })
    }

    fn plain_fields<const N: usize>(
        &self,
        line: &'a [u8],
        columns: [usize; N],
    ) -> [Option<Cow<'a, str>>; N] {
        let last = columns.into_iter().max().unwrap_or_default();
        let mut found = [const { None }; N];
        let mut start = 0;
        for column in 0..=last {
            let end =
                memchr(self.csv.delimiter, &line[start..]).map_or(line.len(), |at| start + at);
            for (slot, wanted) in found.iter_mut().zip(columns) {
                if wanted == column {
                    *slot = str::from_utf8(&line[start..end]).ok().map(Cow::Borrowed);
                }
            }
            if end == line.len() {
                break;
            }
            start = end + 1;
        }
        found
    }

    /// A record with invalid UTF-8 is malformed whatever its form.
    fn checked(&self, range: &Range<usize>, form: Form) -> Form {
        if self.is_utf8 || str::from_utf8(&self.data[range.clone()]).is_ok() {
            form
        } else {
            Form::Broken(Malformed::INVALID_UTF8)
        }
    }

    fn is_blank(&self, line: &[u8]) -> bool {
        line.iter().all(|&byte| matches!(byte, b' ' | b'\t' | b'\r') && byte != self.csv.delimiter)
    }

    /// Splits the record at the current position into spans.
    fn scan_quoted(&mut self) -> Quoted {
        let data = self.data;
        let limit = self.at + MAX_QUOTED_BYTES;
        self.spans.clear();
        let mut at = self.at;
        let mut marked = data[at..].starts_with(BOM) && data.get(at + BOM.len()) == Some(&b'"');
        if marked {
            at += BOM.len();
        }
        // A field that goes on over lines and then breaks the rules was not meant to go on.
        let broken = |why, at: usize| match memchr(b'\n', &data[self.at..at]) {
            Some(_) => Quoted::Broken(Malformed::UNCLOSED_QUOTE),
            None => Quoted::Broken(why),
        };
        loop {
            if data.get(at) != Some(&b'"') {
                let stop = memchr3(self.csv.delimiter, b'\n', b'"', &data[at..])
                    .map_or(data.len(), |offset| at + offset);
                if data.get(stop) == Some(&b'"') {
                    return broken(Malformed::BARE_QUOTE, stop);
                }
                let end = match data.get(stop) {
                    Some(byte) if *byte == self.csv.delimiter => stop,
                    _ => at + without_cr(&data[at..stop]).len(),
                };
                if self.has_bare_returns && memchr(b'\r', &data[at..end]).is_some() {
                    return broken(Malformed::BARE_RETURN, end);
                }
                if data.get(stop) == Some(&self.csv.delimiter) {
                    self.spans.push(Span { range: at..stop, quoted: false, marked: false });
                    at = stop + 1;
                    continue;
                }
                self.spans.push(Span { range: at..end, quoted: false, marked: false });
                return Quoted::Complete { end, next: data.len().min(stop + 1) };
            }
            let close = match self.closing_quote(at + 1, limit) {
                Ok(close) => close,
                Err(open) => return open,
            };
            self.spans.push(Span { range: at + 1..close, quoted: true, marked });
            marked = false;
            at = close + 1;
            match (data.get(at), data.get(at + 1)) {
                (Some(byte), _) if *byte == self.csv.delimiter => at += 1,
                (None, _) => return Quoted::Complete { end: at, next: at },
                (Some(b'\n'), _) => return Quoted::Complete { end: at, next: at + 1 },
                (Some(b'\r'), None | Some(b'\n')) => {
                    return Quoted::Complete { end: at, next: data.len().min(at + 2) };
                }
                _ => return broken(Malformed::TEXT_AFTER_QUOTE, at),
            }
        }
    }

    /// The quote that ends the field whose text begins at `from`; doubled quotes are passed over.
    fn closing_quote(&self, from: usize, limit: usize) -> Result<usize, Quoted> {
        let mut at = from;
        loop {
            let window = at..limit.min(self.data.len()).max(at);
            match memchr(b'"', &self.data[window]) {
                None if limit <= self.data.len() => {
                    return Err(Quoted::Broken(Malformed::QUOTED_TOO_LONG));
                }
                None if self.eof => return Err(Quoted::Broken(Malformed::UNCLOSED_QUOTE)),
                None => return Err(Quoted::Undecided),
                Some(offset) if self.data.get(at + offset + 1) == Some(&b'"') => at += offset + 2,
                Some(offset) => return Ok(at + offset),
            }
        }
    }
}

enum Quoted {
    Complete {
        end: usize,
        next: usize,
    },
    /// The data ends within a quoted field.
    Undecided,
    Broken(Malformed),
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The physical lines that whole records cover; only the last one may lack its line feed.
fn lines_in(data: &[u8]) -> u64 {
    memchr_iter(b'\n', data).count() as u64 + u64::from(!data.ends_with(b"\n"))
}

#[cfg(test)]
mod tests;
