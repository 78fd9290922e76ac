//! The rows of the two tables: as JSON, as bound values and as they are read.

use std::collections::BTreeMap;

use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::value::{CqlTimestamp, MaybeUnset};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::random::Random;

/// A map of a row.
pub(crate) type Statuses = BTreeMap<String, i32>;

/// One row of `user_courses`. Absent values are null; times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct UserCourse {
    pub(crate) batchid: String,
    pub(crate) userid: String,
    pub(crate) active: Option<bool>,
    pub(crate) addedby: Option<String>,
    pub(crate) completedon: Option<i64>,
    pub(crate) completionpercentage: Option<i32>,
    pub(crate) contentstatus: Option<Statuses>,
    pub(crate) courseid: Option<String>,
    pub(crate) datetime: Option<i64>,
    pub(crate) delta: Option<String>,
    pub(crate) enrolleddate: Option<String>,
    pub(crate) grade: Option<String>,
    pub(crate) lastreadcontentid: Option<String>,
    pub(crate) lastreadcontentstatus: Option<i32>,
    pub(crate) progress: Option<i32>,
    pub(crate) status: Option<i32>,
}

/// One row of `content_consumption`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ContentConsumption {
    pub(crate) userid: String,
    pub(crate) contentid: String,
    pub(crate) batchid: String,
    pub(crate) courseid: String,
    pub(crate) completedcount: Option<i32>,
    pub(crate) contentversion: Option<String>,
    pub(crate) datetime: Option<i64>,
    pub(crate) grade: Option<String>,
    pub(crate) lastaccesstime: Option<String>,
    pub(crate) lastcompletedtime: Option<String>,
    pub(crate) lastupdatedtime: Option<String>,
    pub(crate) progress: Option<i32>,
    pub(crate) result: Option<String>,
    pub(crate) score: Option<String>,
    pub(crate) status: Option<i32>,
    pub(crate) viewcount: Option<i32>,
}

/// What the two kinds of rows have in common.
pub(crate) trait TableRow: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The table; with `.jsonl`, its file.
    const TABLE: &'static str;
    /// The partition key column.
    const PARTITION: &'static str;
    /// All columns in the order of [`values`](Self::values) and [`Cells`](Self::Cells).
    const COLUMNS: &'static str;
    /// The types of the columns and the primary key.
    const SCHEMA: &'static str;
    /// A row as it is read.
    type Cells: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static;

    /// The values to bind; nulls are left unset.
    fn values(&self) -> impl SerializeRow + Send + Sync;
    /// The row that was read.
    fn from_cells(cells: Self::Cells) -> Self;
    /// The primary key.
    fn key(&self) -> [&str; 4];
}

type Text<'a> = MaybeUnset<&'a String>;

fn set<T>(value: &Option<T>) -> MaybeUnset<&T> {
    MaybeUnset::from_option(value.as_ref())
}

fn time(value: Option<i64>) -> MaybeUnset<CqlTimestamp> {
    MaybeUnset::from_option(value.map(CqlTimestamp))
}

fn int(value: Option<i32>) -> MaybeUnset<i32> {
    MaybeUnset::from_option(value)
}

impl TableRow for UserCourse {
    const TABLE: &'static str = "user_courses";
    const PARTITION: &'static str = "batchid";
    const COLUMNS: &'static str = "batchid, userid, active, addedby, completedon, completionpercentage, contentstatus, \
        courseid, datetime, delta, enrolleddate, grade, lastreadcontentid, lastreadcontentstatus, \
        progress, status";
    const SCHEMA: &'static str = "(batchid text, userid text, active boolean, addedby text, completedon timestamp, \
        completionpercentage int, contentstatus map<text,int>, courseid text, datetime timestamp, \
        delta text, enrolleddate text, grade text, lastreadcontentid text, \
        lastreadcontentstatus int, progress int, status int, PRIMARY KEY (batchid, userid)) \
        WITH CLUSTERING ORDER BY (userid ASC)";
    type Cells = (
        String,
        String,
        Option<bool>,
        Option<String>,
        Option<CqlTimestamp>,
        Option<i32>,
        Option<Statuses>,
        Option<String>,
        Option<CqlTimestamp>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<i32>,
        Option<i32>,
        Option<i32>,
    );

    fn values(&self) -> impl SerializeRow + Send + Sync {
        let addedby: Text<'_> = set(&self.addedby);
        (
            &self.batchid,
            &self.userid,
            set(&self.active),
            addedby,
            time(self.completedon),
            int(self.completionpercentage),
            set(&self.contentstatus),
            set(&self.courseid),
            time(self.datetime),
            set(&self.delta),
            set(&self.enrolleddate),
            set(&self.grade),
            set(&self.lastreadcontentid),
            int(self.lastreadcontentstatus),
            int(self.progress),
            int(self.status),
        )
    }

    fn from_cells(cells: Self::Cells) -> Self {
        Self {
            batchid: cells.0,
            userid: cells.1,
            active: cells.2,
            addedby: cells.3,
            completedon: cells.4.map(|time| time.0),
            completionpercentage: cells.5,
            contentstatus: cells.6,
            courseid: cells.7,
            datetime: cells.8.map(|time| time.0),
            delta: cells.9,
            enrolleddate: cells.10,
            grade: cells.11,
            lastreadcontentid: cells.12,
            lastreadcontentstatus: cells.13,
            progress: cells.14,
            status: cells.15,
        }
    }

