//! Where the input comes from: a file, plain or packed, or anything that can be opened again.

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use super::PairsError;
use super::gzip::{self, Members};

/// Input that can be read from the start more than once.
pub(crate) trait Source {
    /// Starts to read from the first byte of the text.
    fn open(&self) -> Result<Box<dyn Read + Send>, PairsError>;
}

impl<F: Fn() -> io::Result<Box<dyn Read + Send>>> Source for F {
    fn open(&self) -> Result<Box<dyn Read + Send>, PairsError> {
        self().map_err(PairsError::from_read)
    }
}

impl Source for Path {
    fn open(&self) -> Result<Box<dyn Read + Send>, PairsError> {
        open(self)
    }
}

impl Source for &Path {
    fn open(&self) -> Result<Box<dyn Read + Send>, PairsError> {
        open(self)
    }
}

/// Opens a file for [`read`](super::read), however it is [packed](Packing).
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>, PairsError> {
    let (start, raw) = peeked(open_raw(path)?).map_err(PairsError::from_read)?;
    Ok(text(&start, raw))
}

pub(crate) fn open_raw(path: &Path) -> Result<ListFile, PairsError> {
    let refused = |cause: io::Error| match cause.kind() {
        ErrorKind::NotFound => PairsError::Missing { path: path.to_owned() },
        _ => PairsError::Open { path: path.to_owned(), cause },
    };
    let file = File::open(path).map_err(refused)?;
    let began = file.metadata().map_err(refused)?;
    if began.is_dir() {
        return Err(PairsError::Directory { path: path.to_owned() });
    }
    Ok(ListFile { file, began })
}

/// A file that must not change while it is read: its end may be cut off in the midst of an account, which is another one
/// then.
#[derive(Debug)]
pub(crate) struct ListFile {
    file: File,
    /// As it was opened.
    began: Metadata,
}

impl Read for ListFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        if length == 0 && !buffer.is_empty() && self.began.is_file() {
            let now = self.file.metadata()?;
            let is_same =
                now.len() == self.began.len() && now.modified().ok() == self.began.modified().ok();
            if !is_same {
                let (began, now) = (self.began.len(), now.len());
                return Err(io::Error::other(Changed { began, now }));
            }
        }
        Ok(length)
    }
}

/// That the file changed, on its way through the readers: its length in bytes at the beginning and at the end.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) began: u64,
    pub(super) now: u64,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it changed from {} to {} bytes", self.began, self.now)
    }
}

impl Error for Changed {}

/// A way in which a list may be packed. A further one is a row of [`Packing::ALL`], and a reader that makes text of it, in
/// which the lines have the numbers that they have in the input.
struct Packing<R> {
    begins: &'static [u8],
    /// How a file of it ends its name.
    ending: &'static str,
    text: fn(BufReader<R>) -> Box<dyn Text<R>>,
    /// Packs a text again.
    pack: fn(&[u8]) -> io::Result<Vec<u8>>,
}

impl<R: Read + Send + 'static> Packing<R> {
    /// All of them.
    const ALL: &'static [Self] = &[Self {
        begins: &gzip::MAGIC,
        ending: "gz",
        text: |raw| Box::new(Members::new(raw)),
        pack: gzip::pack,
    }];

    /// The packing of what begins like this; none of plain text.
    fn of(start: &[u8]) -> Option<&'static Self> {
        Self::ALL.iter().find(|packing| start.starts_with(packing.begins))
    }
}

/// The text of an input.
pub(super) trait Text<R>: Read + Send {
    /// The reader of the raw bytes, unless they were refused.
    fn raw(&mut self) -> Option<&mut R>;
}

struct Plain<R>(R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Send> Text<R> for Plain<R> {
    fn raw(&mut self) -> Option<&mut R> {
        Some(&mut self.0)
    }
}

/// The bytes of a buffer that is filled at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Enough to know every packing by.
const START_BYTES: u64 = 16;

/// A reader whose first bytes have been looked at.
pub(super) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// How an input begins; with the input, still complete.
pub(super) fn peeked<R: Read>(mut reader: R) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut start = Vec::new();
    reader.by_ref().take(START_BYTES).read_to_end(&mut start)?;
    Ok((start.clone(), Cursor::new(start).chain(reader)))
}

/// What a file is called that begins like this: as one of plain text, with the ending of its packing.
pub(super) fn name(plain: &str, start: &[u8]) -> String {
    let ending = Packing::<io::Empty>::of(start).map(|packing| packing.ending);
    ending.map_or(plain.to_owned(), |ending| format!("{plain}.{ending}"))
}

/// A text, packed as what begins like this.
pub(super) fn packed(start: &[u8], text: Vec<u8>) -> io::Result<Vec<u8>> {
    match Packing::<io::Empty>::of(start) {
        Some(packing) => (packing.pack)(&text),
        None => Ok(text),
    }
}

