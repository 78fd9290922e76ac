//! Random rows and pairs: few values for keys, so that much collides, and nulls among the others.

use super::cells::{Cells, Key, Kind, Tables, braced, quote};
use super::shape::{ACCOUNT, Shape};
use crate::data::{AWKWARD_TEXTS, Random};
use crate::model::Line;

/// Pairs and rows in the making.
pub(super) struct Data {
    pub(super) kind: Kind,
    pub(super) lines: Vec<Line>,
    pub(super) tables: Tables,
    pub(super) random: Random,
    /// All accounts so far, as literals.
    accounts: Vec<String>,
}

/// What a column whose values meet others can hold; `None` for one that holds anything.
fn pool(column: &str) -> Option<&'static [&'static str]> {
    Some(match column {
        // A value of a partition key of several columns may be empty.
        "tenant" => &["'acme'", "''", "'beta''s'"],
        "region" => &["'eu'", "'us'"],
        "activity_type" => &["'Course'", "'Other'"],
        "kind" => &["'blog'", "'weekly'"],
        "courseid" | "course_id" | "activity_id" | "course" => {
            &["'k0'", "'k1'", "'k2'", "'k five'"]
        }
        "batchid" => &["'b0'", "'b1'", "''"],
        "batch_id" => &["'b0'", "''"],
        "context_id" => &["'cb:b0'", "'cb:b1'", "''"],
        "content_id" => &["''", "'c1'"],
        "topic" => &["'t0'", "'t1'", "'t''2'"],
        "name" => &["'lang'", "'theme'", "''"],
        "reviewer" => &["'x'", "'y'"],
        "attempt_id" => &["-1", "300"],
        "post_id" | "place" | "since" | "entry" => &["-5", "1", "2"],
        "day" => &["'1969-12-31'", "'2026-02-03'"],
        _ => return None,
    })
}

impl Data {
    #[expect(clippy::print_stdout, reason = "shown when the test fails")]
    pub(super) fn new(kind: Kind, seed: u64) -> Self {
        println!("seed {seed}");
        let (lines, tables, accounts) = (Vec::new(), Tables::new(), Vec::new());
        Self { kind, lines, tables, random: Random::new(seed), accounts }
    }

    /// Groups of one to four sources, with rows in all tables.
    pub(super) fn groups(kind: Kind, seed: u64, shapes: &'static [Shape], groups: u64) -> Self {
        let mut data = Self::new(kind, seed);
        for shape in shapes {
            data.tables.insert(shape.name, super::cells::Rows::new());
        }
        for _ in 0..groups {
            let to = data.account("to");
            let sources: Vec<String> =
                (0..=data.random.below(4)).map(|_| data.account("from")).collect();
            for (n, from) in sources.iter().enumerate() {
                let target = match n > 0 && data.random.chance(40) {
                    true => &sources[data.random.below(n as u64) as usize],
                    false => &to,
                };
                data.pair(from, target);
                if data.random.chance(10) {
                    data.pair(from, target); // once more
                }
            }
            for account in sources.iter().chain([&to]) {
                if data.random.chance(5) {
                    continue; // an account without any row
                }
                for shape in shapes {
                    data.rows(shape, account);
                }
            }
        }
        data
    }

    pub(super) fn pair(&mut self, from: &str, to: &str) {
        self.lines.push(Line::Pair(from.to_owned(), to.to_owned()));
    }

    /// A new account, as the tool writes it.
    pub(super) fn account(&mut self, part: &str) -> String {
        let account = self.new_account(part);
        self.accounts.push(self.kind.literal(&account));
        account
    }

    fn new_account(&mut self, part: &str) -> String {
        let bits = (u128::from(self.random.below(u64::MAX)) << 64)
            | u128::from(self.random.below(u64::MAX));
        let uuid = |version: u8, bits: u128| {
            let hex = format!("{bits:032x}");
            let (time, rest) = (&hex[..8], &hex[13..]);
            format!(
                "{time}-{}-{version}{}-8{}-{}",
                &hex[8..12],
                &rest[..3],
                &rest[4..7],
                &rest[7..]
            )
        };
        match self.kind {
            Kind::Text => {
                let tails = ["", "o'neil", "ünï 東", "a,b", "\"q\"", "UPPER"];
                let tail = self.random.one_of(&tails);
                format!("{part} {tail} {:x}", bits >> 88)
            }
            Kind::Ascii => format!("{part} '{:x}'", bits >> 88),
            Kind::Uuid => uuid(4, bits),
            Kind::TimeUuid => uuid(1, bits),
            Kind::Int => (bits as i32).to_string(),
            Kind::BigInt => (bits as i64 >> self.random.below(20)).to_string(),
            Kind::Varint => (bits as i128 >> self.random.below(90)).to_string(),
        }
    }

