//! What is read, whatever the size of the blocks.

use super::super::rejects_csv::write_rejects_in_blocks;
use super::*;
use crate::model::AccountType;

/// Reads with blocks of several sizes and returns what all of them find: `from>to@line` for
/// each pair, and the lines of the reject report.
fn check(text: &[u8], format: &Format, pairs: &[&str], rejects: &[&str]) {
    for (block_bytes, at_once) in [(1, 3), (7, 1), (16, 4), (1 << 20, 2)] {
        let list = read_in_blocks(text, format, block_bytes, at_once).unwrap();
        let name = |account| list.accounts.id(account).to_string();
        let found: Vec<String> = list
            .edges
            .iter()
            .zip(&list.lines)
            .map(|(edge, line)| format!("{}>{}@{line}", name(edge.from), name(edge.to)))
            .collect();
        assert_eq!(found, pairs, "blocks of {block_bytes}");
        let mut report = Vec::new();
        let owned = text.to_vec();
        let source = move || -> std::io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(std::io::Cursor::new(owned.clone())))
        };
        let (found, names) = (&list.rejects, &list.accounts);
        write_rejects_in_blocks(&source, format, found, names, &mut report, block_bytes).unwrap();
        let mut expected = "from,to,line,reason,original\n".to_owned();
        for line in rejects {
            expected.push_str(line);
            expected.push('\n');
        }
        assert_eq!(String::from_utf8(report).unwrap(), expected);
        let counted = list.edges.len() as u64 + list.blank + list.rejects.len() as u64;
        assert_eq!(list.records, counted);
    }
}

#[test]
fn reads_pairs_with_their_lines() {
    check(
        b"from,to\r\na,b\r\n\r\n\"c\",\"d\"\n0123abcd-4567-89ef-0123-456789abcdef,e\nf,g",
        &Format::default(),
        &["a>b@2", "c>d@4", "0123abcd-4567-89ef-0123-456789abcdef>e@5", "f>g@6"],
        &[],
    );
}

/// An id with a delimiter in it would be taken for two people.
#[test]
fn a_line_with_more_columns_than_the_header_is_rejected() {
    check(
        b"from,to\nSmith,John,b\nc,d,\ne,f, ,\n\"g\",\"h\",\"\"\n\"i\",\"j\",\"k\"\nl,m\n",
        &Format::default(),
        &["c>d@3", "e>f@4", "g>h@5", "l>m@7"],
        &[
            ",,2,malformed: the line has more columns than the header,\"Smith,John,b\"",
            ",,6,malformed: the line has more columns than the header,\"\"\"i\"\",\"\"j\"\",\"\"k\"\"\"",
        ],
    );
    check(
        b"name,from,to\nSmith,John,a,b\nx,c,d\n",
        &Format::default(),
        &["c>d@3"],
        &[",,2,malformed: the line has more columns than the header,\"Smith,John,a,b\""],
    );
    // A list with other columns that was appended: its header tells what follows.
    check(
        b"from,to\na,b\nto,from,note\nd,c,\n",
        &Format::default(),
        &["a>b@2"],
        &[
            "to,from,3,header: the line is a header with the columns in another order; what stands below it is not \
             read,\"to,from,note\"",
            "d,c,4,header: stands below a header with the columns in another order (line 3),\"d,c,\"",
        ],
    );
}

#[test]
fn a_header_without_a_pair_is_fine() {
    check(b"from,to", &Format::default(), &[], &[]);
    check(b"from,to\n\n", &Format::default(), &[], &[]);
}

#[test]
fn records_may_span_lines() {
    check(
        b"note,from,to\n\"1\n2\n3\",a,b\n\"x,\"\"\n\"\"\",c,\"d\n\"\"\"\nz,e,f\n",
        &Format { accept: Accepted::all(), ..Format::default() },
        &["a>b@2", "c>d\n\"@5", "e>f@8"],
        &[],
    );
}

#[test]
fn a_broken_line_does_not_swallow_the_next() {
    check(
        b"from,to\n\"a,b\nc,d\ne\"e,f\ng,h\n\"i\"i,j\nk,l\nm,\"n\n",
        &Format::default(),
        &["c>d@3", "g>h@5", "k>l@7"],
        &[
            ",,2,malformed: a quoted field that is not closed,\"\"\"a,b\"",
            ",,4,malformed: a quote inside a field that is not quoted,\"e\"\"e,f\"",
            ",,6,malformed: text after a closing quote,\"\"\"i\"\"i,j\"",
            ",,8,malformed: a quoted field that is not closed,\"m,\"\"n\"",
        ],
    );
}

#[test]
fn a_carriage_return_never_becomes_part_of_an_id() {
    check(
        b"from,to\na,b\rc,d\ne,f\r\n\"g\rh\",i\nj,k\r",
        &Format::default(),
        &["e>f@3", "j>k@5"],
        &[
            ",,2,malformed: a carriage return inside a line,\"a,b\rc,d\"",
            "\"g\rh\",i,4,invalid-id: from holds characters that nobody sees ('g\\rh'),\"\"\"g\rh\"\",i\"",
        ],
    );
}

