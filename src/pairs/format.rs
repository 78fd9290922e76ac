//! How pairs are written: the formats in which a list may come, and what all of them have in common.
//!
//! A format is a list of records, each of which can be shown where it is rejected and left out where it is forgotten. Another
//! is a file below this one, with its own settings, checks and words, and a row of [`FORMATS`]; what a list begins with, or a
//! setting of the format, says which it is. What is no text, such as a compressed list, is made text before, where it is opened.

pub(super) mod csv;

use std::borrow::Cow;
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use super::blocks::Blocks;
use super::reason::Heading;
use super::{Accepted, PairsError};
use crate::model::AccountType;
use crate::setting::Command::{Apply, Plan, Undo};
use crate::setting::{Described, Layers, Setting, SettingsError, ValueKind, plain, settings, text};

/// All formats; the last takes whatever no other knows.
static FORMATS: [&FormatKind; 1] = [&csv::KIND];

/// What there is to know of a format.
pub(super) struct FormatKind {
    /// What it is, for the manual.
    about: &'static str,
    /// What to do about lines that are no records of it.
    mend: &'static str,
    /// The settings that are its own.
    settings: &'static [&'static dyn Described],
    /// What they make.
    of: fn(&Layers) -> Result<Arc<dyn ListFormat>, SettingsError>,
}

impl fmt::Debug for FormatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormatKind").finish_non_exhaustive()
    }
}

/// What each format is, and what to do about lines that are no records of it, for the manual.
pub(crate) fn formats() -> impl Iterator<Item = [&'static str; 2]> {
    FORMATS.iter().map(|kind| [kind.about, kind.mend])
}

/// How records are read behind what stands before them; nothing yet, if more of the list is needed to know.
pub(super) type Opened = Result<Option<(Box<dyn Form>, Head)>, PairsError>;

/// A format with its settings.
pub(super) trait ListFormat: fmt::Debug + Send + Sync {
    /// Whether a list that begins like this is one of it, by these settings. The last of [`FORMATS`] is not asked.
    fn begins(&self, data: &[u8]) -> bool;

    /// Looks for what stands before the first record.
    ///
    /// # Errors
    /// It is none of this format, in the format's own words: [`PairsError::Beginning`].
    fn open(&self, data: &[u8], format: &Format, eof: bool) -> Opened;
}

/// What stands before the first record of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Where the records begin.
    pub(super) end: usize,
    /// The physical lines before them.
    pub(super) lines: u64,
    /// The blank ones among these.
    pub(super) blank: u64,
}

/// How records of a list are read.
pub(super) trait Form: Send + Sync {
    /// Walks over the records of a piece of it that begins at the start of one. Without `eof` it ends with a line feed.
    fn records<'a>(&self, data: &'a [u8], eof: bool) -> Box<dyn Records<'a> + 'a>;

    /// Whether the ids of a record are those of a header that stands among the records.
    fn heading(&self, ids: [&str; 2]) -> Option<Heading>;

    /// All records but those that are chosen, as a list goes on behind what stands before them; with how many are left out.
    /// Here each takes its line end with it; where records are parted otherwise, or counted, the format has to see to that.
    fn without(
        &self,
        data: &[u8],
        is_chosen: &dyn Fn(&[u8], &Content<'_>) -> bool,
    ) -> (Vec<u8>, u64) {
        let (mut kept, mut left_out, mut from) = (Vec::with_capacity(data.len()), 0, 0);
        let mut records = self.records(data, true);
        while let Some(record) = records.next() {
            let to = records.position();
            match is_chosen(&data[from..to], &record.content) {
                true => left_out += 1,
                false => kept.extend_from_slice(&data[from..to]),
            }
            from = to;
        }
        kept.extend_from_slice(&data[from..]);
        (kept, left_out)
    }
}

/// A walk over records.
pub(super) trait Records<'a> {
    /// The next record; `None` at the end of the data, or where a record may go on beyond it.
    fn next(&mut self) -> Option<Record<'a>>;

    /// The start of the next record. After the last one: how much of the data has been decided.
    fn position(&self) -> usize;

    /// The physical lines before that.
    fn lines(&self) -> u64;
}