/// The text of what begins like this.
pub(super) fn text<R: Read + Send + 'static>(start: &[u8], raw: R) -> Box<dyn Text<R>> {
    match Packing::of(start) {
        Some(packing) => (packing.text)(BufReader::with_capacity(BUFFER_BYTES, raw)),
        None => Box::new(Plain(raw)),
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::{Format, read};
    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        let path = env::temp_dir().join(format!("tributary-grows-{}.csv", std::process::id()));
        let write = |text: &str| fs::write(&path, text).unwrap();
        let read = |grows: bool| {
            write("from,to\na,b\n");
            let mut opened = open_raw(&path).unwrap();
            opened.read_exact(&mut [0; 4]).unwrap();
            if grows {
                write("from,to\na,b\nc,d");
            }
            opened.read_to_end(&mut Vec::new()).map_err(PairsError::from_read)
        };
        assert!(read(false).is_ok());
        let refused = read(true).unwrap_err().to_string();
        assert!(
            refused.contains("changed while it was read (12 bytes at first, 15 at the end)"),
            "{refused}"
        );
        fs::remove_file(&path).unwrap();
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(bytes: Vec<u8>) -> io::Result<String> {
        let (start, raw) = peeked(Cursor::new(bytes))?;
        let mut read = String::new();
        text(&start, raw).read_to_string(&mut read)?;
        Ok(read)
    }

    #[test]
    fn gzip_is_told_from_text() {
        assert_eq!(decoded(b"from,to\n".to_vec()).unwrap(), "from,to\n");
        assert_eq!(decoded(gzip(b"from,to\n")).unwrap(), "from,to\n");
        assert_eq!(decoded(b"".to_vec()).unwrap(), "");
        assert_eq!(decoded(b"x".to_vec()).unwrap(), "x");
    }

    #[test]
    fn every_member_of_a_gzip_file_is_read() {
        let mut bytes = gzip(b"from,to\n");
        bytes.extend(gzip(b"a,b\n"));
        assert_eq!(decoded(bytes).unwrap(), "from,to\na,b\n");
    }

    #[test]
    fn zeros_behind_a_member_are_padding() {
        let mut bytes = gzip(b"from,to\n");
        bytes.extend([0; 1_000]);
        assert_eq!(decoded(bytes.clone()).unwrap(), "from,to\n");
        bytes.extend(gzip(b"a,b\n"));
        assert_eq!(decoded(bytes.clone()).unwrap(), "from,to\na,b\n");
        bytes.extend([0; 300_000]);
        assert_eq!(decoded(bytes).unwrap(), "from,to\na,b\n");
    }

    #[test]
    fn anything_else_behind_a_member_is_shown() {
        for padding in [0, 7] {
            let mut bytes = gzip(b"from,to\na,b\n");
            bytes.extend(vec![0; padding]);
            bytes.extend(b"x9,\xe2\x80\x8by9\n");
            let error = decoded(bytes).unwrap_err().to_string();
            assert!(error.contains("not compressed ('x9,\\u{200b}y9\\n')"), "{error}");
        }
        let mut bytes = gzip(b"from,to\na,b\n");
        bytes.extend(&gzip(b"c,d\n")[..5]);
        assert_eq!(decoded(bytes).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_cut_gzip_file_is_an_error() {
        let mut bytes = gzip(b"from,to\na,b\n");
        bytes.truncate(bytes.len() - 6);
        let (start, raw) = peeked(Cursor::new(bytes)).unwrap();
        let error = read(text(&start, raw), &Format::default()).err().unwrap();
        assert!(matches!(error, PairsError::Read { .. }), "{error}");
        assert!(error.to_string().ends_with("The file is cut short: copy it once more"), "{error}");
        let mut bytes = gzip(b"from,to\na,b\n");
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        let (start, raw) = peeked(Cursor::new(bytes)).unwrap();
        let error = read(text(&start, raw), &Format::default()).err().unwrap();
        assert!(error.to_string().ends_with("The file is damaged: copy it once more"), "{error}");
    }

    #[test]
    fn says_what_is_wrong_with_a_path() {
        let directory = env::temp_dir();
        let error = open(&directory).err().unwrap();
        assert!(matches!(error, PairsError::Directory { .. }), "{error}");
        let error = open(&directory.join("tributary-no-such-file.csv")).err().unwrap();
        assert!(matches!(error, PairsError::Missing { .. }), "{error}");
    }

    #[test]
    fn a_file_is_a_source() {
        let path = env::temp_dir().join(format!("tributary-source-{}.csv", std::process::id()));
        fs::write(&path, gzip(b"from,to\na,b\n")).unwrap();
        for _ in 0..2 {
            let list = read(path.as_path().open().unwrap(), &Format::default()).unwrap();
            assert_eq!(list.len(), 1);
        }
        fs::remove_file(&path).unwrap();
    }
}