#[test]
fn the_checks_are_made_in_order() {
    let long = "x".repeat(1_025);
    let text = format!("from,to\nshort\n,b\na,\n a,b\na,b\u{a0}\n{long},b\na,a\n ,\" \"\n");
    check(
        text.as_bytes(),
        &Format::default(),
        &[],
        &[
            "short,,2,malformed: the line has too few columns,short",
            ",b,3,invalid-id: from is empty,\",b\"",
            "a,,4,invalid-id: to is empty,\"a,\"",
            " a,b,5,invalid-id: from has white space around it,\" a,b\"",
            "a,b\u{a0},6,invalid-id: to has white space around it,\"a,b\u{a0}\"",
            &format!("{long},b,7,invalid-id: from is longer than 1024 bytes,\"{long},b\""),
            "a,a,8,self-pair: 'a' is paired with itself,\"a,a\"",
            " , ,9,invalid-id: from has white space around it,\" ,\"\" \"\"\"",
        ],
    );
}

const UUIDS: [&str; 2] =
    ["4aa7f1c0-0000-4000-8000-00000000abcd", "4aa7f1c0-0000-1000-8000-00000000abcd"];

#[test]
fn ids_are_what_their_type_makes_of_them() {
    let format = Format { accounts: AccountType::Uuid, ..Format::default() };
    let [random, timed] = UUIDS;
    let (upper, plain) = (random.to_uppercase(), random.replace('-', ""));
    let text =
        format!("from,to\n{upper},{timed}\n{{{random}}},{plain}\n{random},4aa7\nb,a\n{random}x,\n");
    let shown = format!("{{{random}}},{plain}");
    check(
        text.as_bytes(),
        &format,
        &[&format!("{random}>{timed}@2")],
        &[
            &format!("{shown},3,self-pair: '{{{random}}}' is paired with itself,\"{shown}\""),
            &format!("{random},4aa7,4,invalid-id: to is not a uuid,\"{random},4aa7\""),
            "b,a,5,invalid-id: from is not a uuid,\"b,a\"",
            &format!("{random}x,,6,invalid-id: from is not a uuid,\"{random}x,\""),
        ],
    );
    let format = Format { accounts: AccountType::TimeUuid, ..Format::default() };
    check(
        format!("from,to\n{timed},{random}\n").as_bytes(),
        &format,
        &[],
        &[&format!("{timed},{random},2,invalid-id: to is not a timeuuid,\"{timed},{random}\"")],
    );
}

#[test]
fn numbers_are_read_as_numbers() {
    for (of, article) in
        [(AccountType::Int, "an"), (AccountType::BigInt, "a"), (AccountType::Varint, "a")]
    {
        let format = Format { accounts: of, trim: true, ..Format::default() };
        check(
            b"from,to\n007, -5\n7,07\n-0,0010\n1e3,7\n",
            &format,
            &["7>-5@2", "0>10@4"],
            &[
                "7,07,3,self-pair: '7' is paired with itself,\"7,07\"",
                &format!("1e3,7,5,invalid-id: from is not {article} {of},\"1e3,7\""),
            ],
        );
    }
    let format = Format { accounts: AccountType::Int, ..Format::default() };
    let refused = ["2147483648,1,2,invalid-id: from is not an int,\"2147483648,1\""];
    check(b"from,to\n2147483648,1\n", &format, &[], &refused);
}

#[test]
fn text_is_one_account_in_one_spelling_only() {
    let (lower, upper) = (UUIDS[0], UUIDS[0].to_uppercase());
    let text = format!("from,to\n{lower},{upper}\n\u{e9},{lower}\n");
    let pairs = [format!("{lower}>{upper}@2"), format!("\u{e9}>{lower}@3")];
    let pairs = pairs.each_ref().map(String::as_str);
    check(text.as_bytes(), &Format::default(), &pairs, &[]);
    let ascii = Format { accounts: AccountType::Ascii, ..Format::default() };
    let refused = format!("\u{e9},{lower},3,invalid-id: from is not ascii,\"\u{e9},{lower}\"");
    check(text.as_bytes(), &ascii, &pairs[..1], &[&refused]);
}

#[test]
fn trimming_comes_before_the_checks() {
    let format = Format { trim: true, ..Format::default() };
    check(
        "from,to\n a,\u{a0}b \nx , x\n\" \",y\n".as_bytes(),
        &format,
        &["a>b@2"],
        &[
            "x,x,3,self-pair: 'x' is paired with itself,\"x , x\"",
            ",y,4,invalid-id: from is empty,\"\"\" \"\",y\"",
        ],
    );
}

#[test]
fn invalid_utf8_is_reported_legibly() {
    check(
        b"from,to,x\na,b,\xff\nc,d,\xc3\xa9\n",
        &Format::default(),
        &["c>d@3"],
        &[",,2,malformed: bytes that are not UTF-8,\"a,b,\u{fffd}\""],
    );
}

#[test]
fn other_columns_and_delimiters() {
    let format =
        Format { from_column: "alt".into(), to_column: "neu".into(), ..Format::of_csv(b'\t') };
    check(
        b"neu\tx\talt\n1,1\tx\t2\n\t\t\n",
        &format,
        &["2>1,1@2"],
        &[",,3,invalid-id: from is empty,\t\t"],
    );
}

