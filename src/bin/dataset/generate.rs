//! Pairs of ordinary accounts and their rows, one pair after the other.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::random::Random;
use super::rows::{ContentConsumption, UserCourse};
use super::sink::Sink;
use super::{awkward, say};

/// What the data set is like.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pairs of accounts, each account in one pair.
    #[arg(long, default_value_t = 1_000)]
    pairs: u64,
    /// Rows of content_consumption per account.
    #[arg(long, default_value_t = 10)]
    rows: u64,
    /// The part of a source's rows and enrolments whose key its target has too.
    #[arg(long, default_value_t = 0.3)]
    overlap: f64,
    /// Different batches; few of them make large partitions of user_courses.
    #[arg(long, default_value_t = 1_000)]
    batches: u64,
    /// Enrolments per source.
    #[arg(long, default_value_t = 2)]
    enrolments_from: u64,
    /// Enrolments per target.
    #[arg(long, default_value_t = 2)]
    enrolments_to: u64,
    /// Give a part of the accounts more rows: PART:FACTOR, as in 0.01:100.
    #[arg(long)]
    skew: Option<Skew>,
    /// The same seed gives the same data set.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Add every awkward case there is.
    #[arg(long)]
    awkward: bool,
}

/// Some accounts have many more rows than the others.
#[derive(Clone, Copy)]
struct Skew {
    part: f64,
    factor: u64,
}

impl FromStr for Skew {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (part, factor) = text.split_once(':').ok_or("PART:FACTOR is expected")?;
        let part: f64 = part.parse().map_err(|_| "PART is not a number")?;
        let factor = factor.parse().map_err(|_| "FACTOR is not a whole number")?;
        if !(0.0..=1.0).contains(&part) {
            return Err("PART must be between 0 and 1".to_owned());
        }
        Ok(Self { part, factor })
    }
}

/// Writes the data set.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!((0.0..=1.0).contains(&options.overlap), "--overlap must be between 0 and 1");
    let mut sink = Sink::create(&options.out)?;
    for number in 0..options.pairs {
        write_pair(options, number, &mut sink)?;
    }
    if options.awkward {
        awkward::write(options.seed, &mut sink)?;
    }
    say(&format!("{}: {} lines, {} rows", options.out.display(), sink.lines, sink.rows))?;
    sink.finish()
}

/// A pair and everything that belongs to its accounts.
fn write_pair(options: &Options, number: u64, sink: &mut Sink) -> anyhow::Result<()> {
    let mut random = Random::new(options.seed, number);
    let (from, to) = (random.uuid(), random.uuid());
    sink.pair(&from, &to)?;
    let batches = options.batches.max(1);
    // The source's batches follow one another from here; the target's others stand after them.
    let first = random.below(batches);
    let enrolments = options.enrolments_from.max(1).min(batches);
    let batch_at = |position: u64| (first + position) % batches;
    let rows = |random: &mut Random| match options.skew {
        Some(skew) if random.chance(skew.part) => options.rows * skew.factor,
        _ => options.rows,
    };

    let from_rows = rows(&mut random);
    for row in 0..from_rows {
        let batch = batch_at(row % enrolments);
        let key = content_key(&from, batch, row / enrolments);
        sink.content(&key.filled(&mut random))?;
    }
    let to_rows = rows(&mut random);
    let shared = (from_rows as f64 * options.overlap).round() as u64;
    for row in 0..to_rows {
        // Keys of the target's own stand in the same batches, with contents of their own.
        let batch = batch_at(row % enrolments);
        let content = if row < shared { row / enrolments } else { 1_000_000 + row / enrolments };
        sink.content(&content_key(&to, batch, content).filled(&mut random))?;
    }
    for position in 0..options.enrolments_from.min(batches) {
        let batch = batch_at(position);
        sink.course(&enrolment(&from, batch, &mut random))?;
    }
    let shared = (options.enrolments_from as f64 * options.overlap).round() as u64;
    for position in 0..options.enrolments_to.min(batches) {
        let batch =
            if position < shared { position } else { options.enrolments_from + position - shared };
        sink.course(&enrolment(&to, batch_at(batch), &mut random))?;
    }
    Ok(())
}

/// Four batches in a row belong to the same course.
fn course_of(batch: u64) -> String {
    format!("do_{:09}", 310_000_000 + batch / 4)
}

fn batch_id(batch: u64) -> String {
    format!("01{:012}", 30_929_928_739 + batch)
}

fn content_key(user: &str, batch: u64, content: u64) -> ContentConsumption {
    let course = course_of(batch);
    ContentConsumption::bare(user, &format!("{course}_{content}"), &batch_id(batch), &course)
}

fn enrolment(user: &str, batch: u64, random: &mut Random) -> UserCourse {
    UserCourse::random(&batch_id(batch), user, &course_of(batch), random)
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    #[test]
    fn the_seed_decides_everything() {
        let made = |name: &str, seed| {
            let out = env::temp_dir().join(format!("tributary-dataset-{}-{name}", process::id()));
            let options = Options {
                out: out.clone(),
                pairs: 20,
                rows: 5,
                overlap: 0.5,
                batches: 7,
                enrolments_from: 2,
                enrolments_to: 3,
                skew: Some(Skew { part: 0.1, factor: 10 }),
                seed,
                awkward: true,
            };
            run(&options).unwrap();
            let files = ["pairs.csv", "user_courses.jsonl", "content_consumption.jsonl"]
                .map(|name| fs::read(out.join(name)).unwrap());
            fs::remove_dir_all(&out).unwrap();
            files
        };
        assert_eq!(made("a", 1), made("b", 1));
        assert_ne!(made("c", 1), made("d", 2));
    }
}
