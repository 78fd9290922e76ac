//! What is given in place of a CSV, known by how it begins, and how it becomes one.
//!
//! It is asked only after no header could be found, so that no list is mistaken for anything else.

use memchr::memmem;

/// Something that is no CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// What it is, with its article.
    pub(super) what: &'static str,
    /// How to get a CSV out of it.
    pub(super) way: &'static str,
}

/// How far the beginning is looked through.
const START: usize = 64 << 10;

const SAVE_AS: &str =
    "open it in the spreadsheet program with the ids as text, and save it as CSV (UTF-8)";
const UTF_16: &str =
    "iconv -f UTF-16 -t UTF-8 FILE > pairs.csv (where it is separated by tabs: --delimiter tab)";

/// What something is by the bytes at a position.
const BY_BYTES: [(usize, &[u8], Foreign); 29] = [
    (0, b"\x1f\x8b", is("compressed by gzip twice", "gunzip -c FILE | gunzip > pairs.csv")),
    (0, b"\x28\xb5\x2f\xfd", is("compressed by zstd", "zstd -dc FILE > pairs.csv")),
    (0, b"BZh", is("compressed by bzip2", "bzip2 -dc FILE > pairs.csv")),
    (0, b"\xfd7zXZ\0", is("compressed by xz", "xz -dc FILE > pairs.csv")),
    (0, b"\x5d\0\0", is("compressed by lzma", "xz --format=lzma -dc FILE > pairs.csv")),
    (0, b"\x04\x22\x4d\x18", is("compressed by lz4", "lz4 -dc FILE > pairs.csv")),
    (0, b"\xff\x06\0\0sNaPpY", is("compressed by snappy", "snzip -dc FILE > pairs.csv")),
    (0, b"\x1f\x9d", is("compressed by compress", "gunzip -c FILE > pairs.csv")),
    (0, b"7z\xbc\xaf\x27\x1c", is("a 7-Zip archive", "7z e -so FILE > pairs.csv")),
    (0, b"Rar!\x1a\x07", is("a RAR archive", "unrar p -inul FILE > pairs.csv")),
    (257, b"ustar", is("a tar archive", "tar -xOf FILE > pairs.csv, where it holds one file")),
    (
        0,
        b"PAR1",
        is("a Parquet file", "duckdb -csv -c \"SELECT * FROM read_parquet('FILE')\" > pairs.csv"),
    ),
    (0, b"ORC", is("an ORC file", "write the table as CSV where it comes from")),
    (0, b"Obj\x01", is("an Avro file", "write the records as CSV where they come from")),
    (0, b"ARROW1", is("an Arrow file", "write the table as CSV where it comes from")),
    (0, b"FEA1", is("a Feather file", "write the table as CSV where it comes from")),
    (0, b"\x89HDF\r\n\x1a\n", is("an HDF5 file", "write the table as CSV where it comes from")),
    (
        0,
        b"SQLite format 3\0",
        is("an SQLite database", "sqlite3 -header -csv FILE 'SELECT …' > pairs.csv"),
    ),
    (
        0,
        b"PGDMP",
        is(
            "a dump of PostgreSQL",
            "restore it and export with: \\copy (SELECT …) TO pairs.csv CSV HEADER",
        ),
    ),
    (0, b"%PDF-", is("a PDF", "ask for the list as CSV: its text cannot be relied on")),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        is("an old Excel workbook or another Office file", SAVE_AS),
    ),
    (0, b"{\\rtf", is("an RTF document", "ask for the list as CSV")),
    (0, b"\x7fELF", is("a program", "give the file with the pairs")),
    (0, b"\x89PNG", is("a picture", "ask for the list as CSV")),
    (0, b"\xff\xd8\xff", is("a picture", "ask for the list as CSV")),
    (0, b"\xff\xfe\0\0", is("text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE > pairs.csv")),
    (0, b"\0\0\xfe\xff", is("text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE > pairs.csv")),
    (0, b"\xff\xfe", is("text in UTF-16", UTF_16)),
    (0, b"\xfe\xff", is("text in UTF-16", UTF_16)),
];