/// The reject's line with its reason, as the report has it, for input of nothing that needs quotes.
fn rejected(from: &str, to: &str, line: u64, reason: &str) -> String {
    format!("{from},{to},{line},{reason},\"{from},{to}\"")
}

#[track_caller]
fn check_rejects(text: &str, format: &Format, pairs: &[&str], rejects: &[String]) {
    let rejects: Vec<&str> = rejects.iter().map(String::as_str).collect();
    check(text.as_bytes(), format, pairs, &rejects);
}

#[test]
fn what_is_not_an_id_is_held_back_and_let_through_by_name() {
    let text = "from,to\nu1,NULL\n'007,u5\nu1\u{200b},u2\nu6,u7\n";
    let nothing = rejected("u1", "NULL", 2, "placeholder: to is a word for nothing ('NULL')");
    let quoted =
        rejected("'007", "u5", 3, "spreadsheet: from is as a spreadsheet rewrites it (''007')");
    let unseen = "invalid-id: from holds characters that nobody sees ('u1\\u{200b}')";
    let unseen = rejected("u1\u{200b}", "u2", 4, unseen);
    let accepting = |names| Format { accept: Accepted::parse(names).unwrap(), ..Format::default() };
    let all = [nothing.clone(), quoted.clone(), unseen.clone()];
    check_rejects(text, &Format::default(), &["u6>u7@5"], &all);
    let rest = [quoted, unseen.clone()];
    check_rejects(text, &accepting("placeholder"), &["u1>NULL@2", "u6>u7@5"], &rest);
    let rest = [nothing, unseen];
    check_rejects(text, &accepting("spreadsheet"), &["'007>u5@3", "u6>u7@5"], &rest);
    let pairs = ["u1>NULL@2", "'007>u5@3", "u1\u{200b}>u2@4", "u6>u7@5"];
    check_rejects(text, &accepting("invalid-id,placeholder,spreadsheet"), &pairs, &[]);
}

/// What is not as it seems is told before what it is not; what is let through is still no value of another type.
#[test]
fn a_better_reason_than_the_type_comes_first() {
    let accept = Accepted::parse("placeholder").unwrap();
    let by = |accept| Format { accounts: AccountType::BigInt, accept, ..Format::default() };
    let text = "from,to\n1,NULL\n9.9E+15,2\n";
    let nothing = "placeholder: to is a word for nothing ('NULL')";
    let number = "spreadsheet: from is as a spreadsheet rewrites it ('9.9E+15')";
    let number = rejected("9.9E+15", "2", 3, number);
    let held = [rejected("1", "NULL", 2, nothing), number.clone()];
    check_rejects(text, &by(Accepted::default()), &[], &held);
    let of_type = [rejected("1", "NULL", 2, "invalid-id: to is not a bigint"), number];
    check_rejects(text, &by(accept), &[], &of_type);
}

/// A pair is never read by another header than the nearest one above.
#[test]
fn a_header_in_the_middle_is_none_of_the_pairs() {
    let text = "from,to\na,b\nfrom,to\nc,d\nto,from\ne,f\ng,NULL\n\u{feff}From,TO\nh,i\n";
    let turned = "header: the line is a header with the columns in another order; what stands below it is not read";
    let below = "header: stands below a header with the columns in another order (line 5)";
    let again = "header: the line repeats the header";
    let rejects = [
        rejected("from", "to", 3, again),
        rejected("to", "from", 5, turned),
        rejected("e", "f", 6, below),
        rejected("g", "NULL", 7, "placeholder: to is a word for nothing ('NULL')"),
        format!("from,to,8,{again},\"\u{feff}From,TO\""),
    ];
    check_rejects(text, &Format::default(), &["a>b@2", "c>d@4", "h>i@9"], &rejects);
    // With a byte order mark and quotes, as programs write both.
    let text =
        "from,to\n\u{feff}\"to\",\"from\"\ne,f\n\u{feff}\"from\",\"to\"\n\u{feff}\"a\",b\nc,d\n";
    let list = read(text.as_bytes(), &Format::default()).unwrap();
    let rules: Vec<_> = list.rejects().iter().map(|r| (r.line, r.reason.rule().name())).collect();
    assert_eq!(rules, [(2, "header"), (3, "header"), (4, "header"), (5, "invalid-id")]);
    assert_eq!(list.len(), 1);
    let text = "from,to\na,b\nfrom,to\nto,from\ne,f\ng,NULL\n\u{feff}From,TO\n";
    let accept = Accepted::parse("header").unwrap();
    let list = read(text.as_bytes(), &Format { accept, ..Format::default() }).unwrap();
    assert_eq!((list.len(), list.rejects().len()), (4, 2));
}

#[test]
fn zeros_are_said_to_be_zeros() {
    check(
        b"from,to\na,b\n\0\0\0\0",
        &Format::default(),
        &["a>b@2"],
        &[
            "\0\0\0\0,,3,\"malformed: nothing but zeros, as padding or a damaged file has them\",\0\0\0\0",
        ],
    );
}
