//! The planner against a second one that is too simple to be wrong: strings, maps and recursion.

#[cfg(test)]
mod ids;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};

use proptest::prelude::*;

use ids::{number, text, usual, uuid};

use super::{Plan, PlanStats, resolve};
use crate::model::AccountType;
use crate::pairs::{Format, Outcome, read_in_blocks, write_rejects_in_blocks};

/// One record of an input, as it is meant.
#[derive(Clone, Debug)]
enum Line {
    Pair(String, String, u8),
    Blank(u8),
    /// Not a record: the bytes stand on one line.
    Malformed(u8),
}

/// An open quote is not among them: what follows may close it, and then the input means something
/// else. The second test covers it.
const MALFORMED: [&[u8]; 6] =
    [b"lonely", b"a\"b,c,x", b"\"a\"b,c,x", b"a,b,\xff", b"a,b\rc,d", b"a\r,\"b\""];

/// A type, and lines of such ids.
fn typed() -> impl Strategy<Value = (AccountType, Vec<Line>)> {
    let lines = |id: fn() -> BoxedStrategy<String>| prop::collection::vec(line(id), 0..24);
    let of = |of: &[AccountType]| prop::sample::select(of.to_vec());
    prop_oneof![
        (of(&[AccountType::Text, AccountType::Ascii]), lines(text)),
        (of(&[AccountType::Text, AccountType::Uuid, AccountType::TimeUuid]), lines(uuid)),
        (of(&[AccountType::Int, AccountType::BigInt, AccountType::Varint]), lines(number)),
    ]
}

fn line(id: fn() -> BoxedStrategy<String>) -> impl Strategy<Value = Line> {
    prop_oneof![
        20 => (id(), id(), any::<u8>()).prop_map(|(from, to, style)| Line::Pair(from, to, style)),
        1 => any::<u8>().prop_map(Line::Blank),
        1 => any::<u8>().prop_map(Line::Malformed),
    ]
}

/// The input as CSV (extra column first or last, quoted or not, either line end), with the physical
/// line of each record.
fn written(lines: &[Line], bom: bool, end: bool) -> (Vec<u8>, Vec<u64>) {
    let mut text = if bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
    text.extend_from_slice(b"from,to,note");
    let mut numbers = Vec::new();
    for line in lines {
        text.push(b'\n');
        numbers.push(1 + text.iter().filter(|&&byte| byte == b'\n').count() as u64);
        match line {
            Line::Pair(from, to, style) => {
                text.extend(quoted(from, style & 1 == 1));
                text.push(b',');
                text.extend(quoted(to, style & 2 == 2));
                let note: &[u8] =
                    [&b""[..], b",", b",more", b",\"x\n,y\"", b",,,"][usize::from(style >> 3) % 5];
                text.extend(note);
                if style & 4 == 4 {
                    text.push(b'\r');
                }
            }
            Line::Blank(style) => text.extend([&b""[..], b"\r", b" \t"][usize::from(*style) % 3]),
            Line::Malformed(style) => text.extend(malformed(*style)),
        }
    }
    // Without a line feed at the end an empty last record would not be there.
    if end || matches!(lines.last(), Some(Line::Blank(_))) {
        text.push(b'\n');
    }
    (text, numbers)
}

fn malformed(style: u8) -> &'static [u8] {
    MALFORMED[usize::from(style) % MALFORMED.len()]
}

fn quoted(id: &str, always: bool) -> Vec<u8> {
    if always || id.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", id.replace('"', "\"\"")).into_bytes()
    } else {
        id.as_bytes().to_vec()
    }
}

/// What the simple planner says.
#[derive(Debug, Default, PartialEq)]
struct Verdict {
    /// Survivor, and for each source: itself, its target, its line.
    groups: Vec<(String, Vec<Source>)>,
    /// Line, code, and the two ids.
    rejects: Vec<(u64, String, String, String)>,
    duplicates: u64,
    blank: u64,
    chains: u64,
    longest_chain: u64,
    fan_ins: u64,
    largest_fan_in: u64,
}

type Source = (String, String, u64);
type Parents = BTreeMap<String, (String, u64)>;

