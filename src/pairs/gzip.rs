//! Compressed input: gzip members, one after the other, and what may stand behind them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::source::Text;

/// The first bytes of a gzip member.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How much is shown of what stands behind.
const SHOWN_BYTES: usize = 40;

/// The text of all members. Zeros behind a member, which copies by blocks leave there, are passed over; anything else
/// is refused, because part of the list may be missing.
pub(super) struct Members<R: BufRead> {
    at: At<R>,
}

enum At<R: BufRead> {
    Member(Box<GzDecoder<R>>),
    /// Behind the last.
    End(R),
    /// On the way from one to the next; or that failed.
    Between,
}

/// One member with a text.
pub(super) fn pack(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text)?;
    packed.finish()
}

impl<R: BufRead> Members<R> {
    /// Starts at the first member.
    pub(super) fn new(raw: R) -> Self {
        Self { at: At::Member(Box::new(GzDecoder::new(raw))) }
    }
}

impl<R: Read + Send> Text<R> for Members<BufReader<R>> {
    fn raw(&mut self) -> Option<&mut R> {
        let raw = match &mut self.at {
            At::Member(decoder) => decoder.get_mut(),
            At::End(raw) => raw,
            // What stands behind a member was refused.
            At::Between => return None,
        };
        Some(raw.get_mut())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let At::Member(decoder) = &mut self.at else { return Ok(0) };
            match decoder.read(buffer)? {
                0 => {}
                length => return Ok(length),
            }
            if let At::Member(decoder) = std::mem::replace(&mut self.at, At::Between) {
                self.at = behind(decoder.into_inner())?;
            }
        }
    }
}

/// What stands behind a member.
fn behind<R: BufRead>(mut raw: R) -> io::Result<At<R>> {
    loop {
        let next = raw.fill_buf()?;
        let zeros = next.iter().take_while(|byte| **byte == 0).count();
        match next.first() {
            None => return Ok(At::End(raw)),
            Some(0) => raw.consume(zeros),
            Some(first) if *first == MAGIC[0] => {
                return Ok(At::Member(Box::new(GzDecoder::new(raw))));
            }
            Some(_) => {
                let shown = String::from_utf8_lossy(&next[..next.len().min(SHOWN_BYTES)]);
                let shown = super::signs::escaped(&shown);
                let what = format!(
                    "behind the compressed part stand bytes that are not compressed ('{shown}'), so that \
                     the list may not be whole. If lines were appended: gunzip -c FILE > pairs.csv gives those before \
                     them (and warns); add them there"
                );
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
        }
    }
}
