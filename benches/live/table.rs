//! What a session found, as Markdown: medians over the rounds.
//!
//! A session is a folder with one folder per scenario, one folder per round in it, and one file per way. A ratio
//! is the median of the ratios of each round, so that a machine that gets slower during the session does not
//! favour a way.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::hlog;
use super::measure::{Measured, read_json};

/// Which session.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the session.
    #[arg(long)]
    dir: PathBuf,
}

/// A figure by its name.
type Figure<'a> = (&'a str, &'a dyn Fn(&Measured) -> f64);

/// The figures of a scenario: way → one file per round.
type Ways = BTreeMap<String, Vec<Value>>;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut text = String::new();
    for (scenario, table) in [
        ("main", main as fn(&Path, &Ways) -> anyhow::Result<String>),
        ("hot", hot),
        ("skew", skew),
        ("memory", memory),
        ("planner", planner),
        ("foreground", foreground),
        ("walks", walks),
        ("journal", journal),
        ("register", register),
        ("rate", rate),
        ("nodes", nodes),
    ] {
        let dir = options.dir.join(scenario);
        if dir.is_dir() {
            let ways = ways(&dir)?;
            text += &table(&dir, &ways).with_context(|| format!("the figures of {scenario}"))?;
            text += "\n";
        }
    }
    text += &fs::read_to_string(options.dir.join("machine.txt")).unwrap_or_default();
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn ways(dir: &Path) -> anyhow::Result<Ways> {
    let mut rounds: Vec<_> = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    rounds.sort();
    let mut ways = Ways::new();
    for round in rounds {
        for entry in fs::read_dir(round)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Reports and logs of runs have longer names.
            if let Some((way, "json")) = name.split_once('.') {
                ways.entry(way.to_owned()).or_default().push(read_json(&path)?);
            }
        }
    }
    Ok(ways)
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// One figure of one way in each round.
fn each(ways: &Ways, way: &str, figure: impl Fn(&Measured) -> f64) -> anyhow::Result<Vec<f64>> {
    let rounds = ways.get(way).with_context(|| format!("no figures of {way}"))?;
    rounds.iter().map(|value| Ok(figure(&serde_json::from_value(value.clone())?))).collect()
}

fn ratio(these: &[f64], those: &[f64]) -> f64 {
    median(these.iter().zip(those).map(|(a, b)| a / b).collect())
}

