//! Which headers are understood, and what is said of the others.

use super::*;
use crate::pairs::blocks::Blocks;
use crate::pairs::format::beginning;

/// Columns of a list that is separated by semicolons.
fn with_semicolons() -> Format {
    Format { from_column: "alt".into(), to_column: "neu".into(), ..Format::default() }
}

/// A header, what stands before the records, and what has been read.
fn read(
    text: &[u8],
    format: &Format,
    block_bytes: usize,
) -> Result<(Header, Head, Vec<u8>), PairsError> {
    let delimiter = if format.from_column == "alt" { b';' } else { b',' };
    let find = |data: &[u8], eof| Header::find(CsvFormat { delimiter }, data, format, eof);
    let ((header, head), data) = beginning(&mut Blocks::new(text, block_bytes), format, find)?;
    Ok((header, head, data))
}

fn layout(text: &[u8], format: &Format) -> Result<(usize, usize, Vec<u8>), PairsError> {
    match (read(text, format, 1 << 10), read(text, format, 3)) {
        (Ok((a, head, data)), Ok((b, same, _))) => {
            assert_eq!((a.from, a.to, head), (b.from, b.to, same));
            Ok((a.from, a.to, data[head.end..].to_vec()))
        }
        (Err(a), Err(b)) => {
            assert_eq!(a.to_string(), b.to_string());
            Err(a)
        }
        (a, b) => panic!("{a:?} {b:?}"),
    }
}

fn accepts(text: &[u8], format: &Format, expected: (usize, usize)) {
    let (from, to, _) = layout(text, format).unwrap();
    assert_eq!((from, to), expected);
}

#[test]
fn finds_the_columns_wherever_they_are() {
    let format = Format::default();
    accepts(b"from,to\n", &format, (0, 1));
    accepts(b"from,to", &format, (0, 1));
    accepts(b"\xef\xbb\xbffrom,to\r\n1,2\r\n", &format, (0, 1));
    accepts(b"\xef\xbb\xbf\"from\",\"to\"\n", &format, (0, 1));
    accepts(b"x, to ,\"two\nlines\", from \n", &format, (3, 1));
    accepts(b"neu;a,b;alt\n", &with_semicolons(), (2, 0));
}

#[test]
fn lists_of_our_own_are_known_whatever_the_columns_are_called() {
    let format = with_semicolons();
    for header in OWN_HEADERS {
        let text = format!("{header}\r\na,b,2,why\n");
        let (header, ..) = read(text.as_bytes(), &format, 1 << 10).unwrap();
        assert_eq!((header.from, header.to, header.csv.delimiter), (0, 1, b','));
    }
    let other = layout(b"from,to,line\n", &format).unwrap_err().to_string();
    assert!(other.contains("alt"), "{other}");
    // Columns that are there win.
    let reason = Format { to_column: "reason".into(), ..Format::default() };
    accepts(b"from,to,line,reason\n", &reason, (0, 3));
}

#[test]
fn leaves_what_follows_the_header() {
    let (_, _, rest) = layout(b"\n\nfrom,to\na,b\nc,d\n", &Format::default()).unwrap();
    assert_eq!(rest, b"a,b\nc,d\n");
}

fn refuses(text: &[u8], words: &str) {
    let error = layout(text, &Format::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn says_what_is_wrong_with_a_header() {
    refuses(b"", "empty");
    refuses(b"\xef\xbb\xbf", "empty");
    refuses(b"\n\r\n", "empty");
    refuses(b"from;to\n", "'from;to'");
    refuses(b"from;to\n", "with --delimiter ';' both columns are there");
    refuses(b"\"From\"\t\"To\"\n", "with --delimiter tab both columns are there");
    refuses(b" from | to \n------+----\n", "with --delimiter '|' both columns are there");
    refuses(
        b"\"from\" ,to\n",
        "text after a closing quote (white space behind a quote is such text",
    );
    refuses(b"u1,17\nu2,18\n", "is the header missing? Put the line 'from,to' before them");
    refuses(b"1,u1,17\n", "Put a line before them that names each column");
    refuses(b"a,to\n", "--from-column");
    refuses(b"from,to,from\n", "twice");
    refuses(b"fr\0om,to\n", "not a CSV file");
    refuses(b"\"from,to\n", "header");
}

#[test]
fn names_are_found_in_other_letters_unless_that_is_ambiguous() {
    let format = Format::default();
    accepts(b"From,To\n", &format, (0, 1));
    accepts(b"\"TO\",\"FROM\"\r\n", &format, (1, 0));
    accepts(b"FROM,from,to\n", &format, (1, 2));
    accepts("\u{200b}from,to\u{ad}\n".as_bytes(), &format, (0, 1));
    refuses(b"From,FROM,to\n", "'From' twice");
    let format = Format { from_column: "\u{c9}l\u{e8}ve".into(), ..format };
    accepts("to,\u{e9}l\u{c8}ve\n".as_bytes(), &format, (1, 0));
}

#[test]
fn a_first_line_may_say_what_separates_the_columns() {
    let format = Format::default();
    let read = |text: &[u8]| {
        let [whole, tiny] = [1 << 10, 3].map(|size| {
            let found = read(text, &format, size);
            let shown =
                |(h, head, _): (Header, Head, _)| (h.csv.delimiter, h.from, head.lines, head.blank);
            found.map(shown).map_err(|error| error.to_string())
        });
        assert_eq!(whole, tiny);
        whole
    };
    assert_eq!(read(b"sep=;\nx;from;to\n"), Ok((b';', 1, 2, 0)));
    assert_eq!(read(b"\xef\xbb\xbf\r\nSEP=;\r\n\r\nfrom;to\r\n"), Ok((b';', 0, 4, 2)));
    assert_eq!(read(b"\"sep=;\"\nfrom;to"), Ok((b';', 0, 2, 0)));
    assert_eq!(read(b"sep=\t\nfrom\tto\n"), Ok((b'\t', 0, 2, 0)));
    assert_eq!(read(b"sep=,\nfrom,to\n"), Ok((b',', 0, 2, 0)));
    // What it says may be wrong.
    assert_eq!(read(b"sep=;\nfrom,to\n"), Ok((b',', 0, 2, 0)));
    for wrong in [&b"sep=;;\nfrom,to\n"[..], b"sep=\nfrom,to\n", b"sep=\"\nfrom,to\n"] {
        let error = read(wrong).unwrap_err();
        assert!(error.contains("names no separator"), "{error}");
    }
    assert_eq!(read(b"separator,from,to\n"), Ok((b',', 1, 1, 0)));
}

#[test]
fn a_header_is_known_where_it_stands_again() {
    let text = "Konto,Ziel,Grund\n";
    let format =
        Format { from_column: "konto".into(), to_column: "Ziel".into(), ..Format::default() };
    let (header, ..) = read(text.as_bytes(), &format, 1 << 10).unwrap();
    for (from, to, heading) in [
        ("Konto", "Ziel", Some(Heading::Again)),
        (" KONTO ", "\u{feff}ziel", Some(Heading::Again)),
        ("Ziel", "Konto", Some(Heading::Turned)),
        ("Grund", "konto", Some(Heading::Turned)),
        ("Ziel", "Grund", Some(Heading::Turned)),
        ("from", "to", Some(Heading::Again)),
        ("to", "from", Some(Heading::Turned)),
        ("Grund", "Grund", None),
        ("Konto", "Konto", None),
        ("Konto", "bob", None),
        ("ziel1", "konto1", None),
        ("FROM", "TO", None),
    ] {
        assert_eq!(header.heading_of(from, to), heading, "{from} {to}");
    }
}
