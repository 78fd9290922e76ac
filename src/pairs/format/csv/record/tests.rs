use super::*;

fn scan(data: &[u8]) -> Vec<(u64, Form, Vec<String>)> {
    let mut scanner = Scanner::new(data, CsvFormat::default(), true);
    let mut found = Vec::new();
    while let Some(record) = scanner.next() {
        let fields = match record.form {
            Form::Plain | Form::Quoted => scanner.all_fields(&record),
            _ => Vec::new(),
        };
        let fields = fields.into_iter().map(Cow::into_owned).collect();
        found.push((record.line, record.form, fields));
    }
    assert_eq!(scanner.position(), data.len());
    found
}

fn check(data: &[u8], expected: &[(u64, Form, &[&str])]) {
    let expected: Vec<(u64, Form, Vec<String>)> = expected
        .iter()
        .map(|(line, form, f)| (*line, *form, f.iter().map(|f| (*f).to_owned()).collect()))
        .collect();
    assert_eq!(scan(data), expected, "{:?}", String::from_utf8_lossy(data));
}

#[test]
fn splits_plain_lines() {
    check(
        b"a,b\r\nc,d,e\n\n \t\nf",
        &[
            (0, Form::Plain, &["a", "b"]),
            (1, Form::Plain, &["c", "d", "e"]),
            (2, Form::Blank, &[]),
            (3, Form::Blank, &[]),
            (4, Form::Plain, &["f"]),
        ],
    );
}

#[test]
fn splits_quoted_fields() {
    check(
        b"\"a,1\",\"b \"\"x\"\"\"\r\n\"two\nlines\",y\nz,\"\"",
        &[
            (0, Form::Quoted, &["a,1", "b \"x\""]),
            (1, Form::Quoted, &["two\nlines", "y"]),
            (3, Form::Quoted, &["z", ""]),
        ],
    );
}

#[test]
fn broken_quoting_costs_one_line() {
    check(
        b"a\"b,c\n\"a\"b,c\n\"open,c\nx,y\n",
        &[
            (0, Form::Broken(Malformed::BARE_QUOTE), &[]),
            (1, Form::Broken(Malformed::TEXT_AFTER_QUOTE), &[]),
            (2, Form::Broken(Malformed::UNCLOSED_QUOTE), &[]),
            (3, Form::Plain, &["x", "y"]),
        ],
    );
}

#[test]
fn a_carriage_return_outside_quotes_ends_a_line_or_breaks_it() {
    let broken = Form::Broken(Malformed::BARE_RETURN);
    check(
        b"a,b\rc,d\ne,\r\r\n\r,f\n\"g\",h\ri\n\"j\"\rk,l\n\"m\rn\",o\r\nx\r,\"p\"\nq,r\r",
        &[
            (0, broken, &[]),
            (1, broken, &[]),
            (2, broken, &[]),
            (3, broken, &[]),
            (4, Form::Broken(Malformed::TEXT_AFTER_QUOTE), &[]),
            (5, Form::Quoted, &["m\rn", "o"]),
            (6, broken, &[]),
            (7, Form::Plain, &["q", "r"]),
        ],
    );
    // A quoted field that breaks on a later line costs its first line only.
    check(
        b"\"a\nb\",c\rd\ne,f\n",
        &[
            (0, Form::Broken(Malformed::UNCLOSED_QUOTE), &[]),
            (1, Form::Broken(Malformed::BARE_QUOTE), &[]),
            (2, Form::Plain, &["e", "f"]),
        ],
    );
}

#[test]
fn invalid_utf8_costs_one_record() {
    check(
        b"a,\xff\nb,\xc3\xa9\n\"\xff\n\",c\n",
        &[
            (0, Form::Broken(Malformed::INVALID_UTF8), &[]),
            (1, Form::Plain, &["b", "\u{e9}"]),
            (2, Form::Broken(Malformed::INVALID_UTF8), &[]),
        ],
    );
}

#[test]
fn a_quoted_field_is_bounded() {
    let mut data = b"\"".to_vec();
    data.extend(vec![b'x'; MAX_QUOTED_BYTES]);
    data.extend_from_slice(b"\nnext,line\n\",end\n");
    let found = scan(&data);
    assert_eq!(found[0].1, Form::Broken(Malformed::QUOTED_TOO_LONG));
    assert_eq!((found[1].0, found[1].1), (1, Form::Plain));
    assert_eq!(found[2].1, Form::Broken(Malformed::UNCLOSED_QUOTE));
    // The same without what follows: the bound, not the end of the data, decides.
    let mut scanner = Scanner::new(&data[..MAX_QUOTED_BYTES + 2], CsvFormat::default(), false);
    assert_eq!(scanner.next().unwrap().form, Form::Broken(Malformed::QUOTED_TOO_LONG));
}

#[test]
fn an_open_quote_waits_for_more_data() {
    let mut scanner = Scanner::new(b"a,b\n\"open\n", CsvFormat::default(), false);
    assert!(scanner.next().is_some());
    assert!(scanner.next().is_none());
    assert_eq!((scanner.position(), scanner.lines()), (4, 1));
}
