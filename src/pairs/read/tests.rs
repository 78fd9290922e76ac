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
        b"from,to\r\na,b\r\n\r\n\"c\",\"d\"\n0123abcd-4567-89ef-0123-456789abcdef,e,extra\nf,g",
        &Format::default(),
        &["a>b@2", "c>d@4", "0123abcd-4567-89ef-0123-456789abcdef>e@5", "f>g@6"],
        &[],
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
        &Format::default(),
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
        &["e>f@3", "g\rh>i@4", "j>k@5"],
        &[",,2,malformed: a carriage return inside a line,\"a,b\rc,d\""],
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
    let format = Format {
        from_column: "alt".into(),
        to_column: "neu".into(),
        delimiter: b'\t',
        ..Format::default()
    };
    check(
        b"neu\tx\talt\n1,1\tx\t2\n\t\t\n",
        &format,
        &["2>1,1@2"],
        &[",,3,invalid-id: from is empty,\t\t"],
    );
}