    fn key(&self) -> [&str; 4] {
        [&self.batchid, &self.userid, "", ""]
    }
}

impl TableRow for ContentConsumption {
    const TABLE: &'static str = "content_consumption";
    const PARTITION: &'static str = "userid";
    const COLUMNS: &'static str = "userid, contentid, batchid, courseid, completedcount, contentversion, datetime, grade, \
        lastaccesstime, lastcompletedtime, lastupdatedtime, progress, result, score, status, viewcount";
    const SCHEMA: &'static str = "(userid text, contentid text, batchid text, courseid text, completedcount int, \
        contentversion text, datetime timestamp, grade text, lastaccesstime text, \
        lastcompletedtime text, lastupdatedtime text, progress int, result text, score text, \
        status int, viewcount int, PRIMARY KEY (userid, contentid, batchid, courseid)) \
        WITH CLUSTERING ORDER BY (contentid ASC, batchid ASC, courseid ASC)";
    type Cells = (
        String,
        String,
        String,
        String,
        Option<i32>,
        Option<String>,
        Option<CqlTimestamp>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<i32>,
        Option<String>,
        Option<String>,
        Option<i32>,
        Option<i32>,
    );

    fn values(&self) -> impl SerializeRow + Send + Sync {
        (
            &self.userid,
            &self.contentid,
            &self.batchid,
            &self.courseid,
            int(self.completedcount),
            set(&self.contentversion),
            time(self.datetime),
            set(&self.grade),
            set(&self.lastaccesstime),
            set(&self.lastcompletedtime),
            set(&self.lastupdatedtime),
            int(self.progress),
            set(&self.result),
            set(&self.score),
            int(self.status),
            int(self.viewcount),
        )
    }

    fn from_cells(cells: Self::Cells) -> Self {
        Self {
            userid: cells.0,
            contentid: cells.1,
            batchid: cells.2,
            courseid: cells.3,
            completedcount: cells.4,
            contentversion: cells.5,
            datetime: cells.6.map(|time| time.0),
            grade: cells.7,
            lastaccesstime: cells.8,
            lastcompletedtime: cells.9,
            lastupdatedtime: cells.10,
            progress: cells.11,
            result: cells.12,
            score: cells.13,
            status: cells.14,
            viewcount: cells.15,
        }
    }

    fn key(&self) -> [&str; 4] {
        [&self.userid, &self.contentid, &self.batchid, &self.courseid]
    }
}

impl UserCourse {
    /// A row with its key alone.
    pub(crate) fn bare(batchid: &str, userid: &str) -> Self {
        Self { batchid: batchid.to_owned(), userid: userid.to_owned(), ..Self::default() }
    }

    /// An ordinary row.
    pub(crate) fn random(batchid: &str, userid: &str, courseid: &str, random: &mut Random) -> Self {
        let progress = random.below(12) as i32;
        let contents = random.below(4);
        let statuses: Statuses =
            (0..contents).map(|n| (format!("{courseid}_{n}"), random.below(3) as i32)).collect();
        let done = random.chance(0.3);
        Self {
            active: Some(random.chance(0.95)),
            addedby: random.chance(0.5).then(|| userid.to_owned()),
            completedon: done.then(|| moment(random)),
            completionpercentage: random.chance(0.8).then(|| random.below(101) as i32),
            contentstatus: (!statuses.is_empty()).then_some(statuses),
            courseid: Some(courseid.to_owned()),
            datetime: Some(moment(random)),
            enrolleddate: Some(moment_text(random)),
            lastreadcontentid: random.chance(0.7).then(|| format!("{courseid}_{progress}")),
            lastreadcontentstatus: random.chance(0.7).then(|| random.below(3) as i32),
            progress: Some(progress),
            status: random.chance(0.9).then(|| random.below(3) as i32),
            ..Self::bare(batchid, userid)
        }
    }
}

impl ContentConsumption {
    /// A row with its key alone.
    pub(crate) fn bare(userid: &str, contentid: &str, batchid: &str, courseid: &str) -> Self {
        Self {
            userid: userid.to_owned(),
            contentid: contentid.to_owned(),
            batchid: batchid.to_owned(),
            courseid: courseid.to_owned(),
            ..Self::default()
        }
    }

    /// The same row with ordinary values.
    pub(crate) fn filled(self, random: &mut Random) -> Self {
        let done = random.chance(0.4);
        Self {
            completedcount: done.then(|| 1 + random.below(3) as i32),
            contentversion: random.chance(0.9).then(|| "1".to_owned()),
            datetime: random.chance(0.5).then(|| moment(random)),
            lastaccesstime: Some(moment_text(random)),
            lastcompletedtime: done.then(|| moment_text(random)),
            lastupdatedtime: Some(moment_text(random)),
            progress: Some(random.below(101) as i32),
            status: random.chance(0.95).then(|| random.below(3) as i32),
            viewcount: Some(1 + random.below(20) as i32),
            ..self
        }
    }
}

fn moment(random: &mut Random) -> i64 {
    1_600_000_000_000 + random.below(100_000_000_000) as i64
}

fn moment_text(random: &mut Random) -> String {
    format!(
        "202{}-{:02}-{:02} {:02}:{:02}:{:02}:{:03}+0000",
        random.below(5),
        1 + random.below(12),
        1 + random.below(28),
        random.below(24),
        random.below(60),
        random.below(60),
        random.below(1_000)
    )
}