/// What something is by how its text begins, in small letters.
const BY_TEXT: [(&str, Foreign); 15] = [
    (
        "version https://git-lfs.github.com/",
        is(
            "a pointer of Git LFS, not the file itself",
            "git lfs pull, in the repository that it is from",
        ),
    ),
    ("<!doctype html", is("a web page", HTML)),
    ("<html", is("a web page", HTML)),
    ("<?xml", is("an XML document", "if it is a spreadsheet's, save it as CSV (UTF-8) there")),
    ("<", is("a document with tags (HTML or XML)", HTML)),
    ("{", is("JSON", JSON)),
    ("[", is("JSON", JSON)),
    ("-----begin pgp", is("encrypted by PGP", "gpg -d FILE > pairs.csv")),
    ("age-encryption.org/", is("encrypted by age", "age -d FILE > pairs.csv")),
    ("salted__", is("encrypted by OpenSSL", "decrypt it as it was encrypted: openssl enc -d …")),
    ("insert into", is("SQL", SQL)),
    ("create table", is("SQL", SQL)),
    ("-- ", is("SQL", SQL)),
    ("copy ", is("SQL", SQL)),
    ("%!ps", is("PostScript", "ask for the list as CSV")),
];

const HTML: &str = "a download that needs a login often leaves one: fetch the file itself";
const JSON: &str = "with the accounts as from and to in each object: (echo from,to; jq -r 'if type == \"array\" then .[] \
                    else . end | [.from, .to] | @csv' FILE) > pairs.csv";
const SQL: &str = "load it into a database, and export the pairs as CSV with a header";

const fn is(what: &'static str, way: &'static str) -> Foreign {
    Foreign { what, way }
}

/// What begins like this, if it is known.
pub(super) fn foreign(start: &[u8]) -> Option<Foreign> {
    let start = &start[..start.len().min(START)];
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return Some(archive(start));
    }
    let is_there = |(at, bytes, _): &&(usize, &[u8], Foreign)| {
        start.get(*at..).is_some_and(|rest| rest.starts_with(bytes))
    };
    if let Some((.., found)) = BY_BYTES.iter().find(is_there) {
        return Some(*found);
    }
    if start.contains(&0) {
        return holes(start);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let begins = |word: &str| {
        text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word.as_bytes()))
    };
    if let Some((_, found)) = BY_TEXT.iter().find(|(word, _)| begins(word)) {
        return Some(*found);
    }
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\r');
    if first_line.iter().any(is_control) {
        return None;
    }
    if std::str::from_utf8(first_line).is_err() && first_line.len() < START {
        return Some(is(
            "not UTF-8 (Latin-1 or Windows-1252, perhaps)",
            "iconv -f WINDOWS-1252 -t UTF-8 FILE > pairs.csv",
        ));
    }
    memchr::memchr(b'\r', first_line.trim_ascii_end()).map(|_| {
        is(
            "text whose lines end with carriage returns alone, at least the first",
            "tr '\\r' '\\n' < FILE > pairs.csv",
        )
    })
}

/// What is in the archive whose first entries are named here.
fn archive(start: &[u8]) -> Foreign {
    let names = |name: &[u8]| memmem::find(start, name).is_some();
    if names(b"opendocument.spreadsheet") {
        is("an OpenDocument spreadsheet", SAVE_AS)
    } else if names(b"word/") {
        is("a Word document", "ask for the list as CSV")
    } else if names(b"xl/") || names(b"[Content_Types].xml") || names(b"docProps/") {
        is("an Excel workbook", SAVE_AS)
    } else {
        is("a zip archive", "unzip -p FILE > pairs.csv, where it holds one file")
    }
}

