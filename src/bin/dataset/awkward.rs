//! Every case that has ever been awkward for a merge, a few accounts each.
//!
//! The accounts share few batches and contents, so that their keys collide.

use super::random::Random;
use super::rows::{ContentConsumption, UserCourse};
use super::sink::Sink;

/// The batches that these accounts share.
const BATCHES: u64 = 6;

/// Adds all of it to a data set.
pub(crate) fn write(seed: u64, sink: &mut Sink) -> anyhow::Result<()> {
    let mut awkward = Awkward { random: Random::new(seed, u64::MAX), sink };
    awkward.chains()?;
    awkward.fan_ins()?;
    awkward.trees()?;
    awkward.rejects()?;
    awkward.odd_ids()?;
    awkward.missing_accounts()?;
    awkward.status_conflicts()?;
    awkward.odd_values()?;
    awkward.one_table_only()?;
    awkward.wide_account()
}

struct Awkward<'a> {
    random: Random,
    sink: &'a mut Sink,
}

impl Awkward<'_> {
    /// A new account with a few rows.
    fn account(&mut self) -> anyhow::Result<String> {
        let user = self.random.uuid();
        self.rows_of(&user)?;
        Ok(user)
    }

    /// A few rows in the shared batches.
    fn rows_of(&mut self, user: &str) -> anyhow::Result<()> {
        for batch in 0..BATCHES {
            if self.random.chance(0.5) {
                let row =
                    UserCourse::random(&batch_id(batch), user, &course(batch), &mut self.random);
                self.sink.course(&row)?;
            }
            for content in 0..3 {
                if self.random.chance(0.4) {
                    self.sink
                        .content(&content_row(user, content, batch).filled(&mut self.random))?;
                }
            }
        }
        Ok(())
    }

    /// Writes pairs in the order of their chain, against it, or in neither.
    fn pairs(&mut self, mut pairs: Vec<(String, String)>, order: u64) -> anyhow::Result<()> {
        match order % 3 {
            0 => {}
            1 => pairs.reverse(),
            _ => {
                for last in (1..pairs.len()).rev() {
                    pairs.swap(last, self.random.below(last as u64 + 1) as usize);
                }
            }
        }
        pairs.iter().try_for_each(|(from, to)| self.sink.pair(from, to))
    }

    fn accounts(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        (0..count).map(|_| self.account()).collect()
    }

    fn chains(&mut self) -> anyhow::Result<()> {
        for (order, length) in [2, 2, 2, 3, 5, 10, 50, 50, 50].into_iter().enumerate() {
            let accounts = self.accounts(length + 1)?;
            let pairs = accounts.windows(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            self.pairs(pairs.collect(), order as u64)?;
        }
        Ok(())
    }

    fn fan_ins(&mut self) -> anyhow::Result<()> {
        for count in [2, 3, 30, 200] {
            let to = self.account()?;
            for from in self.accounts(count)? {
                self.sink.pair(&from, &to)?;
            }
        }
        Ok(())
    }

    fn trees(&mut self) -> anyhow::Result<()> {
        for (order, size) in [4, 7, 12, 40, 80].into_iter().enumerate() {
            let accounts = self.accounts(size)?;
            let mut pairs = Vec::new();
            for child in 1..size {
                let parent = self.random.below(child as u64) as usize;
                pairs.push((accounts[child].clone(), accounts[parent].clone()));
            }
            self.pairs(pairs, order as u64)?;
        }
        Ok(())
    }

    /// Lines that must not be merged, among lines that must.
    fn rejects(&mut self) -> anyhow::Result<()> {
        for length in [2, 3, 10] {
            let circle = self.accounts(length)?;
            let leads_in = self.account()?;
            self.sink.pair(&leads_in, &circle[0])?;
            for (position, from) in circle.iter().enumerate() {
                self.sink.pair(from, &circle[(position + 1) % length])?;
            }
            self.sink.pair(&circle[0], &circle[1])?;
        }
        for targets in [2, 3, 5] {
            let (from, leads_in) = (self.account()?, self.account()?);
            for to in self.accounts(targets)? {
                self.sink.pair(&from, &to)?;
                self.sink.pair(&from, &to)?;
            }
            self.sink.pair(&leads_in, &from)?;
        }
        let (alone, from, to) = (self.account()?, self.account()?, self.account()?);
        self.sink.pair(&alone, &alone)?;
        self.sink.pair(&from, &from)?;
        for _ in 0..3 {
            self.sink.pair(&from, &to)?;
        }
        let odd_lines: [&[u8]; 9] = [
            b"",
            b"\r",
            b"lonely",
            b"\"open,quote",
            b"text\"inside,quote",
            b"\"text\"after,quote",
            b"bad\xffutf8,x",
            b",nobody",
            b"nobody,",
        ];
        for line in odd_lines {
            self.sink.raw(line)?;
        }
        self.sink.pair(&from, &to)
    }

    fn odd_ids(&mut self) -> anyhow::Result<()> {
        let upper = self.random.uuid().to_uppercase();
        let ids = [
            "comma,inside".to_owned(),
            "semicolon;inside".to_owned(),
            "quote\"inside".to_owned(),
            "\"quoted\"".to_owned(),
            "apostrophe's".to_owned(),
            "white space inside".to_owned(),
            "tab\tinside".to_owned(),
            "control\u{1}\u{7f}characters".to_owned(),
            "percent%20,$(dollar)\\n".to_owned(),
            "d\u{e9}j\u{e0}-vu".to_owned(),
            "de\u{301}ja\u{300}-vu".to_owned(),
            "\u{907}\u{938}\u{915}\u{93e}".to_owned(),
            "\u{1f600}\u{1f468}\u{200d}\u{1f4bb}".to_owned(),
            "NULL".to_owned(),
            "0".to_owned(),
            "-1".to_owned(),
            upper.to_lowercase(),
            upper,
            "x".repeat(200),
            "\u{e9}".repeat(512),
        ];
        for id in &ids {
            let (from, to) = (format!("{id}-from"), self.account()?);
            self.rows_of(&from)?;
            self.sink.pair(&from, &to)?;
            let to = format!("{id}-to").replace(&"\u{e9}".repeat(512), &"\u{e9}".repeat(510));
            let from = self.account()?;
            self.rows_of(&to)?;
            self.sink.pair(&from, &to)?;
        }
        // The longest id that is accepted; one that is not; white space that is not.
        let (longest, to) = ("y".repeat(1_024), self.account()?);
        self.rows_of(&longest)?;
        self.sink.pair(&longest, &to)?;
        let too_long = "z".repeat(1_100);
        self.rows_of(&too_long)?;
        self.sink.pair(&too_long, &to)?;
        for around in [" a", "a ", "\ta", "a\u{a0}", "\u{2003}a"] {
            self.sink.pair(around, &to)?;
        }
        Ok(())
    }

    /// Pairs whose accounts have no rows.
    fn missing_accounts(&mut self) -> anyhow::Result<()> {
        let (from, to) = (self.account()?, self.random.uuid());
        self.sink.pair(&from, &to)?;
        let (from, to) = (self.random.uuid(), self.account()?);
        self.sink.pair(&from, &to)?;
        let (from, to) = (self.random.uuid(), self.random.uuid());
        self.sink.pair(&from, &to)?;
        let (from, middle, to) = (self.account()?, self.random.uuid(), self.account()?);
        self.sink.pair(&from, &middle)?;
        self.sink.pair(&middle, &to)
    }

    /// Every combination of two statuses under the same key.
    fn status_conflicts(&mut self) -> anyhow::Result<()> {
        let statuses = [None, Some(i32::MIN), Some(-1), Some(0), Some(1), Some(2), Some(i32::MAX)];
        let (from, to) = (self.random.uuid(), self.random.uuid());
        let mut content = 100;
        for of_from in statuses {
            for of_to in statuses {
                content += 1;
                for (user, status) in [(&from, of_from), (&to, of_to)] {
                    let row = content_row(user, content, content % BATCHES);
                    let row = ContentConsumption { status, ..row.filled(&mut self.random) };
                    self.sink.content(&row)?;
                }
            }
        }
        for batch in 0..BATCHES {
            let users: &[&String] = match batch % 3 {
                0 => &[&from, &to],
                1 => &[&from],
                _ => &[&to],
            };
            for &user in users {
                let row =
                    UserCourse::random(&batch_id(batch), user, &course(batch), &mut self.random);
                self.sink.course(&row)?;
            }
        }
        self.sink.pair(&from, &to)
    }

    /// Rows with little in them, and with a lot.
    fn odd_values(&mut self) -> anyhow::Result<()> {
        let large = (0..500).map(|n| (format!("do_{n:06}\"\n,{n}"), n)).collect();
        let maps = [None, Some([].into()), Some([(String::new(), -1)].into()), Some(large)];
        for contentstatus in maps {
            let (from, to) = (self.random.uuid(), self.random.uuid());
            let full = UserCourse {
                active: Some(false),
                addedby: Some(String::new()),
                completedon: Some(-1),
                completionpercentage: Some(i32::MAX),
                contentstatus,
                courseid: None,
                datetime: Some(253_402_300_799_999),
                delta: Some("two\nlines, \"quoted\"; \u{1f600}".to_owned()),
                grade: Some("\u{0}".to_owned()),
                ..UserCourse::bare(&batch_id(0), &from)
            };
            self.sink.course(&full)?;
            self.sink.course(&UserCourse::bare(&batch_id(1), &from))?;
            self.sink.course(&UserCourse::bare(&batch_id(2), &from))?;
            self.sink.course(&UserCourse::bare(&batch_id(2), &to))?;
            self.sink.content(&content_row(&from, 0, 0))?;
            self.sink.content(&content_row(&from, 0, 1))?;
            self.sink.content(&content_row(&from, 1, 1).filled(&mut self.random))?;
            self.sink.content(&content_row(&to, 1, 1))?;
            self.sink.content(&content_row(&from, 2, 2))?;
            self.sink.content(&content_row(&to, 2, 2).filled(&mut self.random))?;
            let text = ContentConsumption {
                result: Some("{\"json\": \"with\\n\"}\r\n".to_owned()),
                score: Some("x".repeat(20_000)),
                datetime: Some(0),
                ..ContentConsumption::bare(&from, "a content; \"odd\"\n", &batch_id(0), "")
            };
            self.sink.content(&text)?;
            self.sink.pair(&from, &to)?;
        }
        Ok(())
    }

    /// Accounts with rows in one table only, and contents of the same batch in two courses.
    fn one_table_only(&mut self) -> anyhow::Result<()> {
        let (enrolled, active, to) = (self.random.uuid(), self.random.uuid(), self.random.uuid());
        for batch in 0..BATCHES {
            let row =
                UserCourse::random(&batch_id(batch), &enrolled, &course(batch), &mut self.random);
            self.sink.course(&row)?;
            self.sink.content(&content_row(&active, batch, batch).filled(&mut self.random))?;
            let other = ContentConsumption::bare(
                &active,
                &format!("content-{batch}"),
                &batch_id(batch),
                "another-course",
            );
            self.sink.content(&other.filled(&mut self.random))?;
        }
        self.sink.pair(&enrolled, &to)?;
        let to = self.account()?;
        self.sink.pair(&active, &to)
    }

    /// An account with more rows than a page or a batch holds, against one with every other row.
    fn wide_account(&mut self) -> anyhow::Result<()> {
        let (from, to) = (self.random.uuid(), self.random.uuid());
        for content in 0..6_000 {
            let batch = content % BATCHES;
            self.sink.content(&content_row(&from, content, batch).filled(&mut self.random))?;
            if content % 2 == 0 {
                self.sink.content(&content_row(&to, content, batch).filled(&mut self.random))?;
            }
        }
        for batch in 0..BATCHES {
            let row = UserCourse::random(&batch_id(batch), &from, &course(batch), &mut self.random);
            self.sink.course(&row)?;
        }
        self.sink.pair(&from, &to)
    }
}

fn batch_id(batch: u64) -> String {
    format!("awkward-batch-{batch}")
}

fn course(batch: u64) -> String {
    format!("awkward-course-{}", batch / 2)
}

fn content_row(user: &str, content: u64, batch: u64) -> ContentConsumption {
    let content = format!("awkward-content-{content}");
    ContentConsumption::bare(user, &content, &batch_id(batch), &course(batch))
}