/// Three digits at most, and none behind the point from a hundred on.
fn shown(value: f64) -> String {
    match value {
        _ if value.is_nan() => "–".to_owned(),
        100.0.. => {
            let digits = format!("{value:.0}");
            let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().collect();
            String::from_utf8_lossy(&groups.join(&b","[..])).into_owned()
        }
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn head(cells: &[&str]) -> String {
    let rule: Vec<String> =
        cells.iter().enumerate().map(|(n, _)| if n == 0 { "---" } else { "---:" }.into()).collect();
    let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
    row(&cells) + &row(&rule)
}

/// The ways of `main` with their names, in the order of the columns; what was not run is left out.
const WAYS: [(&str, &str); 5] = [
    ("by-row", "row by row"),
    ("tributary", "tributary"),
    ("against", "the other tributary"),
    ("windows", "bare windows"),
    ("ceiling", "its requests again"),
];

/// Groups, seconds of the work itself, and requests, as the timeline of a report has them.
fn of_timeline(report: &Value) -> Option<(f64, f64, f64)> {
    let intervals = report["timeline"].as_array()?;
    let sum = |name: &str| intervals.iter().filter_map(|of| of[name].as_f64()).sum::<f64>();
    let busy = || intervals.iter().filter(|of| of["requests"].as_u64().unwrap_or(0) > 0);
    let seconds = busy().next_back()?["to_s"].as_f64()? - busy().next()?["from_s"].as_f64()?;
    Some((sum("groups"), seconds, sum("requests")))
}

fn rounds(dir: &Path) -> impl Iterator<Item = PathBuf> {
    (1..).map(move |n| dir.join(format!("round-{n}"))).take_while(|dir| dir.is_dir())
}

/// The other walks over groups, each against the bare one and against row by row.
fn walks(dir: &Path, ways: &Ways) -> anyhow::Result<String> {
    let by_row = each(ways, "by-row", |m| m.pairs as f64 / m.work_s)?;
    let mut text = head(&[
        "groups/s",
        "tributary",
        "bare",
        "tributary / row by row",
        "tributary / bare",
        "round trips per group",
        "bare",
        "CPU of Cassandra per group, ms",
        "bare",
        "CPU of the client per group, ms",
        "bare",
    ]);
    for walk in ["inspect", "verify", "undo"] {
        let reports =
            rounds(dir).map(|round| read_json(&round.join(format!("{walk}.report.json"))));
        let mut walked = Vec::new();
        for report in reports {
            let report = report?;
            let speed = &report["inspection"]["speed"];
            let inspected = || {
                let groups = report["inspection"]["coverage"]["groups"].as_f64()?;
                Some((groups, speed["seconds"].as_f64()?, speed["requests"].as_f64()?))
            };
            walked.push(inspected().or_else(|| of_timeline(&report)).context("no timeline")?);
        }
        let rates: Vec<f64> = walked.iter().map(|(groups, seconds, _)| groups / seconds).collect();
        let bare = format!("bare-{walk}");
        let of_bare = |figure: fn(&Measured) -> f64| each(ways, &bare, figure);
        let per_group = |figure: fn(&Measured) -> f64| -> anyhow::Result<f64> {
            let figures = each(ways, walk, figure)?;
            Ok(median(
                figures.iter().zip(&walked).map(|(of, (groups, ..))| of * 1e3 / groups).collect(),
            ))
        };
        let bare_rates = of_bare(|m| m.pairs as f64 / m.work_s)?;
        let trips = walked.iter().map(|(groups, _, requests)| requests / groups).collect();
        let cells = [
            shown(ratio(&rates, &by_row)),
            shown(ratio(&rates, &bare_rates)),
            shown(median(trips)),
            shown(median(of_bare(|m| m.requests.unwrap_or(0) as f64 / m.pairs as f64)?)),
            shown(per_group(|m| m.cassandra_cpu_s)?),
            shown(median(of_bare(|m| m.cassandra_cpu_s * 1e3 / m.pairs as f64)?)),
            shown(per_group(|m| m.cpu_s)?),
            shown(median(of_bare(|m| m.cpu_s * 1e3 / m.pairs as f64)?)),
        ];
        text += &row(
            &[[walk.to_owned(), spread(rates), spread(bare_rates)].as_slice(), &cells].concat()
        );
    }
    Ok(text + "\nRow by row is its merge. An undo begins and ends with the whole command.\n")
}

/// Whether so many groups begin per second as were asked for.
fn rate(dir: &Path, ways: &Ways) -> anyhow::Result<String> {
    let mut text =
        head(&["--rate", "groups/s, first start to last end, of it", "most in a second, of it"]);
    for way in ways.keys() {
        let Some(wanted) = way.strip_prefix("rate-").and_then(|rate| rate.parse::<f64>().ok())
        else {
            continue;
        };
        let (mut reached, mut most) = (Vec::new(), Vec::new());
        for round in rounds(dir) {
            let report = read_json(&round.join(format!("{way}.report.json")))?;
            let done = report["pairs"]["done"].as_f64().context("no pairs")?;
            let seconds = report["throughput"]["merging_s"].as_f64().context("no seconds")?;
            reached.push(done / seconds / wanted);
            let timeline = report["timeline"].as_array().context("no timeline")?;
            let per_second = timeline.iter().filter_map(|of| {
                let seconds = of["to_s"].as_f64()? - of["from_s"].as_f64()?;
                (seconds > 0.5).then_some(of["groups"].as_f64()? / seconds / wanted)
            });
            most.push(per_second.fold(0.0, f64::max));
        }
        text += &row(&[shown(wanted), spread(reached), spread(most)]);
    }
    Ok(text)
}

/// What the journal costs the engine.
fn journal(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let mut text = head(&["", "journal on the disk", "in memory", "ratio"]);
    let figures: [Figure<'_>; 3] = [
        ("pairs/s", &|m| m.pairs as f64 / m.work_s),
        ("CPU of the client per pair, ms", &|m| m.cpu_s * 1e3 / m.pairs as f64),
        ("CPU of Cassandra per pair, ms", &|m| m.cassandra_cpu_s * 1e3 / m.pairs as f64),
    ];
    text += &compared(ways, ["disk", "memory"], &figures)?;
    let pairs = each(ways, "disk", |m| m.pairs as f64)?;
    let sizes = ways.get("size").into_iter().flatten().filter_map(|size| size["bytes"].as_f64());
    let per_pair = median(sizes.zip(pairs).map(|(bytes, pairs)| bytes / pairs).collect());
    Ok(text + &format!("\nThe journal takes {} bytes per pair.\n", shown(per_pair)))
}

/// Figures of two ways, and how the first compares with the second.
fn compared(ways: &Ways, of: [&str; 2], figures: &[Figure<'_>]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, figure) in figures {
        let [one, other] = of.map(|way| each(ways, way, figure));
        let (one, other) = (one?, other?);
        let ratio = shown(ratio(&one, &other));
        text += &row(&[(*name).to_owned(), spread(one), spread(other), ratio]);
    }
    Ok(text)
}

/// A merge with the register and without it, and a plan of accounts that an earlier run has merged.
fn register(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let mut text = head(&["", "with the register", "without", "ratio"]);
    let figures: [Figure<'_>; 3] = [
        ("pairs/s", &|m| m.pairs as f64 / m.work_s),
        ("CPU of client and Cassandra per pair, ms", &|m| {
            (m.cpu_s + m.cassandra_cpu_s) * 1e3 / m.pairs as f64
        }),
        ("CPU of Cassandra per pair, ms", &|m| m.cassandra_cpu_s * 1e3 / m.pairs as f64),
    ];
    text += &compared(ways, ["with", "without"], &figures)?;
    text += "\n";
    text += &resources(
        ways,
        "a plan of known accounts",
        &[
            ("`plan`, history not asked", "plan"),
            ("`plan --inspect=sample=10`", "known"),
            ("the same of 1,000 pairs", "few"),
        ],
    )?;
    Ok(text)
}

/// Three nodes.
fn nodes(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let mut text = head(&[
        "pairs/s, three nodes",
        "row by row",
        "tributary",
        "bare windows",
        "tributary / row by row",
        "bare / row by row",
    ]);
    for copies in ["rf3", "rf1"] {
        let of = |way: &str| each(ways, &format!("{copies}-{way}"), |m| m.pairs as f64 / m.work_s);
        let (by_row, tributary, bare) = (of("by-row")?, of("tributary")?, of("windows")?);
        let ratios = [ratio(&tributary, &by_row), ratio(&bare, &by_row)].map(shown);
        let cells = [copies.to_uppercase(), spread(by_row), spread(tributary), spread(bare)];
        text += &row(&[cells.as_slice(), &ratios].concat());
    }
    Ok(text)
}

fn main(dir: &Path, ways: &Ways) -> anyhow::Result<String> {
    let recording = read_json(&dir.join("recording.json"))?;
    let of_recording = |name: &str| recording[name].as_f64().unwrap_or(f64::NAN);
    let recorded_trips = of_recording("requests") / of_recording("pairs");
    let pairs = |m: &Measured| m.pairs as f64;
    let figures: [Figure<'_>; 8] = [
        ("pairs/s, merging", &|m| pairs(m) / m.merging_s),
        ("pairs/s, with the sweep", &|m| pairs(m) / m.work_s),
        ("pairs/s, from start to end", &|m| pairs(m) / m.whole_s),
        ("CPU of the client per pair, ms", &|m| m.cpu_s * 1e3 / pairs(m)),
        ("CPU of Cassandra per pair, ms", &|m| m.cassandra_cpu_s * 1e3 / pairs(m)),
        ("CPU of Kafka per pair, ms", &|m| m.kafka_cpu_s * 1e3 / pairs(m)),
        ("round trips per pair", &|m| m.requests.map_or(recorded_trips, |n| n as f64 / pairs(m))),
        ("peak memory, MiB", &peak_mib),
    ];
    let there: Vec<_> = WAYS.into_iter().filter(|(way, _)| ways.contains_key(*way)).collect();
    let others = there.iter().filter(|(way, _)| *way != "tributary");
    let columns: Vec<String> = [String::new()]
        .into_iter()
        .chain(there.iter().map(|(_, name)| (*name).to_owned()))
        .chain(others.clone().map(|(_, name)| format!("tributary / {name}")))
        .collect();
    let mut text = head(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, figure) in figures {
        let tributary = each(ways, "tributary", figure)?;
        let mut cells = vec![name.to_owned()];
        for (way, _) in &there {
            cells.push(spread(each(ways, way, figure)?));
        }
        for (way, _) in others.clone() {
            cells.push(shown(ratio(&tributary, &each(ways, way, figure)?)));
        }
        text += &row(&cells);
    }
    let kilobytes = |name| shown(of_recording(name) / of_recording("pairs") / 1e3);
    text += &format!(
        "\nMedians of {} rounds, with the lowest and the highest; ratios are medians of the rounds' ratios. On the wire: {} \
         kB sent and {} kB received per pair. The requests sent again are held in memory before, so that their start and \
         memory say nothing.\n",
        ways.get("tributary").map_or(0, Vec::len),
        kilobytes("sent_bytes"),
        kilobytes("received_bytes")
    );
    Ok(text)
}

/// The median, with the lowest and the highest where they are not the same.
fn spread(values: Vec<f64>) -> String {
    let bounds = [f64::min, f64::max].map(|of| values.iter().copied().reduce(of));
    let median = shown(median(values));
    match bounds.map(|bound| bound.map_or_else(|| median.clone(), shown)) {
        [low, high] if low == high => median,
        [low, high] => format!("{median} ({low} to {high})"),
    }
}

fn hot(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let rate = |m: &Measured| m.pairs as f64 / m.merging_s;
    let (spread, hot) = (each(ways, "spread", rate)?, each(ways, "hot", rate)?);
    let ratio = ratio(&hot, &spread);
    Ok(head(&["pairs/s, merging", "200 batches", "one hot batch", "hot / 200"])
        + &row(&[
            "one enrolment per source".into(),
            shown(median(spread)),
            shown(median(hot)),
            shown(ratio),
        ]))
}

/// The part of the groups in which one account or the other is large.
const LARGE: f64 = 1.0 - 0.99 * 0.99;

/// All groups are in one histogram. The large ones are the slowest by far, so the 99th percentile of the small ones
/// is that quantile of all which leaves the large ones out at the upper end.
fn skew(dir: &Path, _: &Ways) -> anyhow::Result<String> {
    let p99 = |way: &str, quantile: f64| -> anyhow::Result<Vec<f64>> {
        let logs = rounds(dir).map(|round| round.join(format!("{way}.latency.hlog")));
        logs.map(|log| {
            let totals = hlog::totals(&hlog::read(&log)?)?;
            let groups = totals.get(hlog::GROUP).context("no groups")?;
            Ok(groups.value_at_quantile(quantile) as f64 / 1e3)
        })
        .collect()
    };
    let plain = p99("plain", 0.99)?;
    let skewed = p99("skewed", 0.99 * (1.0 - LARGE))?;
    let ratio = ratio(&skewed, &plain);
    Ok(head(&[
        "p99 of small groups, ms",
        "no large ones",
        "1% of accounts with 90% of rows",
        "ratio",
    ]) + &row(&["".into(), shown(median(plain)), shown(median(skewed)), shown(ratio)])
        + "\nOf the skewed, the quantile 0.99 × 0.99² of all groups: where an account is large, the group is taken for \
           slower than every small one.\n")
}

fn memory(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let median_of =
        |way: &str, figure: fn(&Measured) -> f64| anyhow::Ok(median(each(ways, way, figure)?));
    let mut text = head(&["peak memory, MiB", "plan", "apply", "beyond the planner"]);
    for (plan, apply) in [("plan-few", "apply-few"), ("plan-many", "apply-many")] {
        let planned = median_of(plan, |m| m.pairs as f64)?;
        let merged = median_of(apply, |m| m.pairs as f64)?;
        let name = format!("{} pairs planned, {} merged", shown(planned), shown(merged));
        let [plan, apply] = [median_of(plan, peak_mib)?, median_of(apply, peak_mib)?];
        text += &row(&[name, shown(plan), shown(apply), shown(apply - plan)]);
    }
    Ok(text)
}

fn peak_mib(measured: &Measured) -> f64 {
    measured.peak_rss_kb as f64 / 1024.0
}

fn planner(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let pairs = median(each(ways, "library", |m| m.pairs as f64)?);
    let ways_of = [
        ("CSV to groups", "library"),
        ("`tributary plan`, with its run directory", "plan"),
        ("`LC_ALL=C sort -u --parallel=2 -S 2G`", "sort"),
    ];
    resources(ways, &format!("{} pairs", shown(pairs)), &ways_of)
}

/// What some ways took, each by its name.
fn resources(ways: &Ways, of: &str, named: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = head(&[of, "seconds", "CPU seconds", "peak memory, MiB"]);
    for (name, way) in named {
        let figures: [fn(&Measured) -> f64; 3] = [|m| m.whole_s, |m| m.cpu_s, peak_mib];
        let mut cells = vec![(*name).to_owned()];
        for figure in figures {
            cells.push(shown(median(each(ways, way, figure)?)));
        }
        text += &row(&cells);
    }
    Ok(text)
}

fn foreground(_: &Path, ways: &Ways) -> anyhow::Result<String> {
    let mut text =
        head(&["reads of the application, ms", "p50", "p99", "max", "pairs/s meanwhile"]);
    for (way, rounds) in ways {
        // Beside each way stand the figures of the merge itself.
        let Some(way) = way.strip_suffix("-reads") else { continue };
        let of = |name: &str| {
            median(rounds.iter().map(|r| r[name].as_f64().unwrap_or(f64::NAN) / 1e3).collect())
        };
        let merge = each(ways, way, |m| m.pairs as f64 / m.merging_s).map_or(f64::NAN, median);
        let cells = [of("p50_us"), of("p99_us"), of("max_us"), merge].map(shown);
        text += &row(&[way.replace('-', " ")].into_iter().chain(cells).collect::<Vec<_>>());
    }
    Ok(text)
}
