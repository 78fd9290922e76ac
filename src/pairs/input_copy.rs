//! A copy of the input, made while it is read: a run keeps the bytes that it was given, so that it
//! can be resumed even when they came from standard input, and their hash, to recognise them.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::PairsError;
use super::source::{Text, name, open_raw, peeked, text};

/// The name of the copy in the run directory; of input that does not come as plain text an ending follows.
const COPY_NAME: &str = "pairs.csv";

/// Reads the text of the input while its raw bytes are copied.
pub(crate) struct InputCopy {
    text: Box<dyn Text<Tee<Box<dyn Read + Send>, File>>>,
    path: PathBuf,
}

/// A finished copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopiedInput {
    /// The copy.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub(crate) sha256: String,
}

impl InputCopy {
    /// Starts a copy of `input` (a file, standard input, …) in a directory.
    pub(crate) fn start(input: impl Read + Send + 'static, dir: &Path) -> Result<Self, PairsError> {
        let (start, raw) = peeked(input).map_err(PairsError::from_read)?;
        let path = dir.join(name(COPY_NAME, &start));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            // Account ids are personal data.
            .mode(0o600)
            .open(&path)
            .map_err(|cause| PairsError::Copy { path: path.clone(), cause })?;
        let raw: Box<dyn Read + Send> = Box::new(raw);
        let tee = Tee::new(raw, file, path.clone());
        Ok(Self { text: text(&start, tee), path })
    }

    /// Copies what has not been read yet and makes the copy durable.
    pub(crate) fn finish(mut self) -> Result<CopiedInput, PairsError> {
        // What was refused has ended the reading already.
        let refused = || PairsError::Read { cause: io::ErrorKind::InvalidData.into() };
        let tee = self.text.raw().ok_or_else(refused)?;
        io::copy(tee, &mut io::sink()).map_err(PairsError::from_read)?;
        tee.writer
            .sync_all()
            .map_err(|cause| PairsError::Copy { path: self.path.clone(), cause })?;
        Ok(CopiedInput { bytes: tee.bytes, sha256: tee.sha256(), path: self.path })
    }
}

impl Read for InputCopy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.text.read(buffer)
    }
}

/// The SHA-256 of a file's bytes, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> Result<String, PairsError> {
    let mut tee = Tee::new(open_raw(path)?, io::sink(), path.to_path_buf());
    io::copy(&mut tee, &mut io::sink()).map_err(PairsError::from_read)?;
    Ok(tee.sha256())
}

/// Passes bytes on while it copies and hashes them.
pub(crate) struct Tee<R, W> {
    reader: R,
    writer: W,
    path: PathBuf,
    hash: Sha256,
    bytes: u64,
    is_over: bool,
}

impl<R: Read, W: Write> Tee<R, W> {
    /// Copies what is read from `reader` to `writer`, which errors call `path`.
    pub(crate) fn new(reader: R, writer: W, path: PathBuf) -> Self {
        Self { reader, writer, path, hash: Sha256::new(), bytes: 0, is_over: false }
    }

    /// The SHA-256 of the bytes so far, in hexadecimal.
    pub(crate) fn sha256(&self) -> String {
        format!("{:x}", self.hash.clone().finalize())
    }
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What comes behind an end that was met would be in the copy, and read by nobody.
        let length = if self.is_over { 0 } else { self.reader.read(buffer)? };
        self.is_over = length == 0 && !buffer.is_empty();
        let bytes = &buffer[..length];
        self.writer.write_all(bytes).map_err(|cause| {
            io::Error::new(cause.kind(), CopyFailed { path: self.path.clone(), cause })
        })?;
        self.hash.update(bytes);
        self.bytes += length as u64;
        Ok(length)
    }
}

/// A failure to write, on its way through the readers.
#[derive(Debug)]
pub(super) struct CopyFailed {
    pub(super) path: PathBuf,
    pub(super) cause: io::Error,
}

impl fmt::Display for CopyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write {}: {}", self.path.display(), self.cause)
    }
}

impl Error for CopyFailed {}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use flate2::Compression;
    use flate2::read::GzEncoder;

    use super::super::{Format, read};
    use super::*;

    /// Ends, and goes on: a file that somebody appends to.
    struct Growing(Vec<&'static [u8]>);

    impl Read for Growing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Ok(0) } else { self.0.remove(0).read(buffer) }
        }
    }

    #[test]
    fn the_copy_ends_where_the_reading_did() {
        let mut tee = Tee::new(Growing(vec![b"a,b\n", b"", b"c,d\n"]), Vec::new(), PathBuf::new());
        for expected in ["a,b\n", ""] {
            let mut read = String::new();
            tee.read_to_string(&mut read).unwrap();
            assert_eq!(read, expected);
        }
        assert_eq!(tee.writer, b"a,b\n");
    }

    fn check(input: &[u8], name: &str, case: &str) {
        let dir = env::temp_dir().join(format!("tributary-copy-{}-{case}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut copy = InputCopy::start(io::Cursor::new(input.to_owned()), &dir).unwrap();
        let list = read(&mut copy, &Format::default()).unwrap();
        assert_eq!(list.len(), 1);
        let copied = copy.finish().unwrap();
        assert_eq!(copied.path, dir.join(name));
        assert_eq!(fs::read(&copied.path).unwrap(), input);
        assert_eq!(copied.bytes, input.len() as u64);
        let expected = format!("{:x}", Sha256::digest(input));
        assert_eq!(copied.sha256, expected);
        assert_eq!(sha256(&copied.path).unwrap(), expected);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn copies_what_it_reads() {
        check(b"from,to\na,b\n", COPY_NAME, "plain");
        let mut packed = Vec::new();
        GzEncoder::new(&b"from,to\na,b\n"[..], Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        check(&packed, "pairs.csv.gz", "gzip");
    }

    #[test]
    fn the_copy_is_complete_even_if_the_text_is_not_read() {
        let dir = env::temp_dir().join(format!("tributary-copy-{}-rest", process::id()));
        fs::create_dir_all(&dir).unwrap();
        let input = b"from,to\n".repeat(100_000);
        let mut copy = InputCopy::start(io::Cursor::new(input.clone()), &dir).unwrap();
        copy.read_exact(&mut [0; 100]).unwrap();
        let copied = copy.finish().unwrap();
        assert_eq!(fs::read(&copied.path).unwrap(), input);
        fs::remove_dir_all(&dir).unwrap();
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_is_named() {
        let tee = Tee::new(&b"from,to\na,b\n"[..], Full, PathBuf::from("run/pairs.csv"));
        let error = read(tee, &Format::default()).err().unwrap();
        assert!(matches!(&error, PairsError::Copy { .. }), "{error}");
        assert!(error.to_string().contains("run/pairs.csv"), "{error}");
    }
}
