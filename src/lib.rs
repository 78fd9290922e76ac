//! `tributary` merges duplicate accounts in Apache Cassandra, millions at a time, and announces on
//! Kafka what changed.
//!
//! # Bird's eye view
//!
//! A CSV says which accounts are the same person: `from,to`. Everything that belongs to `from` moves
//! under `to`; nothing is lost; `from` is empty afterwards. Data flows one way:
//!
//! ```text
//! pairs.csv ─► pairs ─► plan ─► groups ─► read ─► merge ─► journal ─► write ─► events ─► report
//!              └─ rejects.csv            └───────────── pipeline ─────────────┘
//! ```
//!
//! The planner turns pairs into groups, one surviving account each with its sources in order. No
//! account is in two groups, so groups run in any order and at any concurrency. Each group is one async
//! function ([`pipeline::merge_group`]); its rows travel as raw CQL bytes from the frame they were read
//! in to the batch that writes them, in slices, so that no account is too large to merge. Hundreds or thousands of
//! groups are a [window](pipeline::Window): they take a step at a time, share one T, and what they ask of one
//! partition, or of partitions that one node holds, is one request. Groups that turn out to be large let the small ones
//! pass, and are windows of their own.
//!
//! Before a slice is written, the journal has it: the rows as they were, what is written over them, and
//! the events that follow. So a run that was stopped anywhere goes on with the same values and the same T
//! (`resume`), can be compared with what it should have left (`verify`), and can be undone (`undo`).
//!
//! Every write and delete of a group carries the same write time T, a moment just before its first read
//! ([`pipeline::AsOf`]). The merge behaves as if it had happened at that instant: later writes of the
//! application win, cell by cell, and merging again changes nothing. What was written to a source later
//! than T outlives its delete; at the end the sweep ([`pipeline::sweep`]) moves it to the survivor's row.
//!
//! A table in which the account is a clustering column has no index by it. Its partitions are those that
//! other rows of the sources name; with `--discover scan` also those in which a scan of the table's keys
//! ([`pipeline::scan`]) has found a source, before the first group. Where nothing leads, a scan alone finds them: so a key
//! that names two accounts is moved by the one, and by the other in a run of its own, in the order that the register keeps.
//!
//! A row may also mention an account beside its key. Where it moves it is mapped as it is copied; all others name the
//! survivor at the very end ([`pipeline::mentions`]).
//!
//! # Code map, in reading order
//!
//! Each module knows only those above it (`tests/architecture.rs` holds the exact table of edges, and the first file of
//! each repeats its row). A folder within a module may use what the module may, and is known to it alone; but how slices
//! are written (`journal::body`) is known also to `cli` and `undo`, which write and show them, and the keys of a group
//! (`pipeline::keys`) to `undo`.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | the vocabulary: the values that one stage hands to the next |
//! | [`moment`], [`secret`] | a point in time as people read it; text that must not be shown |
//! | [`advice`] | what an operator may do next; the only place that knows how a command to run is written |
//! | [`setting`] | what there is to know of a setting, in one row; the layers that its value is taken from |
//! | [`wrap`] | words in lines |
//! | [`estimate`], [`ranking`] | a total from a sample, with its confidence; the largest sums, in bounded memory |
//! | [`spec`] | the merge specification: TOML → checked tables, keys and policies; the preset |
//! | [`readable`] | raw values as people read them, in reports and CSV files |
//! | [`pairs`] | a list (CSV; plain, gzip, standard input) → numbered accounts, with line numbers and rejects |
//! | [`plan`] | pairs → disjoint groups, statistics. Plain data, no I/O |
//! | [`merge`] | the core: rows → mutations and events. No async, no clock, no I/O |
//! | [`storage`] | the one seam: what a merge needs of a database, and a fake of it for tests |
//! | [`register`] | what became of accounts over all runs, and who may work on a keyspace |
//! | [`cluster`] | Cassandra behind that seam; the only user of the driver |
//! | [`events`] | where events go; `events::kafka` is the only user of rdkafka |
//! | [`failpoint`] | points at which a test may kill the process |
//! | [`journal`] | what a run is about to do, durable before it is done; the only user of SQLite |
//! | [`history`] | what a run did to each key of a group, read back from the journal |
//! | [`latency`] | HDR histograms per kind of request |
//! | [`pace`] | how many requests are under way at once, how fast groups begin |
//! | [`live`] | a run while it goes on: what is shown of it, and what may be asked of it; the only user of axum |
//! | [`pipeline`] | composes the stages, scans and sweeps; the only owner of spawning, bounds and cancellation |
//! | [`verify`], [`undo`] | the other two walks over a run: compare the cluster with it, undo it |
//! | [`help`] | the manual, topic by topic: start there to know what the tool does |
//! | [`run`] | the run directory: it appears complete or not at all, and belongs to one process at a time |
//! | [`report`] | what a command has to say, as text for a terminal, as JSON or as a page for a browser: data in, bytes out |
//! | [`cli`] | arguments and configuration, progress, logs, exit codes; wires the commands |
//!
//! # Laws
//!
//! 1. The unit of work is the **slice**: a group, or the part of a group too large to hold that lies
//!    between two keys. Its intent (before-images, what it writes, T, its events) is durable in the journal
//!    before its first write.
//! 2. A row is deleted no earlier than its own copy is acknowledged. A copy and a delete in the same
//!    partition share one unlogged batch, which is one atomic mutation. Rows found by partition are
//!    deleted last, one partition delete per source.
//! 3. Events are produced only after every write of the group is acknowledged, and a group is done only
//!    after its events are acknowledged.
//! 4. Replaying a journaled slice, any number of times, gives the same rows and the same event ids.
//! 5. Planning cannot write: it is given no connection at all, and with `--inspect` a [`cluster::ReadStore`], which
//!    has no statement that could; readers are a trait of their own, and an inspection is bound to it.
//! 6. Nothing is skipped in silence: every input line is merged, a counted duplicate, blank, rejected or
//!    failed with a reason; the counters of a run add up, and the report shows that they do.
//! 7. Reads and writes use LOCAL_QUORUM unless told otherwise, set on every statement and every batch.
//! 8. A failed group never stops the others: a request of several groups that fails is taken apart until the one that it
//!    concerns is alone. Transient errors are retried with backoff and with fewer requests at once. What every group
//!    meets is no failure of a group: it is waited for until nothing has got through for the retry budget, or stops the
//!    walk at once; who met it is left as it is.
//! 9. Memory is bounded by what is in flight, not by the size of a partition, a fan-in or a file (the
//!    planner holds the pair graph, a scan the clustered rows that it found, both compactly, and a group one entry per
//!    batch that it touches).
//! 10. Secrets never reach a log, a report, the journal or the process list. A run directory holds
//!     personal data and is readable by its owner only.
//!
//! # Deliberately absent
//!
//! - No retries in the driver and none of our own in the Kafka client: one place decides, the pipeline
//!   for Cassandra and librdkafka for Kafka.
//! - No timers that wait for more work to batch (a window sends when all of its groups wait), no decoding of values
//!   that no policy looks at.

mod advice;
pub mod cli;
pub mod cluster;
pub mod estimate;
pub mod events;
mod failpoint;
pub mod help;
mod history;
pub mod journal;
pub mod latency;
mod live;
pub mod merge;
pub mod model;
mod moment;
pub mod pace;
pub mod pairs;
pub mod pipeline;
pub mod plan;
mod ranking;
mod readable;
pub mod register;
pub mod report;
mod run;
mod secret;
mod setting;
pub mod spec;
pub mod storage;
pub mod undo;
pub mod verify;
mod wrap;
