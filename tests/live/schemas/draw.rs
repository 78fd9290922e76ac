//! Tables at random: where the account stands, what leads to its rows, what else is in them, and what the specification
//! says of them.

use std::fmt::Write;

use super::values::{DATES, FIELDS, FROZEN, NUMBERS, ORDERED, UNORDERED, pool, rank, rank_of_date};
use crate::data::Random;

/// The types of accounts.
pub(super) const ACCOUNTS: [&str; 7] =
    ["text", "ascii", "uuid", "timeuuid", "int", "bigint", "varint"];

/// The type of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// One value; that of accounts is called `account`.
    One(&'static str),
    Set(&'static str),
    Map(&'static str, &'static str),
    List(&'static str),
    /// A user-defined type that is not frozen: its fields are as the entries of a map.
    Fields(&'static str),
}

pub(super) const ACCOUNT: Type = Type::One("account");

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) of: Type,
    /// What its values are taken from; empty for accounts.
    pub(super) values: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Policy {
    KeepTarget,
    KeepSource,
    Latest,
    Max,
    Min,
    First,
    Sum,
    Union,
    /// The later or the earlier of dates that are text.
    Later,
    Earlier,
    EachMax,
    EachMin,
    EachFirst,
}

/// Where the values of the partition key beside the account come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Value(&'static str),
    /// A column of an earlier table.
    From(usize, usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Find {
    /// The account is the whole partition key.
    Own,
    Parts(Vec<Part>),
    Scan,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The primary key comes first.
    pub(super) columns: Vec<Column>,
    pub(super) partition: usize,
    pub(super) key: usize,
    /// None where rows only mention accounts.
    pub(super) account: Option<usize>,
    pub(super) find: Find,
    pub(super) policies: Vec<(usize, Policy)>,
    /// The columns by which the higher row survives.
    pub(super) ranking: Vec<usize>,
    /// Whether the source's row survives, whole.
    pub(super) keeps_source_rows: bool,
    pub(super) mentions: Vec<usize>,
    pub(super) carries_ttls: bool,
    pub(super) default_ttl: bool,
    pub(super) descending: Vec<usize>,
    pub(super) keeps_source: bool,
    /// The other column of the key that names an account, where no row is to name one twice.
    pub(super) drop_oneself: Option<usize>,
}

impl Table {
    pub(super) fn policy(&self, column: usize) -> Policy {
        let found = self.policies.iter().find(|(known, _)| *known == column);
        found.map_or(Policy::KeepTarget, |(_, policy)| *policy)
    }

    /// How high a value of an ordered column is.
    pub(super) fn rank(&self, column: usize, value: &str) -> usize {
        match &self.columns[column].of {
            Type::One(of) | Type::Map(_, of) => match self.policy(column) {
                Policy::Later | Policy::Earlier => rank_of_date(value),
                _ => rank(of, value),
            },
            other => panic!("{other:?} has no order"),
        }
    }

    /// The columns of the partition key but the account, in key order.
    pub(super) fn scope(&self) -> impl Iterator<Item = usize> {
        (0..self.partition).filter(|column| Some(*column) != self.account)
    }

    /// Columns by which this table leads to others.
    pub(super) fn leads(&self, at: usize, tables: &[Self]) -> Vec<usize> {
        let parts = tables.iter().filter_map(|table| match &table.find {
            Find::Parts(parts) => Some(parts),
            _ => None,
        });
        let mut columns: Vec<usize> = parts
            .flatten()
            .filter_map(|part| match part {
                Part::From(table, column) if *table == at => Some(*column),
                _ => None,
            })
            .collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    pub(super) fn create(&self, keyspace: &str, account: &str) -> String {
        let names = |columns: std::ops::Range<usize>| {
            columns.map(|at| self.columns[at].name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let columns = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.of.name(account)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let mut key = format!("({})", names(0..self.partition));
        if self.key > self.partition {
            _ = write!(key, ", {}", names(self.partition..self.key));
        }
        let mut with = Vec::new();
        if !self.descending.is_empty() {
            let order = (self.partition..self.key).map(|at| {
                let way = if self.descending.contains(&at) { "DESC" } else { "ASC" };
                format!("{} {way}", self.columns[at].name)
            });
            with.push(format!("CLUSTERING ORDER BY ({})", order.collect::<Vec<_>>().join(", ")));
        }
        if self.default_ttl {
            with.push("default_time_to_live = 8640000".to_owned());
        }
        let with =
            if with.is_empty() { String::new() } else { format!(" WITH {}", with.join(" AND ")) };
        format!("CREATE TABLE {keyspace}.{} ({columns}, PRIMARY KEY ({key})){with}", self.name)
    }

    fn spec(&self, tables: &[Self]) -> String {
        let mut spec = format!("[[table]]\nname = \"{}\"\n", self.name);
        let name = |at: &usize| quoted(&self.columns[*at].name);
        let names = |columns: &[usize]| columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let mut line = |text: String| {
            spec.push_str(&text);
            spec.push('\n');
        };
        if let Some(account) = self.account {
            line(format!("account = {}", name(&account)));
            let path = |table: &usize, column: &usize| {
                let table = &tables[*table];
                quoted(&format!("{}.{}", table.name, table.columns[*column].name))
            };
            match &self.find {
                Find::Own => line("find = \"partition\"".to_owned()),
                Find::Scan => line("find = \"scan\"".to_owned()),
                Find::Parts(parts) => match parts.as_slice() {
                    [Part::From(table, column)] if self.partition == 1 => {
                        line(format!("find = {{ partitions_from = {} }}", path(table, column)));
                    }
                    parts => {
                        let part = |(at, part): (usize, &Part)| match part {
                            Part::Value(value) => {
                                format!(
                                    "{} = {{ value = {} }}",
                                    self.columns[at].name,
                                    constant(value)
                                )
                            }
                            Part::From(table, column) => {
                                format!(
                                    "{} = {{ from = {} }}",
                                    self.columns[at].name,
                                    path(table, column)
                                )
                            }
                        };
                        let parts: Vec<String> = self.scope().zip(parts).map(part).collect();
                        line(format!("find = {{ partition = {{ {} }} }}", parts.join(", ")));
                    }
                },
            }
        }
        if !self.mentions.is_empty() {
            line(format!("mentions = [{}]", names(&self.mentions)));
        }
        if self.carries_ttls {
            line("ttl = \"carry\"".to_owned());
        }
        if self.keeps_source {
            line("delete_source = false".to_owned());
        }
        if let Some(other) = self.drop_oneself {
            line(format!("drop_oneself = {}", name(&other)));
        }
        if !self.ranking.is_empty() {
            line(format!("on_conflict = {{ keep = \"higher\", by = [{}] }}", names(&self.ranking)));
        } else if self.keeps_source_rows {
            line("on_conflict = \"keep-source\"".to_owned());
        } else if !self.policies.is_empty() {
            line("[table.on_conflict]".to_owned());
            for (at, policy) in &self.policies {
                line(format!("{} = {}", self.columns[*at].name, policy.spec()));
            }
        }
        spec
    }
}

impl Type {
    pub(super) fn name(&self, account: &str) -> String {
        let one = |of: &&str| if *of == "account" { account.to_owned() } else { (*of).to_owned() };
        match self {
            Self::One(of) => one(of),
            Self::Set(of) => format!("set<{}>", one(of)),
            Self::Map(key, value) => format!("map<{}, {}>", one(key), one(value)),
            Self::List(of) => format!("list<{}>", one(of)),
            Self::Fields(of) => (*of).to_owned(),
        }
    }

    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

impl Policy {
    fn spec(self) -> String {
        let dates = |policy: &str| {
            format!("{{ policy = \"{policy}\", format = \"%Y-%m-%d %H:%M:%S:%3f%z\" }}")
        };
        match self {
            Self::KeepTarget => "\"keep-target\"".to_owned(),
            Self::KeepSource => "\"keep-source\"".to_owned(),
            Self::Latest => "\"latest\"".to_owned(),
            Self::Max => "\"max\"".to_owned(),
            Self::Min => "\"min\"".to_owned(),
            Self::First => "\"first\"".to_owned(),
            Self::Sum => "\"sum\"".to_owned(),
            Self::Union => "\"union\"".to_owned(),
            Self::Later => dates("max"),
            Self::Earlier => dates("min"),
            Self::EachMax => "{ each = \"max\" }".to_owned(),
            Self::EachMin => "{ each = \"min\" }".to_owned(),
            Self::EachFirst => "{ each = \"first\" }".to_owned(),
        }
    }
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// A literal as TOML has it.
fn constant(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(text) => quoted(&text.replace("''", "'")),
        None if value.contains('-') && value.len() > 30 => quoted(value),
        None => value.to_owned(),
    }
}

pub(super) fn spec(tables: &[Table]) -> String {
    let tables: Vec<String> = tables.iter().map(|table| table.spec(tables)).collect();
    format!("name = \"drawn\"\n\n{}", tables.join("\n"))
}

/// Draws tables.
pub(super) struct Draw<'a> {
    pub(super) random: &'a mut Random,
    /// Whether the server tells when elements of lists were written.
    pub(super) dates_lists: bool,
    pub(super) prefix: String,
    pub(super) tables: Vec<Table>,
}

impl Draw<'_> {
    pub(super) fn tables(mut self) -> Vec<Table> {
        for _ in 0..1 + self.random.below(3) {
            let table = match self.random.below(10) {
                0..=2 => self.table(Place::Own),
                3..=5 => self.table(Place::Partition),
                6..=8 => self.table(Place::Clustering),
                _ => self.table(Place::Nowhere),
            };
            self.tables.push(table);
        }
        if self.tables.iter().all(|table| table.account.is_none()) {
            let table = self.table(Place::Own);
            self.tables.push(table);
        }
        self.tables
    }

    /// A table whose key names two accounts, as it is merged by the one and by the other.
    pub(super) fn followers(mut self) -> [Table; 2] {
        let (acc, other) = (self.column("acc", ACCOUNT), self.column("other", ACCOUNT));
        let (columns, partition) = match self.random.below(3) {
            0 => (vec![acc, other], 1),
            1 => (vec![acc, other], 2),
            _ => {
                let of = self.key_type(true);
                let first = self.column("p0", Type::One(of));
                (vec![first, acc, other], 1)
            }
        };
        let account = columns.len() - 2;
        let mut table = Table {
            name: self.prefix.clone(),
            key: columns.len(),
            columns,
            partition,
            account: Some(account),
            find: if partition == 1 && account == 0 { Find::Own } else { Find::Scan },
            policies: Vec::new(),
            ranking: Vec::new(),
            keeps_source_rows: false,
            mentions: Vec::new(),
            carries_ttls: self.random.chance(25),
            default_ttl: false,
            descending: Vec::new(),
            keeps_source: false,
            drop_oneself: self.random.chance(60).then_some(account + 1),
        };
        if account == 1 {
            table.columns[0].values.retain(|value| *value != "''");
        }
        self.regular(&mut table, Place::Own);
        table.keeps_source = false;
        table.mentions.clear();
        let mut turned = table.clone();
        turned.account = Some(account + 1);
        turned.find = Find::Scan;
        turned.drop_oneself = table.drop_oneself.map(|_| account);
        [table, turned]
    }

    fn column(&mut self, name: &str, of: Type) -> Column {
        let values = match &of {
            Type::One("account") => Vec::new(),
            Type::One(of) | Type::Set(of) | Type::List(of) | Type::Map(of, _) => self.some(of),
            Type::Fields(_) => FIELDS.iter().map(|(name, _)| *name).collect(),
        };
        Column { name: name.to_owned(), of, values }
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        self.random.one_of::<&str>(of)
    }

    /// Two or three values of a type, so that keys collide.
    fn some(&mut self, of: &str) -> Vec<&'static str> {
        let mut values = pool(of).to_vec();
        while values.len() > 3 {
            values.remove(self.random.below(values.len() as u64) as usize);
        }
        values
    }

    fn key_type(&mut self, is_clustering: bool) -> &'static str {
        match self.random.below(10) {
            0 if !is_clustering => self.one(FROZEN),
            1 | 2 => self.one(UNORDERED),
            _ => self.one(ORDERED),
        }
    }

    fn table(&mut self, place: Place) -> Table {
        let name = format!("{}_{}", self.prefix, self.tables.len());
        let mut columns = Vec::new();
        let others = match place {
            Place::Own => 0,
            Place::Partition | Place::Clustering => 1 + self.random.below(2) as usize,
            Place::Nowhere => 1,
        };
        let find = self.find(place, others, &mut columns);
        let mut account = None;
        let holder = self.column("acc", ACCOUNT);
        match place {
            Place::Own => {
                columns.push(holder);
                account = Some(0);
            }
            Place::Partition => {
                let at = self.random.below(others as u64 + 1) as usize;
                columns.insert(at, holder);
                account = Some(at);
            }
            Place::Clustering | Place::Nowhere => {}
        }
        let partition = columns.len();
        for n in 0..self.random.below(3) {
            let of = self.key_type(true);
            let column = self.column(&format!("c{n}"), Type::One(of));
            columns.push(column);
        }
        if place == Place::Clustering {
            let at = partition + self.random.below((columns.len() - partition) as u64 + 1) as usize;
            let holder = self.column("acc", ACCOUNT);
            columns.insert(at, holder);
            account = Some(at);
        }
        let key = columns.len();
        let descending: Vec<usize> = (partition..key).filter(|_| self.random.chance(30)).collect();
        let mut table = Table {
            name,
            columns,
            partition,
            key,
            account,
            find,
            policies: Vec::new(),
            ranking: Vec::new(),
            keeps_source_rows: false,
            mentions: Vec::new(),
            carries_ttls: self.random.chance(25),
            default_ttl: false,
            descending,
            keeps_source: false,
            drop_oneself: None,
        };
        if partition == 1 && account != Some(0) {
            table.columns[0].values.retain(|value| *value != "''");
        }
        self.regular(&mut table, place);
        table
    }

    fn find(&mut self, place: Place, others: usize, columns: &mut Vec<Column>) -> Find {
        if place == Place::Own {
            return Find::Own;
        }
        let leading: Vec<usize> = (0..self.tables.len())
            .filter(|at| {
                let table = &self.tables[*at];
                table.account.is_some() && table.find != Find::Scan && !table.keeps_source
            })
            .collect();
        let way = self.random.below(10);
        if place == Place::Nowhere || way < 3 || (way < 8 && leading.is_empty()) {
            for n in 0..others {
                let of = self.key_type(false);
                let column = self.column(&format!("p{n}"), Type::One(of));
                columns.push(column);
            }
            return Find::Scan;
        }
        let through = (way < 8).then(|| *self.random.one_of(&leading));
        let mut parts = Vec::new();
        for n in 0..others {
            let is_from = through.is_some() && (n == 0 || self.random.chance(60));
            let lead =
                through.filter(|_| is_from).and_then(|table| Some((table, self.lead(table)?)));
            let (column, part) = match lead {
                Some((table, lead)) => {
                    let from = self.tables[table].columns[lead].clone();
                    let name = format!("p{n}");
                    (Column { name, ..from }, Part::From(table, lead))
                }
                None => {
                    const CONSTANTS: &[&str] =
                        &["text", "ascii", "int", "bigint", "varint", "boolean", "uuid", "tinyint"];
                    let of = self.one(CONSTANTS);
                    let mut column = self.column(&format!("p{n}"), Type::One(of));
                    if column.values[0] == "''" {
                        column.values.remove(0);
                    }
                    // What TOML has no number for.
                    column.values.retain(|value| {
                        value.parse::<i64>().is_ok() || value.parse::<i128>().is_err()
                    });
                    if column.values.is_empty() {
                        column.values = vec!["0"];
                    }
                    let value = self.one(&column.values);
                    (column, Part::Value(value))
                }
            };
            columns.push(column);
            parts.push(part);
        }
        Find::Parts(parts)
    }

    /// A column of a table that can lead to another.
    fn lead(&mut self, table: usize) -> Option<usize> {
        let of = &self.tables[table];
        let can = |at: &usize| {
            let column = &of.columns[*at];
            column.of.is_one()
                && column.of != ACCOUNT
                && column.of != Type::One("duration")
                && !matches!(of.policy(*at), Policy::Sum)
                && !column.values.is_empty()
        };
        let columns: Vec<usize> = (0..of.columns.len()).filter(can).collect();
        (!columns.is_empty()).then(|| *self.random.one_of(&columns))
    }

    /// Columns beside the key, and what becomes of them.
    fn regular(&mut self, table: &mut Table, place: Place) {
        let fewest = if place == Place::Nowhere || table.carries_ttls { 1 } else { 0 };
        for n in 0..fewest + self.random.below(6) {
            let of = self.regular_type(table.carries_ttls);
            let column = self.column(&format!("r{n}"), of);
            table.columns.push(column);
        }
        let has_mention =
            place == Place::Nowhere || (!table.carries_ttls && self.random.chance(20));
        if has_mention {
            let column = self.column("who", ACCOUNT);
            table.mentions.push(table.columns.len());
            table.columns.push(column);
        }
        if place == Place::Nowhere {
            table.carries_ttls = false;
            return;
        }
        table.default_ttl = table.carries_ttls && self.random.chance(40);
        let regular = table.key..table.columns.len();
        let has_list = regular.clone().any(|at| matches!(table.columns[at].of, Type::List(_)));
        let ordered: Vec<usize> = regular
            .clone()
            .filter(|at| matches!(&table.columns[*at].of, Type::One(of) if ORDERED.contains(of)))
            .collect();
        if !has_list && table.mentions.is_empty() && !ordered.is_empty() && self.random.chance(20) {
            table.ranking.push(*self.random.one_of(&ordered));
            let second = *self.random.one_of(&ordered);
            if second != table.ranking[0] {
                table.ranking.push(second);
            }
            return;
        }
        if !has_list && table.mentions.is_empty() && self.random.chance(12) {
            table.keeps_source_rows = true;
            return;
        }
        for at in regular {
            if table.mentions.contains(&at) || self.random.chance(25) {
                continue;
            }
            let mut policies = policies(&table.columns[at].of, table.carries_ttls);
            let is_list = matches!(table.columns[at].of, Type::List(_));
            policies.retain(|policy| self.dates_lists || !is_list || *policy != Policy::Union);
            let policy = *self.random.one_of(&policies);
            table.policies.push((at, policy));
            if matches!(policy, Policy::Later | Policy::Earlier) {
                table.columns[at].values = DATES.to_vec();
            }
        }
        let adds = table.policies.iter().any(|(_, policy)| *policy == Policy::Sum);
        table.keeps_source = !adds && self.random.chance(7);
    }

    fn regular_type(&mut self, is_whole: bool) -> Type {
        const ELEMENTS: &[&str] = &[
            "text",
            "int",
            "uuid",
            "bigint",
            "boolean",
            "blob",
            "timestamp",
            "frozen<tuple<int, text>>",
        ];
        match self.random.below(13) {
            12 if !is_whole => Type::Fields("pair"),
            0 => Type::One("duration"),
            1 => Type::One(self.one(UNORDERED)),
            2 => Type::One(self.one(FROZEN)),
            3 => ACCOUNT,
            4 if !is_whole => Type::Set(self.one(ELEMENTS)),
            5 | 6 if !is_whole => {
                let value = match self.random.chance(70) {
                    true => self.one(ORDERED),
                    false => self.one(FROZEN),
                };
                Type::Map(self.one(ELEMENTS), value)
            }
            7 if !is_whole => Type::List(self.one(ELEMENTS)),
            8 => Type::One(self.one(NUMBERS)),
            _ => Type::One(self.one(ORDERED)),
        }
    }
}

/// Where the account stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Own,
    Partition,
    Clustering,
    Nowhere,
}

/// What a column of a type can have.
fn policies(of: &Type, carries_ttls: bool) -> Vec<Policy> {
    let mut policies = vec![Policy::KeepTarget];
    match of {
        Type::One(of) => {
            policies.extend([Policy::First, Policy::KeepSource, Policy::Latest]);
            if ORDERED.contains(of) {
                policies.extend([Policy::Max, Policy::Min, Policy::Max]);
            }
            if *of == "text" {
                policies.extend([Policy::Later, Policy::Earlier]);
            }
            if NUMBERS.contains(of) && !carries_ttls {
                policies.extend([Policy::Sum, Policy::Sum]);
            }
        }
        Type::Set(_) => policies.extend([Policy::Union, Policy::First, Policy::KeepSource]),
        Type::Map(_, of) => {
            policies.extend([Policy::Union, Policy::EachFirst]);
            policies.extend([Policy::First, Policy::KeepSource]);
            if ORDERED.contains(of) {
                policies.extend([Policy::EachMax, Policy::EachMin]);
            }
        }
        Type::Fields(_) => policies.extend([Policy::Union, Policy::First, Policy::KeepSource]),
        Type::List(_) => policies.extend([Policy::Union, Policy::First, Policy::KeepSource]),
    }
    policies
}