    /// Some rows of an account in a table.
    fn rows(&mut self, shape: &Shape, account: &str) {
        let most = if shape.key == 1 { 2 } else { 6 };
        for _ in 0..self.random.below(most) {
            let key = self.key(shape, account);
            let cells = self.cells(shape);
            self.tables.get_mut(shape.name).expect("it is there").insert(key, cells);
        }
    }

    fn key(&mut self, shape: &Shape, account: &str) -> Key {
        let account = self.kind.literal(account);
        let columns = shape.columns[..shape.key].iter();
        let value = |(name, of): &(&str, &str)| match pool(name) {
            _ if *of == ACCOUNT => account.clone(),
            Some(pool) => (*self.random.one_of(pool)).to_owned(),
            None => panic!("no values for {name}"),
        };
        columns.map(value).collect()
    }

    /// Random values, each column null now and then, or all of them.
    pub(super) fn cells(&mut self, shape: &Shape) -> Cells {
        let mut cells = Cells::new();
        if self.random.chance(5) {
            return cells;
        }
        for (name, of) in &shape.columns[shape.key..] {
            if self.random.chance(25) {
                continue;
            }
            // A lead may be empty, and no partition has an empty key.
            let value = match pool(name) {
                Some(_) if *name == "topic" && self.random.chance(10) => "''".to_owned(),
                Some(pool) => (*self.random.one_of(pool)).to_owned(),
                None if *of == ACCOUNT => self.random.one_of(&self.accounts).clone(),
                None => self.value(of),
            };
            if value != "{}" {
                cells.insert(name, value);
            }
        }
        cells
    }

    fn value(&mut self, of: &str) -> String {
        match of {
            "text" if self.random.chance(20) => {
                let text: &&str = self.random.one_of(&AWKWARD_TEXTS);
                quote(text)
            }
            "text" => quote(&format!("text {}", self.random.below(9))),
            "int" => match self.random.below(12) {
                0 => i32::MIN.to_string(),
                1 => i32::MAX.to_string(),
                2 => "-1".to_owned(),
                n => (n % 5).to_string(),
            },
            "bigint" => (self.random.below(4) as i64 * 3_000_000_000 - 4_000_000_000).to_string(),
            "boolean" => self.random.chance(50).to_string(),
            "timestamp" => {
                (self.random.below(4) as i64 * 1_000_000_000_000 - 86_400_000).to_string()
            }
            "set<text>" => self.elements(|n| quote(&format!("e{n}"))),
            "map<text, int>" => self.elements(|n| format!("'do_{n}': {n}")),
            other => panic!("no values of type {other}"),
        }
    }

    fn elements(&mut self, element: impl Fn(u64) -> String) -> String {
        let mut elements: Vec<String> =
            (0..self.random.below(4)).map(|_| element(self.random.below(6))).collect();
        elements.sort();
        elements.dedup();
        braced(elements)
    }
}

/// Another way to write the id of an account, where its type has one.
pub(super) fn spelled(kind: Kind, id: &str, n: usize) -> String {
    match kind {
        Kind::Uuid | Kind::TimeUuid => match n % 5 {
            0 => id.to_uppercase(),
            1 => format!("{{{id}}}"),
            2 => format!("{{{}}}", id.to_uppercase()),
            3 => id.replace('-', ""),
            _ => id.to_owned(),
        },
        Kind::Int | Kind::BigInt | Kind::Varint => match (n % 2, id.strip_prefix('-')) {
            (0, Some(digits)) => format!("-00{digits}"),
            (0, None) => format!("0{id}"),
            _ => id.to_owned(),
        },
        Kind::Text | Kind::Ascii => id.to_owned(),
    }
}