fn simple(of: AccountType, lines: &[Line], numbers: &[u64]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut good = Vec::new();
    // Rejects show what stands in the input.
    let mut written: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
    // Whether what the columns hold is what another header says.
    let mut is_below = false;
    for (line, &number) in lines.iter().zip(numbers) {
        let mut reject = |code: &str, from: &str, to: &str| {
            verdict.rejects.push((number, code.into(), from.into(), to.into()));
        };
        match line {
            Line::Blank(_) => verdict.blank += 1,
            Line::Malformed(style) if malformed(*style) == b"lonely" => {
                reject("malformed", "lonely", "");
            }
            Line::Malformed(_) => reject("malformed", "", ""),
            Line::Pair(from, to, _) => {
                if let Some(turned) = heading(from, to) {
                    is_below = turned;
                    let shown = if turned { ("to", "from") } else { ("from", "to") };
                    reject("header", shown.0, shown.1);
                    continue;
                }
                match (account(of, from), account(of, to)) {
                    (Err(code), _) | (_, Err(code)) => reject(code, from, to),
                    (Ok(one), Ok(other)) if one == other => reject("self-pair", from, to),
                    (Ok(one), Ok(other)) if !is_below => {
                        written.insert(number, (from, to));
                        good.push((one, other, number));
                    }
                    _ => reject("header", from, to),
                }
            }
        }
    }
    let mut targets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to, _) in &good {
        targets.entry(from).or_default().insert(to);
    }
    let single = |from: &str| -> Option<&str> {
        let all = targets.get(from)?;
        if all.len() == 1 { all.first().copied() } else { None }
    };
    let on_cycle = |from: &str| {
        let mut at = from;
        for _ in 0..=targets.len() {
            match single(at) {
                Some(to) if to == from => return true,
                Some(to) => at = to,
                None => return false,
            }
        }
        false
    };
    let mut parents = Parents::new();
    for (from, to, number) in &good {
        let code = if targets[from.as_str()].len() > 1 {
            "ambiguous"
        } else if on_cycle(from) {
            "cycle"
        } else {
            if parents.contains_key(from) {
                verdict.duplicates += 1;
            } else {
                parents.insert(from.clone(), (to.clone(), *number));
            }
            continue;
        };
        let (from, to) = written[number];
        verdict.rejects.push((*number, code.into(), from.into(), to.into()));
    }
    verdict.rejects.sort();
    group(&parents, &mut verdict);
    verdict
}

/// Whether the columns' names stand there, and if so, whether in another order.
fn heading(from: &str, to: &str) -> Option<bool> {
    let plain = |name: &str| name.trim_start_matches('\u{feff}').to_lowercase();
    match (&*plain(from), &*plain(to)) {
        ("from", "to") => Some(false),
        ("to", "from") | ("from" | "to", "note") | ("note", "from" | "to") => Some(true),
        _ => None,
    }
}

/// The account of an id, or why there is none.
fn account(of: AccountType, id: &str) -> Result<String, &'static str> {
    if id.is_empty() || id.trim() != id || id.contains(['\u{feff}', '\n', '\r']) {
        return Err("invalid-id");
    }
    match id {
        "NULL" | "-" => Err("placeholder"),
        "9.91214E+15" | "'007" => Err("spreadsheet"),
        _ => usual(of, id).ok_or("invalid-id"),
    }
}

fn rejected_by_findings(stats: &PlanStats) -> BTreeMap<&'static str, u64> {
    let mut rejected: BTreeMap<_, _> = stats.rejected.keys().map(|rule| (*rule, 0)).collect();
    for finding in stats.findings.iter().filter(|found| found.outcome == Outcome::Rejected) {
        rejected.insert(finding.rule, finding.lines);
    }
    rejected
}

fn group(parents: &Parents, verdict: &mut Verdict) {
    let mut survivors: BTreeMap<&str, u64> = BTreeMap::new();
    for (from, (_, line)) in parents {
        let mut root = from.as_str();
        while let Some((to, _)) = parents.get(root) {
            root = to;
        }
        let first = survivors.entry(root).or_insert(*line);
        *first = (*first).min(*line);
    }
    let mut survivors: Vec<(u64, &str)> = survivors.into_iter().map(|(s, l)| (l, s)).collect();
    survivors.sort_unstable();
    for (_, survivor) in survivors {
        let mut sources = Vec::new();
        let depth = walk(parents, survivor, &mut sources);
        verdict.chains += u64::from(depth > 1);
        verdict.longest_chain = verdict.longest_chain.max(depth);
        verdict.groups.push((survivor.to_owned(), sources));
    }
    let mut fan_in: BTreeMap<&str, u64> = BTreeMap::new();
    for (to, _) in parents.values() {
        *fan_in.entry(to).or_default() += 1;
    }
    verdict.fan_ins = fan_in.values().filter(|&&count| count > 1).count() as u64;
    verdict.largest_fan_in = fan_in.values().copied().max().unwrap_or(0);
}

