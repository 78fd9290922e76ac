//! A list without the records that name an account.

use std::io::Read;
use std::path::Path;

use super::blocks::{BLOCK_BYTES, Blocks};
use super::format::{Content, Layout};
use super::source::{open_raw, packed, peeked, text};
use super::{Format, PairsError};

/// A list without the records that name somebody, packed as it was; with how many they are. They name him anywhere: beside
/// the two ids, and also where they are no pairs.
///
/// # Errors
/// The list cannot be read by its format.
pub(crate) fn without(
    path: &Path,
    format: &Format,
    names: impl Fn(&[u8]) -> bool,
) -> Result<(Vec<u8>, u64), PairsError> {
    let (start, raw) = peeked(open_raw(path)?).map_err(PairsError::from_read)?;
    let mut list = Vec::new();
    text(&start, raw).read_to_end(&mut list).map_err(PairsError::from_read)?;
    let (layout, _) = Layout::read(&mut Blocks::new(&list[..], BLOCK_BYTES), format)?;
    // The form may write ids otherwise than they are read.
    let is_named = |record: &[u8], content: &Content<'_>| {
        let ids = match content {
            Content::Blank => &[][..],
            Content::Ids(ids) | Content::Malformed(_, ids) => ids,
        };
        names(record) || ids.iter().any(|id| names(id.as_bytes()))
    };
    let (kept, left_out) = layout.form.without(&list[layout.start..], &is_named);
    list.truncate(layout.start);
    list.extend(kept);
    let list = packed(&start, list).map_err(PairsError::from_read)?;
    Ok((list, left_out))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn records_go_that_name_somebody_whole_and_packed_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let list = b"sep=,\nfrom,to,note\nann,x,\n\"b\",c,\"two\nlines of ann\"\nd,e,f\n\"an\"\"n\",g,h\nann\n\ni,j,k";
        let without_ann = b"sep=,\nfrom,to,note\nd,e,f\n\ni,j,k";
        let names = |text: &[u8]| memchr::memmem::find(text, b"ann").is_some();
        let path = folder.path().join("pairs.csv");
        fs::write(&path, list).unwrap();
        let (kept, left_out) = without(&path, &Format::default(), names).unwrap();
        let quoted = b"\"an\"\"n\",g,h\n";
        let with_quoted = [&without_ann[..25], quoted, &without_ann[25..]].concat();
        assert_eq!(
            (String::from_utf8(kept).unwrap(), left_out),
            (String::from_utf8(with_quoted).unwrap(), 3)
        );
        let is_an_n = |text: &[u8]| names(text) || text == b"an\"n";
        fs::write(&path, super::super::gzip::pack(list).unwrap()).unwrap();
        let (kept, left_out) = without(&path, &Format::default(), is_an_n).unwrap();
        fs::write(&path, kept).unwrap();
        let mut text = String::new();
        super::super::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_bytes(), left_out), (&without_ann[..], 4));
        // What cannot be read must not pass for a list in which nobody is named.
        fs::write(&path, b"PAR1\n").unwrap();
        assert!(matches!(
            without(&path, &Format::default(), names),
            Err(PairsError::Foreign { .. })
        ));
    }
}