/// What has bytes of zero: UTF-16 where every second one is, or no text at all.
fn holes(start: &[u8]) -> Option<Foreign> {
    const LOOKED_AT: usize = 64;
    let start = &start[..start.len().min(LOOKED_AT)];
    let zeros = |from: usize| start.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let most = start.len() / 2 * 3 / 4;
    if even + odd == start.len() {
        Some(is(
            "nothing but zeros where it begins",
            "get the file once more: it was not written to its end",
        ))
    } else if odd >= most.max(1) && even == 0 {
        Some(is("text in UTF-16", "iconv -f UTF-16LE -t UTF-8 FILE > pairs.csv"))
    } else if even >= most.max(1) && odd == 0 {
        Some(is("text in UTF-16", "iconv -f UTF-16BE -t UTF-8 FILE > pairs.csv"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::{Format, PairsError, read};
    use super::*;

    fn tar(name: &str, text: &[u8]) -> Vec<u8> {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[257..262].copy_from_slice(b"ustar");
        [&header[..], text, &[0; 1024]].concat()
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// Each is read as the pairs are, so that what cannot be read says what it is.
    #[test]
    fn what_is_no_csv_says_what_it_is_and_how_to_make_one() {
        let csv = "from,to\na,b\n";
        let cases: Vec<(Vec<u8>, &str, &str)> = vec![
            (b"PK\x03\x04\x14\0\0\0\x08\0pairs.csv\n".to_vec(), "a zip archive", "unzip"),
            (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml\n".to_vec(), "an Excel workbook", "UTF-8"),
            (
                b"PK\x03\x04\x14\0\0\0mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
                    .to_vec(),
                "OpenDocument",
                "UTF-8",
            ),
            (b"\x28\xb5\x2f\xfd\x04\n\"\n".to_vec(), "zstd", "zstd -dc"),
            (b"BZh91AY&SY\n".to_vec(), "bzip2", "bzip2 -dc"),
            (b"\xfd7zXZ\0\0\x04\n".to_vec(), "xz", "xz -dc"),
            (b"\x04\x22\x4d\x18\n".to_vec(), "lz4", "lz4 -dc"),
            (b"7z\xbc\xaf\x27\x1c\n".to_vec(), "7-Zip", "7z"),
            (tar("pairs.csv", csv.as_bytes()), "a tar archive", "tar -xOf"),
            (b"PAR1\x15\x04\n".to_vec(), "Parquet", "duckdb"),
            (b"Obj\x01\x04\n".to_vec(), "Avro", "CSV"),
            (b"SQLite format 3\0\x10\0\n".to_vec(), "SQLite", "sqlite3"),
            (b"%PDF-1.7\n".to_vec(), "a PDF", "CSV"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\n".to_vec(), "Excel", "CSV"),
            (b"<!DOCTYPE html>\n<html>\n".to_vec(), "a web page", "login"),
            (b"\xef\xbb\xbf \n<HTML>\n".to_vec(), "a web page", "login"),
            (b"<?xml version=\"1.0\"?>\n".to_vec(), "XML", "CSV"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n".to_vec(),
                "Git LFS",
                "git lfs pull",
            ),
            (b"[{\"from\":\"a\",\"to\":\"b\"}]".to_vec(), "JSON", "jq"),
            (b"{\"from\":\"a\",\"to\":\"b\"}\n{}\n".to_vec(), "JSON", "jq"),
            (b"-- MySQL dump 10.13\n".to_vec(), "SQL", "export"),
            (b"INSERT INTO pairs VALUES ('a','b');\n".to_vec(), "SQL", "export"),
            (utf_16(&format!("\u{feff}{csv}"), u16::to_le_bytes), "UTF-16", "iconv"),
            (utf_16(&format!("\u{feff}{csv}"), u16::to_be_bytes), "UTF-16", "iconv"),
            (utf_16(csv, u16::to_le_bytes), "UTF-16", "UTF-16LE"),
            (utf_16(csv, u16::to_be_bytes), "UTF-16", "UTF-16BE"),
            (b"von,zur\xfcck\na,b\n".to_vec(), "not UTF-8", "WINDOWS-1252"),
            (b"from,to\ra,b\rc,d\r".to_vec(), "carriage returns", "tr '\\r' '\\n'"),
            (b"from,to\ra,b\nc,d\n".to_vec(), "carriage returns", "tr '\\r' '\\n'"),
            (vec![0; 5_000], "nothing but zeros", "once more"),
        ];
        for (bytes, what, way) in cases {
            let error = read(&bytes[..], &Format::of_csv(b',')).unwrap_err();
            let message = error.to_string();
            assert!(matches!(error, PairsError::Foreign { .. }), "{what}: {message}");
            assert!(message.contains(what) && message.contains(way), "{what}: {message}");
        }
    }

    #[test]
    fn what_is_within_gzip_says_so_as_well() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let twice = gzip(b"from,to\na,b\n");
        assert_eq!(foreign(&twice).unwrap().what, "compressed by gzip twice");
        let archived = tar("pairs.csv", b"from,to\n");
        assert_eq!(foreign(&archived).unwrap().what, "a tar archive");
    }

    /// A list that begins like something else is a list, if it has the columns.
    #[test]
    fn a_header_is_believed_first() {
        for header in [
            "PAR1,from,to",
            "<x>,from,to",
            "{a},from,to",
            "BZh,from,to",
            "-- ,from,to",
            "[,from,to",
        ] {
            let list =
                read(format!("{header}\n1,a,b\n").as_bytes(), &Format::of_csv(b',')).unwrap();
            assert_eq!(list.len(), 1, "{header}");
        }
        assert_eq!(foreign(b"alt,neu\na,b\n"), None);
        assert_eq!(foreign(b""), None);
    }

    #[test]
    fn a_long_first_line_says_what_it_is() {
        let json = [b"[".to_vec(), b"{\"from\":1},".repeat(6 << 20)].concat();
        let message = read(&json[..], &Format::of_csv(b',')).unwrap_err().to_string();
        assert!(message.contains("JSON"), "{message}");
    }
}