fn walk(parents: &Parents, to: &str, sources: &mut Vec<Source>) -> u64 {
    let mut children: Vec<(u64, &String)> = parents
        .iter()
        .filter(|(_, (target, _))| target == to)
        .map(|(from, (_, line))| (*line, from))
        .collect();
    children.sort();
    let mut depth = 0;
    for (line, from) in children {
        sources.push((from.clone(), to.to_owned(), line));
        depth = depth.max(1 + walk(parents, from, sources));
    }
    depth
}

fn planned(
    accounts: AccountType,
    text: &[u8],
    block_bytes: usize,
    at_once: usize,
) -> (Plan, Verdict) {
    let format = Format { accounts, ..Format::default() };
    let plan = resolve(read_in_blocks(text, &format, block_bytes, at_once).unwrap());
    let owned = text.to_vec();
    let source = move || -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(owned.clone())))
    };
    let mut report = Vec::new();
    write_rejects_in_blocks(
        &source,
        &format,
        plan.rejects(),
        plan.accounts(),
        &mut report,
        block_bytes,
    )
    .unwrap();
    let rejects = csv::Reader::from_reader(&report[..])
        .records()
        .map(|record| {
            let record = record.unwrap();
            let code = record[3].split(':').next().unwrap_or_default().to_owned();
            (record[2].parse().unwrap(), code, record[0].to_owned(), record[1].to_owned())
        })
        .collect();
    let groups = plan
        .groups()
        .map(|group| {
            let pairs = group.pairs.iter();
            let text = |id: &crate::model::AccountId| id.to_string();
            let sources = pairs.map(|pair| (text(&pair.from), text(&pair.into), pair.line));
            (text(&group.survivor), sources.collect())
        })
        .collect();
    let stats = plan.stats().clone();
    let verdict = Verdict {
        groups,
        rejects,
        duplicates: stats.duplicates,
        blank: stats.blank,
        chains: stats.chains,
        longest_chain: stats.longest_chain,
        fan_ins: stats.fan_ins,
        largest_fan_in: stats.largest_fan_in,
    };
    (plan, verdict)
}

/// Everything that must hold of a plan beside what the simple planner says.
fn check_counts(plan: &Plan, records: usize) {
    let stats = plan.stats();
    assert!(stats.adds_up(), "{stats:?}");
    assert_eq!(stats.lines, records as u64);
    assert_eq!(stats.rejected_lines(), plan.rejects().len() as u64);
    assert_eq!(stats.rejected.len(), crate::pairs::rejecting().count());
    assert_eq!(stats.rejected, rejected_by_findings(stats));
    let sources: Vec<usize> = plan.groups().map(|group| group.pairs.len()).collect();
    assert_eq!(stats.groups, sources.len() as u64);
    assert_eq!(stats.pairs, sources.iter().sum::<usize>() as u64);
    assert_eq!(stats.largest_group, sources.iter().copied().max().unwrap_or(0) as u64);
    let accounts: BTreeSet<String> = plan.participants().map(|id| id.to_string()).collect();
    assert_eq!(stats.accounts, accounts.len() as u64);
    assert_eq!(stats.accounts, plan.participants().count() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn the_planner_agrees_with_the_simple_one(
        (of, lines) in typed(),
        bom: bool,
        end: bool,
        block_bytes in prop_oneof![1..40_usize, Just(1 << 20)],
        at_once in 1..6_usize,
    ) {
        let (text, numbers) = written(&lines, bom, end);
        let (plan, found) = planned(of, &text, block_bytes, at_once);
        check_counts(&plan, lines.len());
        let expected = simple(of, &lines, &numbers);
        prop_assert_eq!(found, expected, "{} {}", of, String::from_utf8_lossy(&text));
    }

    #[test]
    fn the_size_of_a_block_changes_nothing(
        pieces in prop::collection::vec(
            prop::sample::select(
                &["a", "b", "c", ",", ",", "\"", "\"", "\n", "\n", "\r\n", "\r", " ", "\u{e9}"][..],
            ),
            0..60,
        ),
        block_bytes in 1..20_usize,
        at_once in 1..6_usize,
    ) {
        let text = format!("from,to\n{}", pieces.concat());
        let of = AccountType::Text;
        let (plan, found) = planned(of, text.as_bytes(), block_bytes, at_once);
        let (whole, expected) = planned(of, text.as_bytes(), 1 << 20, 4);
        prop_assert!(plan.stats().adds_up());
        prop_assert_eq!(plan.stats(), whole.stats());
        prop_assert_eq!(found, expected);
    }
}
