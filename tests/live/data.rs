//! Worlds to merge: one with every awkward case, and random small ones.

use serde_json::{Map, Value, json};

use crate::model::{Columns, Line, Tables};

/// Deterministic numbers (splitmix64): a seed always gives the same world.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}

/// Text that is easily damaged on its way.
pub(crate) const AWKWARD_TEXTS: [&str; 12] = [
    "",
    " ",
    "two\nlines",
    "carriage\r\nreturn",
    "a \"quoted\" and a 'single' one",
    "comma, semicolon; tab\t.",
    "control \u{1}\u{7}\u{8}\u{b}\u{1b}\u{1f}\u{7f}",
    "smile 😀 𝔘𝔫𝔦 👩‍👩‍👧",
    "na\u{ef}ve Stra\u{df}e 東京 हिन्दी",
    "null",
    "{\"json\": [1, 2]}",
    "back\\slash \\n \\u0000 $$ -- /* ; DROP TABLE x",
];

/// Pairs and rows in the making.
pub(crate) struct Data {
    pub(crate) lines: Vec<Line>,
    pub(crate) tables: Tables,
    pub(crate) random: Random,
}

impl Data {
    pub(crate) fn new(seed: u64) -> Self {
        Self { lines: Vec::new(), tables: Tables::default(), random: Random::new(seed) }
    }

    pub(crate) fn pair(&mut self, from: &str, to: &str) {
        self.lines.push(Line::Pair(from.to_owned(), to.to_owned()));
    }

    pub(crate) fn enrol(&mut self, batch: &str, user: &str, columns: Columns) {
        self.tables.user_courses.insert((batch.to_owned(), user.to_owned()), columns);
    }

    pub(crate) fn consume(&mut self, key: [&str; 4], columns: Columns) {
        let [user, content, batch, course] = key.map(str::to_owned);
        self.tables.content_consumption.insert((user, content, batch, course), columns);
    }

    /// A row of content and the enrolment that goes with it, both with random values.
    pub(crate) fn study(&mut self, user: &str, content: &str, batch: &str) {
        let columns = self.content();
        self.consume([user, content, batch, "course"], columns);
        let columns = self.enrolment();
        self.enrol(batch, user, columns);
    }

    fn text(&mut self) -> Value {
        if self.random.chance(30) {
            (*self.random.one_of(&AWKWARD_TEXTS)).into()
        } else {
            format!("text {}", self.random.below(1_000_000)).into()
        }
    }

    fn int(&mut self) -> Value {
        match self.random.below(20) {
            0 => i32::MIN.into(),
            1 => i32::MAX.into(),
            2 => (-1).into(),
            _ => self.random.below(5).into(),
        }
    }

    fn time(&mut self) -> Value {
        match self.random.below(20) {
            0 => 0.into(),
            1 => (-86_400_000_i64).into(),
            _ => (1_600_000_000_000 + self.random.below(100_000_000_000)).into(),
        }
    }

    fn map(&mut self) -> Value {
        let entries = self.random.below(5);
        let entry = |data: &mut Self| (format!("do_{}", data.random.below(100)), data.int());
        (0..entries).map(|_| entry(self)).collect::<Map<_, _>>().into()
    }

    /// Random values for an enrolment, each column null now and then.
    pub(crate) fn enrolment(&mut self) -> Columns {
        let mut columns = Columns::new();
        for name in ["addedby", "courseid", "delta", "enrolleddate", "grade", "lastreadcontentid"] {
            columns.insert(name.to_owned(), self.text());
        }
        for name in ["completionpercentage", "lastreadcontentstatus", "progress", "status"] {
            columns.insert(name.to_owned(), self.int());
        }
        for name in ["completedon", "datetime"] {
            columns.insert(name.to_owned(), self.time());
        }
        columns.insert("active".to_owned(), self.random.chance(50).into());
        columns.insert("contentstatus".to_owned(), self.map());
        self.with_nulls(columns)
    }

