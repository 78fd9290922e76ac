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
    /// The part of the pairs that stand in chains and fan-ins of ten, in turn.
    #[arg(long, default_value_t = 0.0)]
    linked: f64,
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
    for (name, part) in [("overlap", options.overlap), ("linked", options.linked)] {
        anyhow::ensure!((0.0..=1.0).contains(&part), "--{name} must be between 0 and 1");
    }
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
    let (from, own) = (random.uuid(), random.uuid());
    let target = target(options, number);
    let to = match &target {
        Target::Own => own,
        Target::Other(account) => account.clone(),
    };
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
    // Another pair's account gets its rows there.
    let is_own = matches!(target, Target::Own);
    let to_rows = if is_own { rows(&mut random) } else { 0 };
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
    let to_enrolments = if is_own { options.enrolments_to.min(batches) } else { 0 };
    for position in 0..to_enrolments {
        let batch =
            if position < shared { position } else { options.enrolments_from + position - shared };
        sink.course(&enrolment(&to, batch_at(batch), &mut random))?;
    }
    Ok(())
}

/// Whom a pair's source is merged into.
enum Target {
    /// An account of the pair's own.
    Own,
    /// An account of another pair.
    Other(String),
}

/// Linked pairs stand in blocks of ten: chains in even blocks, fan-ins in odd ones.
fn target(options: &Options, number: u64) -> Target {
    const BLOCK: u64 = 10;
    let (block, offset) = (number / BLOCK, number % BLOCK);
    // A sequence beyond those of the pairs.
    if !Random::new(options.seed, u64::MAX - block).chance(options.linked) {
        return Target::Own;
    }
    let last = (number - offset + BLOCK).min(options.pairs) - 1;
    let accounts = |pair: u64| {
        let mut random = Random::new(options.seed, pair);
        (random.uuid(), random.uuid())
    };
    match block % 2 {
        0 if number < last => Target::Other(accounts(number + 1).0),
        1 if offset > 0 => Target::Other(accounts(number - offset).1),
        _ => Target::Own,
    }
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
    use super::*;

    #[test]
    fn linked_pairs_are_chains_and_fan_ins() {
        let options = Options {
            out: PathBuf::new(),
            pairs: 27,
            rows: 5,
            overlap: 0.5,
            batches: 7,
            enrolments_from: 2,
            enrolments_to: 3,
            linked: 1.0,
            skew: None,
            seed: 1,
            awkward: true,
        };
        let source = |pair: u64| Random::new(1, pair).uuid();
        let target = |pair| match target(&options, pair) {
            Target::Own => None,
            Target::Other(account) => Some(account),
        };
        for pair in (0..9).chain(20..26) {
            assert_eq!(target(pair), Some(source(pair + 1)), "a chain, {pair}");
        }
        assert!(
            [9, 10, 26].map(target).iter().all(Option::is_none),
            "where a block ends or begins"
        );
        let received: Vec<_> = (11..20).map(target).collect();
        assert!(received[0].is_some() && received.iter().all(|account| *account == received[0]));
    }
}
