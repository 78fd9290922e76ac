//! Where the input comes from: a file, plain or compressed, or anything that can be opened again.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use super::PairsError;
use super::gzip::{MAGIC, Members};

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

/// Opens a file for [`read`](super::read); gzip is recognised by its first bytes.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>, PairsError> {
    let (is_gzip, raw) = is_gzip(open_raw(path)?).map_err(PairsError::from_read)?;
    Ok(Box::new(Decoded::new(is_gzip, raw)))
}

/// Opens a file as it is.
pub(crate) fn open_raw(path: &Path) -> Result<File, PairsError> {
    let refused = |cause: io::Error| match cause.kind() {
        ErrorKind::NotFound => PairsError::Missing { path: path.to_owned() },
        _ => PairsError::Open { path: path.to_owned(), cause },
    };
    let file = File::open(path).map_err(refused)?;
    if file.metadata().map_err(refused)?.is_dir() {
        return Err(PairsError::Directory { path: path.to_owned() });
    }
    Ok(file)
}

/// A reader whose first bytes have been looked at.
pub(super) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Whether the input is compressed; with the input, still complete.
pub(super) fn is_gzip<R: Read>(mut reader: R) -> io::Result<(bool, Peeked<R>)> {
    let mut start = Vec::with_capacity(MAGIC.len());
    reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok((start == MAGIC, Cursor::new(start).chain(reader)))
}

/// Text that may be compressed.
pub(super) enum Decoded<R: Read> {
    /// As it is.
    Plain(R),
    /// One or more gzip members.
    Gzip(Members<BufReader<R>>),
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(is_gzip: bool, raw: R) -> Self {
        if is_gzip {
            Self::Gzip(Members::new(BufReader::with_capacity(256 << 10, raw)))
        } else {
            Self::Plain(raw)
        }
    }

    /// The reader of the raw bytes, unless they were refused.
    pub(super) fn raw(&mut self) -> Option<&mut R> {
        match self {
            Self::Plain(raw) => Some(raw),
            Self::Gzip(members) => members.raw().map(BufReader::get_mut),
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(members) => members.read(buffer),
        }
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

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(bytes: Vec<u8>) -> io::Result<String> {
        let (is_gzip, raw) = is_gzip(Cursor::new(bytes))?;
        let mut text = String::new();
        Decoded::new(is_gzip, raw).read_to_string(&mut text)?;
        Ok(text)
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
        let (is_gzip, raw) = is_gzip(Cursor::new(bytes)).unwrap();
        let error = read(Decoded::new(is_gzip, raw), &Format::default()).err().unwrap();
        assert!(matches!(error, PairsError::Read { .. }), "{error}");
        assert!(error.to_string().ends_with("The file is cut short: copy it once more"), "{error}");
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