    /// Random values for a row of content, each column null now and then.
    pub(crate) fn content(&mut self) -> Columns {
        let mut columns = Columns::new();
        let texts = ["contentversion", "grade", "lastaccesstime", "lastcompletedtime"];
        for name in texts.into_iter().chain(["lastupdatedtime", "result", "score"]) {
            columns.insert(name.to_owned(), self.text());
        }
        for name in ["completedcount", "progress", "status", "viewcount"] {
            columns.insert(name.to_owned(), self.int());
        }
        columns.insert("datetime".to_owned(), self.time());
        self.with_nulls(columns)
    }

    fn with_nulls(&mut self, mut columns: Columns) -> Columns {
        if self.random.chance(5) {
            return Columns::new();
        }
        columns.retain(|_, _| !self.random.chance(20));
        columns
    }
}

/// Cassandra keeps no empty map: it is null.
pub(crate) fn without_empty_maps(mut tables: Tables) -> Tables {
    for columns in tables.user_courses.values_mut() {
        columns.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
    }
    tables
}

pub(crate) fn columns<const N: usize>(list: [(&str, Value); N]) -> Columns {
    list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Every awkward case that is known, each with accounts of its own.
pub(crate) fn awkward() -> Data {
    let mut data = Data::new(1);
    absent_accounts(&mut data);
    bare_rows_and_statuses(&mut data);
    maps(&mut data);
    texts_and_ids(&mut data);
    shapes(&mut data);
    rejected(&mut data);
    large(&mut data);
    data
}

fn absent_accounts(data: &mut Data) {
    data.pair("absent-both-from", "absent-both-to");
    data.study("absent-to-from", "c", "absent-1");
    data.pair("absent-to-from", "absent-to-to");
    data.study("absent-from-to", "c", "absent-2");
    data.pair("absent-from-from", "absent-from-to");
    // In one of the tables only.
    data.consume(["absent-enrolment-from", "c", "absent-3", "k"], columns([("status", json!(1))]));
    data.enrol("absent-3", "absent-enrolment-to", Columns::new());
    data.pair("absent-enrolment-from", "absent-enrolment-to");
    data.enrol("absent-4", "absent-content-from", columns([("progress", json!(4))]));
    data.consume(["absent-content-to", "c", "absent-4", "k"], Columns::new());
    data.pair("absent-content-from", "absent-content-to"); // this enrolment stays
    data.study("partly-from", "c", "absent-5");
    data.enrol("absent-6", "partly-from", columns([("progress", json!(6))])); // this one, too
    data.pair("partly-from", "partly-to");
    // An enrolment of one source is found by the content of another.
    data.consume(["found-1", "c", "absent-7", "k"], Columns::new());
    data.enrol("absent-7", "found-2", columns([("progress", json!(7))]));
    data.pair("found-1", "found-to");
    data.pair("found-2", "found-to");
}

fn bare_rows_and_statuses(data: &mut Data) {
    let statuses = [None, Some(json!(0)), Some(json!(1)), Some(json!(2)), Some(json!(-1))];
    let values = |status: &Option<Value>, owner: &str| {
        let status = status.clone().map(|status| ("status".to_owned(), status));
        let mut columns: Columns = status.into_iter().collect();
        if owner != "bare" {
            columns.insert("grade".to_owned(), owner.into());
        }
        columns
    };
    for (n, from_status) in statuses.iter().enumerate() {
        for (m, to_status) in statuses.iter().enumerate() {
            let (from, to) = (format!("status-{n}-{m}-from"), format!("status-{n}-{m}-to"));
            data.pair(&from, &to);
            for (content, owners) in [("c1", ["bare"; 2]), ("c2", ["from", "to"])] {
                data.consume([&from, content, "statuses", "k"], values(from_status, owners[0]));
                data.consume([&to, content, "statuses", "k"], values(to_status, owners[1]));
            }
            if n % 2 == 0 {
                data.enrol("statuses", &from, columns([("courseid", json!("from's"))]));
            }
            if m % 2 == 0 {
                data.enrol("statuses", &to, Columns::new());
            }
        }
    }
    // Rows of nothing but a key, on one side only.
    data.consume(["bare-from", "c", "bare", "k"], Columns::new());
    data.enrol("bare", "bare-from", Columns::new());
    data.pair("bare-from", "bare-to");
    // The event names the smallest course where the enrolment names none.
    for (content, course) in [("c1", "k9"), ("c2", "k10"), ("c3", "k5")] {
        data.consume(["course-from", content, "course", course], Columns::new());
    }
    data.enrol("course", "course-from", Columns::new());
    data.consume(["course-to", "c4", "course", "k1"], Columns::new());
    data.pair("course-from", "course-to");
    // Cells of a clustering key may be empty; a batch of that name cannot hold an enrolment.
    data.consume(["empty-key-from", "", "", ""], columns([("grade", json!("empty"))]));
    data.consume(["empty-key-from", "", "empty-key", ""], columns([("status", json!(1))]));
    data.enrol("empty-key", "empty-key-from", Columns::new());
    data.pair("empty-key-from", "empty-key-to");
}

fn maps(data: &mut Data) {
    let large: Map<_, _> = (0..5_000).map(|n| (format!("do_{n:030}"), n.into())).collect();
    let awkward: Map<_, _> = AWKWARD_TEXTS.iter().map(|text| ((*text).into(), 1.into())).collect();
    let maps = [None, Some(Map::new()), Some(large), Some(awkward)];
    for (n, map) in maps.into_iter().enumerate() {
        let from = format!("map-{n}-from");
        let map = map.map(|map| ("contentstatus".to_owned(), Value::Object(map)));
        let rows = map.into_iter().collect::<Columns>();
        data.consume([&from, "c", "maps", "k"], Columns::new());
        data.enrol("maps", &from, rows);
        data.pair(&from, &format!("map-{n}-to"));
    }
}

fn texts_and_ids(data: &mut Data) {
    for (n, text) in AWKWARD_TEXTS.iter().enumerate() {
        // As a value, as the ids of batch, content and course, and as part of an account.
        let account = format!("text {n} {text}.");
        let batch = format!("batch {text}");
        let mut row = data.content();
        row.insert("result".to_owned(), (*text).into());
        data.consume([&account, text, &batch, text], row);
        let mut row = data.enrolment();
        row.insert("delta".to_owned(), (*text).into());
        row.insert("courseid".to_owned(), (*text).into());
        data.enrol(&batch, &account, row);
        data.pair(&account, &format!("{account}to"));
    }
    let long = "x".repeat(300_000);
    let row = columns([("result", json!(long)), ("status", json!(1))]);
    data.consume(["long-from", "c1", "long", "k"], row.clone());
    data.consume(["long-from", "c2", "long", "k"], row.clone());
    data.consume(["long-to", "c2", "long", "k"], row);
    data.enrol("long", "long-from", columns([("delta", json!(long))]));
    data.pair("long-from", "long-to");

    for length in [1, 36, 199, 200] {
        data.study(&format!("{}f", "i".repeat(length - 1)), "c", "ids");
        data.pair(&format!("{}f", "i".repeat(length - 1)), &format!("{}t", "i".repeat(length - 1)));
    }
    let longest = "é".repeat(512); // 1,024 bytes
    data.study(&longest, "c", "ids");
    data.pair(&longest, "longest-to");
}

fn shapes(data: &mut Data) {
    for n in 0..50 {
        let (from, content) = (format!("chain-{n}"), format!("c{}", n % 7));
        data.study(&from, &content, "chain");
        data.study(&from, "shared", &format!("chain-{}", n % 3));
    }
    for n in (0..50).rev() {
        data.pair(&format!("chain-{n}"), &format!("chain-{}", n + 1));
    }
    for n in 0..500 {
        let from = format!("fan-{n}");
        if n % 10 != 9 {
            data.study(&from, &format!("c{}", n % 40), &format!("fan-{}", n % 11));
            data.study(&from, "shared", "fan-0");
        }
        data.pair(&from, "fan-to");
    }
    // Trees that branch: each account has an earlier one as its target.
    for tree in 0..5 {
        for n in 1..40 {
            let target = data.random.below(n);
            let (from, to) = (format!("tree-{tree}-{n}"), format!("tree-{tree}-{target}"));
            for _ in 0..3 {
                let content = format!("c{}", data.random.below(6));
                let batch = format!("tree-{}", data.random.below(6));
                data.study(&from, &content, &batch);
            }
            data.pair(&from, &to);
        }
    }
    data.study("repeated-from", "c", "repeated");
    for _ in 0..1_000 {
        data.pair("repeated-from", "repeated-to");
    }
    data.study("self-from", "c", "self");
    data.pair("self-from", "self-from");
    data.pair("self-from", "self-to");
}

fn rejected(data: &mut Data) {
    let long = "l".repeat(1_100);
    let bad = [
        (long.as_str(), "long-id-to"),
        ("long-id-from", long.as_str()),
        (" before", "space-to"),
        ("after ", "space-to"),
        ("space-from", "\ttab"),
        ("space-from", "line\n"),
        ("nbsp-from", "nbsp\u{a0}"),
        ("", "empty-to"),
        ("empty-from", ""),
        (" ", "blank-to"),
        ("ambiguous", "ambiguous-1"),
        ("ambiguous", "ambiguous-2"),
        ("ambiguous-source", "ambiguous"),
        ("cycle-1", "cycle-2"),
        ("cycle-2", "cycle-3"),
        ("cycle-3", "cycle-1"),
        ("cycle-source", "cycle-1"),
        ("cycle-2", "cycle-3"),
        ("alone", "alone"),
    ];
    for (from, to) in bad {
        data.pair(from, to);
        for account in [from, to] {
            if !account.is_empty() {
                data.study(account, "c", "rejected");
            }
        }
        data.lines.push(Line::Blank);
    }
    data.lines.push(Line::Malformed);
}

fn large(data: &mut Data) {
    // A batch with 10,000 users, of whom some are merged into each other.
    for n in 0..10_000 {
        let user = format!("user-{n}");
        let row = columns([("courseid", json!("course")), ("progress", json!(n))]);
        data.enrol("ten-thousand", &user, row);
        if n < 1_500 {
            data.consume([&user, "c", "ten-thousand", "course"], columns([("status", json!(1))]));
            let target = if n % 2 == 0 { format!("user-{}", n + 5_000) } else { format!("to-{n}") };
            data.pair(&user, &target);
        }
    }
    // Accounts with 20,000 rows: as source, as survivor, and half of the keys the same.
    for n in 0..20_000_u64 {
        let content = format!("content-{n:05}");
        let batch = format!("wide-{}", n % 40);
        let row = columns([("status", json!(n % 3)), ("score", json!(n.to_string()))]);
        data.consume(["wide-from", &content, &batch, "k"], row);
        if n % 2 == 0 {
            let row = columns([("status", json!(n % 4)), ("grade", json!("own"))]);
            data.consume(["wide-to", &content, &batch, "k"], row);
        } else if n % 50 == 1 {
            data.consume(["wide-too", &content, &batch, "k"], columns([("status", json!(2))]));
        }
        if n < 30 {
            data.enrol(&batch, "wide-from", Columns::new());
        }
    }
    data.pair("wide-from", "wide-to");
    data.pair("wide-too", "wide-to");
}

/// Twelve accounts, few contents and batches, any pairs: much collides. `world` sets it apart.
pub(crate) fn small(world: u64, data: &mut Data) {
    let name = |kind: &str, n: u64| format!("{kind}{n}-{world}");
    for _ in 0..data.random.below(12) {
        let (from, to) = (data.random.below(12), data.random.below(12));
        data.pair(&name("a", from), &name("a", to));
    }
    for _ in 0..data.random.below(60) {
        let user = name("a", data.random.below(12));
        let content = name("c", data.random.below(3));
        let batch = name("b", data.random.below(3));
        let course = format!("k{}", data.random.below(2));
        let row = data.content();
        data.consume([&user, &content, &batch, &course], row);
    }
    for _ in 0..data.random.below(25) {
        let user = name("a", data.random.below(12));
        let batch = name("b", data.random.below(4));
        let row = data.enrolment();
        data.enrol(&batch, &user, row);
    }
}