pub(super) struct Record<'a> {
    /// The physical line it starts on, from 0 for the first line of the data.
    pub(super) line: u64,
    /// Its bytes, without the line end.
    pub(super) range: Range<usize>,
    pub(super) content: Content<'a>,
}

/// What stands in a record.
pub(super) enum Content<'a> {
    Blank,
    /// The two ids: `from`, then `to`.
    Ids([Cow<'a, str>; 2]),
    /// It is none; with the ids as far as they can be told.
    Malformed(Malformed, [Cow<'a, str>; 2]),
}

/// Why a line is not a record with two ids, in the words of its format; a thin pointer, because every rejected line has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub(super) &'static &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How a list is read, once its beginning is known.
pub(super) struct Layout {
    pub(super) form: Box<dyn Form>,
    /// White space around ids is removed.
    pub(super) trim: bool,
    /// Lines that are let through.
    pub(super) accept: Accepted,
    /// What ids are read as.
    pub(super) accounts: AccountType,
    /// What to do about lines that are no records.
    pub(super) mend: &'static str,
    /// The bytes before the first record.
    pub(super) start: usize,
    /// The physical lines before it.
    pub(super) lines: u64,
    /// The blank ones among these.
    pub(super) blank: u64,
}

impl Layout {
    /// Reads the beginning of a list and returns it with what has been read beyond it.
    pub(super) fn read<R: Read>(
        blocks: &mut Blocks<R>,
        format: &Format,
    ) -> Result<(Self, Vec<u8>), PairsError> {
        format.check()?;
        let open = |data: &[u8], eof| {
            let Some((last, others)) = format.own.0.split_last() else { return Ok(None) };
            let known = others.iter().find(|(_, own)| own.begins(data));
            let (kind, own) = known.unwrap_or(last);
            let opened = own.open(data, format, eof);
            // What none of them is may be something else altogether.
            let opened =
                if known.is_some() { opened } else { opened.map_err(|e| e.or_foreign(data)) };
            Ok(opened?.map(|opened| (opened, kind.mend)))
        };
        let ((opened, mend), mut data) = beginning(blocks, format, open)?;
        let (form, Head { end, lines, blank }) = opened;
        data.drain(..end);
        let Format { trim, accept, accounts, .. } = *format;
        Ok((Self { form, trim, accept, accounts, mend, start: end, lines, blank }, data))
    }
}

/// Finds something in the beginning of a list, of which as much is read as that takes.
fn beginning<R: Read, T>(
    blocks: &mut Blocks<R>,
    format: &Format,
    find: impl Fn(&[u8], bool) -> Result<Option<T>, PairsError>,
) -> Result<(T, Vec<u8>), PairsError> {
    let mut data = Vec::new();
    loop {
        let block = blocks.next()?;
        let eof = block.is_none();
        data.extend(block.unwrap_or_default());
        if let Some(found) = find(&data, eof)? {
            return Ok((found, data));
        }
        if eof {
            return Err(PairsError::Empty {
                from: format.from_column.clone(),
                to: format.to_column.clone(),
            });
        }
    }
}

settings! {
    /// How pairs are written, in any format.
    INPUT: "Input", &[Plan, Apply, Undo];

    /// The column with the account that is emptied
    FROM_COLUMN: String = Setting::new("from_column", ValueKind::Text, "NAME", column)
        .default("from").example("old").recorded(text);

    /// The column with the account that receives everything
    TO_COLUMN: String = Setting::new("to_column", ValueKind::Text, "NAME", column)
        .default("to").example("new").recorded(text);

    /// Strip white space around ids, instead of rejecting such lines
    TRIM: bool = Setting::switch("trim").recorded(plain);

    /// Merge lines that a rule holds back: header, invalid-id, placeholder, spreadsheet; several by commas
    ///
    /// Their ids are taken as they stand. The report says which rule holds what back, and how many lines it let
    /// through. An id that is empty, too long, surrounded by white space or no value of the accounts' type is never
    /// let through.
    ACCEPT: Accepted = Setting::new("accept", ValueKind::List, "RULE", Accepted::parse)
        .example("placeholder").recorded(|accepted| accepted.names().collect());
}

/// The settings of the input, table by table.
pub(crate) fn tables() -> impl Iterator<Item = &'static [&'static dyn Described]> {
    [INPUT].into_iter().chain(FORMATS.iter().map(|kind| kind.settings))
}

/// All of them.
pub(crate) fn settings() -> impl Iterator<Item = &'static dyn Described> {
    tables().flatten().copied()
}

/// How pairs are written.
#[derive(Clone, Debug)]
pub struct Format {
    /// The name of the column with the account that is emptied.
    pub(crate) from_column: String,
    /// The name of the column with the account that receives.
    pub(crate) to_column: String,
    /// Remove white space around ids, instead of rejecting the line.
    pub trim: bool,
    /// Lines that are let through, although they are not what they seem.
    pub accept: Accepted,
    /// What ids are read as. It is no matter of the list, but without it nobody knows which ids are one account.
    pub accounts: AccountType,
    /// What each of the formats has besides.
    pub(crate) own: OwnSettings,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            from_column: "from".into(),
            to_column: "to".into(),
            trim: false,
            accept: Accepted::default(),
            accounts: AccountType::Text,
            own: OwnSettings::of(&Layers::default()).unwrap_or_default(),
        }
    }
}

