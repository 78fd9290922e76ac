//! A first line that says what separates the columns, as spreadsheets write it: `sep=;`.

use memchr::memchr;

use crate::pairs::PairsError;
use crate::pairs::format::csv::BOM;
use crate::pairs::signs::escaped;

/// What stands before the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Separator {
    /// What separates the columns, if it is said.
    pub(super) delimiter: Option<u8>,
    /// Where the header, or blank lines before it, begin.
    pub(super) end: usize,
    /// The physical lines before.
    pub(super) lines: u64,
    /// The blank ones among them.
    pub(super) blank: u64,
}

impl Separator {
    /// Looks for it in the beginning of a list; nothing, if more of it is needed to know.
    pub(super) fn find(data: &[u8], eof: bool) -> Result<Option<Self>, PairsError> {
        const WORD: &[u8] = b"sep=";
        let none =
            Self { end: if data.starts_with(BOM) { BOM.len() } else { 0 }, ..Self::default() };
        let mut at = none.end;
        let mut lines = 0;
        loop {
            let rest = &data[at..];
            let line_end = match memchr(b'\n', rest) {
                Some(end) => end,
                None if eof => rest.len(),
                None => return Ok(None),
            };
            let line = rest[..line_end].trim_ascii_end();
            let next = data.len().min(at + line_end + 1);
            if line.is_empty() && next < data.len() {
                (at, lines) = (next, lines + 1);
                continue;
            }
            let inner = match line {
                [b'"', inner @ .., b'"'] => inner,
                // A tab or a space is white space as well.
                _ => rest[..line_end].strip_suffix(b"\r").unwrap_or(&rest[..line_end]),
            };
            let word = inner.get(..WORD.len());
            if !word.is_some_and(|word| word.eq_ignore_ascii_case(WORD)) {
                return Ok(Some(none));
            }
            let delimiter = match &inner[WORD.len()..] {
                b"\\t" | b"tab" => b'\t',
                [one] if one.is_ascii() && !matches!(one, 0 | b'"' | b'\r' | b'\n') => *one,
                _ => {
                    let line = escaped(&String::from_utf8_lossy(&line[..line.len().min(40)]));
                    return Err(PairsError::Beginning {
                        words: format!(
                            "the first line of the input ('{line}') names no separator that can be used: take the line \
                             out, and see --delimiter"
                        ),
                    });
                }
            };
            let (end, lines) = (next, lines + 1);
            return Ok(Some(Self { delimiter: Some(delimiter), end, lines, blank: lines - 1 }));
        }
    }
}
