//! Tables by description: what they are created with, the specification that merges them and the model that says what
//! must come of it are all made from one.

use super::cells::Kind;

/// A table and how it is merged.
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Name and type, those of the primary key first; [`ACCOUNT`] stands for the type of the accounts.
    pub(super) columns: &'static [(&'static str, &'static str)],
    /// How many of them are the partition key.
    pub(super) partition: usize,
    /// How many of them are the primary key.
    pub(super) key: usize,
    /// The position of the account.
    pub(super) account: usize,
    pub(super) find: Find,
    pub(super) policies: &'static [(&'static str, Policy)],
    /// A clustering column that is sorted downwards.
    pub(super) descending: Option<&'static str>,
    /// Whether sources keep their rows.
    pub(super) keeps_source: bool,
}

/// The type of a column that holds accounts.
pub(super) const ACCOUNT: &str = "ACCOUNT";

/// Where the values of the partition key beside the account come from.
pub(super) enum Find {
    Own,
    /// `partitions_from`
    One(&'static str, &'static str),
    /// Each column with its source.
    Parts(&'static [(&'static str, Part)]),
}

#[derive(Clone, Copy)]
pub(super) enum Part {
    /// A literal, which TOML and CQL write alike.
    Value(&'static str),
    /// A table and its column.
    From(&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Policy {
    Max,
    Min,
    KeepTarget,
}

/// What most tables have.
const PLAIN: Shape = Shape {
    name: "",
    columns: &[],
    partition: 1,
    key: 1,
    account: 0,
    find: Find::Own,
    policies: &[],
    descending: None,
    keeps_source: false,
};

use Part::{From, Value};
use Policy::{KeepTarget, Max, Min};

/// Every kind of key at once. What leads to a table may be written behind it.
pub(super) static WORLD: [Shape; 13] = [
    // Led by a regular column of a table that is led to itself; the account is the first of two clustering columns.
    Shape {
        name: "followers",
        columns: &[
            ("topic", "text"),
            ("userid", ACCOUNT),
            ("since", "int"),
            ("weight", "int"),
            ("note", "text"),
        ],
        key: 3,
        account: 1,
        find: Find::One("posts", "topic"),
        policies: &[("weight", Max)],
        ..PLAIN
    },
    Shape {
        name: "users",
        columns: &[
            ("userid", ACCOUNT),
            ("tenant", "text"),
            ("name", "text"),
            ("age", "int"),
            ("seen", "timestamp"),
        ],
        policies: &[("age", Max), ("seen", Min), ("name", KeepTarget)],
        ..PLAIN
    },
    Shape {
        name: "profile",
        columns: &[
            ("tenant", "text"),
            ("userid", ACCOUNT),
            ("bio", "text"),
            ("level", "int"),
            ("active", "boolean"),
            ("tags", "set<text>"),
        ],
        partition: 2,
        key: 2,
        account: 1,
        find: Find::Parts(&[("tenant", From("users", "tenant"))]),
        policies: &[("level", Max), ("bio", Min)],
        ..PLAIN
    },
    Shape {
        name: "settings",
        columns: &[
            ("region", "text"),
            ("userid", ACCOUNT),
            ("name", "text"),
            ("value", "text"),
            ("version", "bigint"),
        ],
        partition: 2,
        key: 3,
        account: 1,
        find: Find::Parts(&[("region", Value("'eu'"))]),
        policies: &[("version", Max)],
        ..PLAIN
    },
    Shape {
        name: "user_enrolments",
        columns: &[
            ("userid", ACCOUNT),
            ("courseid", "text"),
            ("batchid", "text"),
            ("status", "int"),
            ("enrolled", "timestamp"),
            ("note", "text"),
            ("referrer", ACCOUNT),
        ],
        key: 3,
        policies: &[("status", Max), ("enrolled", Min)],
        ..PLAIN
    },
    Shape {
        name: "user_activity_agg",
        columns: &[
            ("activity_type", "text"),
            ("activity_id", "text"),
            ("user_id", ACCOUNT),
            ("context_id", "text"),
            ("agg", "map<text, int>"),
            ("last_updated", "timestamp"),
            ("score", "int"),
        ],
        partition: 3,
        key: 4,
        account: 2,
        find: Find::Parts(&[
            ("activity_type", Value("'Course'")),
            ("activity_id", From("user_enrolments", "courseid")),
        ]),
        policies: &[("last_updated", Max), ("score", Min)],
        ..PLAIN
    },
    Shape {
        name: "assessment",
        columns: &[
            ("user_id", ACCOUNT),
            ("course_id", "text"),
            ("batch_id", "text"),
            ("content_id", "text"),
            ("attempt_id", "int"),
            ("total", "int"),
            ("grade", "text"),
        ],
        partition: 2,
        key: 5,
        find: Find::Parts(&[("course_id", From("user_enrolments", "courseid"))]),
        policies: &[("total", Max), ("grade", Min)],
        descending: Some("attempt_id"),
        ..PLAIN
    },
    // Two columns of one row lead here, and the account stands between them.
    Shape {
        name: "reviews",
        columns: &[
            ("content_id", "text"),
            ("user_id", ACCOUNT),
            ("attempt_id", "int"),
            ("reviewer", "text"),
            ("stars", "int"),
            ("note", "text"),
        ],
        partition: 3,
        key: 4,
        account: 1,
        find: Find::Parts(&[
            ("attempt_id", From("assessment", "attempt_id")),
            ("content_id", From("assessment", "content_id")),
        ]),
        policies: &[("stars", Min)],
        ..PLAIN
    },
    Shape {
        name: "members",
        columns: &[
            ("courseid", "text"),
            ("userid", ACCOUNT),
            ("role", "text"),
            ("points", "int"),
            ("joined", "timestamp"),
            ("invited_by", ACCOUNT),
        ],
        key: 2,
        account: 1,
        find: Find::One("user_enrolments", "courseid"),
        policies: &[("points", Max), ("joined", Min)],
        ..PLAIN
    },
    Shape {
        name: "posts",
        columns: &[
            ("kind", "text"),
            ("courseid", "text"),
            ("userid", ACCOUNT),
            ("post_id", "int"),
            ("topic", "text"),
            ("body", "text"),
            ("likes", "int"),
        ],
        partition: 2,
        key: 4,
        account: 2,
        find: Find::Parts(&[
            ("courseid", From("user_enrolments", "courseid")),
            ("kind", Value("'blog'")),
        ]),
        policies: &[("likes", Max)],
        ..PLAIN
    },
    Shape {
        name: "ranking",
        columns: &[
            ("kind", "text"),
            ("courseid", "text"),
            ("place", "int"),
            ("userid", ACCOUNT),
            ("day", "date"),
            ("points", "int"),
            ("note", "text"),
        ],
        partition: 2,
        key: 5,
        account: 3,
        find: Find::Parts(&[
            ("courseid", From("user_enrolments", "courseid")),
            ("kind", Value("'weekly'")),
        ]),
        policies: &[("points", Min)],
        descending: Some("place"),
        ..PLAIN
    },
    // One partition for everybody: a constant alone leads to clustered accounts.
    Shape {
        name: "board",
        columns: &[
            ("region", "text"),
            ("userid", ACCOUNT),
            ("points", "int"),
            ("note", "text"),
            ("badges", "set<text>"),
        ],
        key: 2,
        account: 1,
        find: Find::Parts(&[("region", Value("'eu'"))]),
        policies: &[("points", Max)],
        ..PLAIN
    },
    Shape {
        name: "archive",
        columns: &[
            ("userid", ACCOUNT),
            ("region", "text"),
            ("entry", "int"),
            ("weight", "int"),
            ("note", "text"),
            ("made_by", ACCOUNT),
        ],
        partition: 2,
        key: 3,
        find: Find::Parts(&[("region", Value("'eu'"))]),
        policies: &[("weight", Max)],
        keeps_source: true,
        ..PLAIN
    },
];

/// One table of each kind of key, to see accounts of many types in.
pub(super) static SMALL: [Shape; 4] = [
    Shape {
        // The proxy judges requests on tables of this name.
        name: "content_consumption",
        columns: &[("account", ACCOUNT), ("course", "text"), ("status", "int"), ("note", "text")],
        key: 2,
        policies: &[("status", Max)],
        ..PLAIN
    },
    Shape {
        name: "part",
        columns: &[("region", "text"), ("account", ACCOUNT), ("status", "int"), ("note", "text")],
        partition: 2,
        key: 2,
        account: 1,
        find: Find::Parts(&[("region", Value("'eu'"))]),
        policies: &[("status", Min)],
        ..PLAIN
    },
    Shape {
        name: "point",
        columns: &[("course", "text"), ("account", ACCOUNT), ("status", "int"), ("note", "text")],
        key: 2,
        account: 1,
        find: Find::One("content_consumption", "course"),
        policies: &[("status", Max)],
        ..PLAIN
    },
    Shape {
        name: "several",
        columns: &[
            ("course", "text"),
            ("place", "int"),
            ("account", ACCOUNT),
            ("entry", "int"),
            ("status", "int"),
            ("note", "text"),
        ],
        key: 4,
        account: 2,
        find: Find::One("content_consumption", "course"),
        policies: &[("status", Max)],
        ..PLAIN
    },
];

impl Shape {
    /// The columns of the partition key but the account's, each with its source, in key order.
    pub(super) fn parts(&self) -> Vec<Part> {
        let columns = self.columns[..self.partition].iter().enumerate();
        let others = columns.filter(|(at, _)| *at != self.account);
        let part = |(_, (name, _)): (usize, &(&'static str, &str))| match &self.find {
            Find::Own => unreachable!("{name} is beside the account in {}", self.name),
            Find::One(table, column) => From(table, column),
            Find::Parts(parts) => {
                parts.iter().find(|(column, _)| column == name).expect("every part is named").1
            }
        };
        others.map(part).collect()
    }

    pub(super) fn policy(&self, column: &str) -> Policy {
        let mut policies = self.policies.iter();
        policies.find(|(name, _)| *name == column).map_or(KeepTarget, |(_, policy)| *policy)
    }

    /// The columns beside the key that name accounts.
    pub(super) fn mentions(&self) -> impl Iterator<Item = &'static str> {
        let columns = self.columns[self.key..].iter();
        columns.filter(|(_, of)| *of == ACCOUNT).map(|(name, _)| *name)
    }

    /// The statement that creates the table.
    pub(super) fn create(&self, keyspace: &str, accounts: Kind) -> String {
        let column = |(name, of): &(&str, &str)| {
            format!("{name} {}", if *of == ACCOUNT { accounts.name() } else { of })
        };
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        let names = |range: std::ops::Range<usize>| -> Vec<&str> {
            self.columns[range].iter().map(|(name, _)| *name).collect()
        };
        let mut key = vec![format!("({})", names(0..self.partition).join(", "))];
        key.extend(names(self.partition..self.key).into_iter().map(str::to_owned));
        let order: Vec<_> = names(self.partition..self.key)
            .into_iter()
            .map(|name| match self.descending == Some(name) {
                true => format!("{name} DESC"),
                false => format!("{name} ASC"),
            })
            .collect();
        let order = match order.is_empty() {
            true => String::new(),
            false => format!(" WITH CLUSTERING ORDER BY ({})", order.join(", ")),
        };
        format!(
            "CREATE TABLE {keyspace}.{} ({}, PRIMARY KEY ({})){order}",
            self.name,
            columns.join(", "),
            key.join(", ")
        )
    }
}