impl Format {
    /// How pairs of such accounts are written, as the settings say.
    ///
    /// # Errors
    /// A setting has no value that it may have, or no input could be read by them.
    pub fn of(layers: &Layers, accounts: AccountType) -> Result<Self, SettingsError> {
        let format = Self {
            from_column: layers.get(&FROM_COLUMN)?,
            to_column: layers.get(&TO_COLUMN)?,
            trim: layers.get(&TRIM)?,
            accept: layers.find(&ACCEPT)?.unwrap_or_default(),
            accounts,
            own: OwnSettings::of(layers)?,
        };
        format.check().map_err(SettingsError::new)?;
        Ok(format)
    }

    /// Of a CSV that is separated by this, and nothing else.
    #[cfg(test)]
    pub(super) fn of_csv(delimiter: u8) -> Self {
        let csv: Arc<dyn ListFormat> = Arc::new(csv::CsvFormat { delimiter });
        Self { own: OwnSettings(vec![(&csv::KIND, csv)]), ..Self::default() }
    }

    /// Refuses settings under which no input could be read.
    fn check(&self) -> Result<(), PairsError> {
        if self.from_column.trim() == self.to_column.trim() {
            return Err(PairsError::SameColumn { name: self.from_column.trim().to_owned() });
        }
        Ok(())
    }
}

/// The formats of which a list may be, each with its settings; the last takes whatever no other knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnSettings(Vec<(&'static FormatKind, Arc<dyn ListFormat>)>);

impl OwnSettings {
    fn of(layers: &Layers) -> Result<Self, SettingsError> {
        let own = |kind: &'static FormatKind| Ok((kind, (kind.of)(layers)?));
        FORMATS.into_iter().map(own).collect::<Result<_, _>>().map(Self)
    }
}

fn column(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("is not a column".to_owned()) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_said_the_format_is_the_default() {
        let format = Format::of(&Layers::default(), AccountType::default()).unwrap();
        assert_eq!(format!("{format:?}"), format!("{:?}", Format::default()));
        assert_eq!(format.own.0.len(), FORMATS.len());
    }

    #[test]
    fn what_no_format_can_read_is_told_as_what_it_is() {
        let csv = Format::of_csv(b',');
        let read = |list: &[u8]| Layout::read(&mut Blocks::new(list, 1 << 10), &csv);
        for (list, what) in [(&b"\xff\xfef\0r\0\n"[..], "UTF-16"), (b"{\"from\":1}\n", "JSON")] {
            let error = read(list).err().unwrap().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(read(b"from,to\n").is_ok());
    }
}
