//! The vocabulary: the values that one stage hands to the next.
//!
//! `Pair → Group → Mutation → Batch → Event`. Everything here is plain data; this module
//! depends on nothing of ours, and every other module may use it. The same nouns are used in the
//! code, on the command line and in the report.
//!
//! In reading order: `cql` is what a column's type says, the only place that takes the text of a type apart, with
//! `order` (how the server orders values), `same` (which of them mean the same), `elements` (maps and sets, taken
//! apart), `list` (lists, written whole) and `name` (how names are written); `account` has ids by type, pairs and groups, `usual_uuid` UUIDs as they are usually written,
//! `part` what falls to one of several processes; `row` is what is read, `change` what is written, `expiry` how long that
//! lasts, `tally` what was done, each count of it a row (`count`); `surroundings` is what a cluster tells of the tables beside their rows.
//!
//! May use nothing else of the crate; may be used by `spec`, `readable`, `pairs`, `plan`, `merge`, `storage`,
//! `register`, `cluster`, `events`, `journal`, `history`, `live`, `pipeline`, `verify`, `undo`, `help`, `run`, `report`
//! and `cli`.

mod account;
mod change;
mod clock;
mod count;
mod cql;
mod elements;
pub(crate) mod expiry;
mod key;
pub(crate) mod list;
mod name;
mod order;
mod part;
mod row;
mod same;
mod surroundings;
mod tally;
mod usual_uuid;

pub use account::*;
pub use change::*;
pub(crate) use clock::since_boot;
pub use clock::{Clocks, now_us};
pub(crate) use count::{Amount, Count, Counts, Shown};
pub use cql::CqlType;
pub(crate) use cql::hex;
pub(crate) use elements::field_number;
pub use elements::{Collection, Elements};
pub use expiry::{Expiries, ExpiryS, Moments};
pub use key::Scope;
pub use list::Tries;
pub(crate) use name::{quoted, written};
pub(crate) use order::Order;
pub use part::Part;
pub use row::*;
pub use surroundings::*;
pub use tally::*;
pub(crate) use usual_uuid::{format_uuid, parse_uuid, parse_uuid_of_any_case};
