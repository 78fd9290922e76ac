//! The manual, topic by topic: what `tributary help TOPIC` shows, man pages say, and these pages have.
//!
//! Each topic is one file of Markdown. What the code knows in a table is made of that table: the [settings](settings()),
//! the formats and rules of the input, the sinks of events and the counts of reports stand below their topics. It is data in, text out: whoever
//! shows it knows the width and the place.
//!
//! May use `model`, `wrap`, `setting`, `pairs` and `events`; may be used by `cli`.

mod markdown;
mod roff;
mod tables;
mod text;

pub use markdown::{Block, blocks};
pub use roff::page;
pub(crate) use tables::{settings, topics};
pub use text::text;

/// What stands above the list of topics.
pub const CONTENTS: &str = include_str!("contents.md");

/// A topic of the manual.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// The word that asks for it.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// Its own Markdown.
    text: &'static str,
}

/// The topics, in reading order: a module with the text for the documentation of the code, and a row of the table.
macro_rules! topics {
    ($($module:ident, $name:literal, $file:literal, $about:literal;)+) => {
        $(
            #[doc = include_str!($file)]
            pub mod $module {}
        )+

        /// All of them.
        pub const TOPICS: &[Topic] =
            &[$(Topic { name: $name, about: $about, text: include_str!($file) }),+];
    };
}

topics! {
    concepts, "concepts", "concepts.md", "pairs, groups, and what happens to the rows";
    input, "input", "input.md", "the list of pairs, and what is rejected, held back or doubted";
    specification, "specification", "specification.md", "which tables are merged, and by which rules";
    safety, "safety", "safety.md", "stopping, failing servers, other runs, verify and undo";
    parts, "parts", "parts.md", "one plan, merged by several processes; apply or resume in one command";
    journal, "journal", "journal.md", "the run directory and its files, and the journal";
    reports, "reports", "reports.md", "what is printed and kept, and every field of the JSON";
    live, "live", "live.md", "watching a run, holding it, and its metrics";
    events, "events", "events.md", "what is announced, and where that goes";
    settings, "settings", "settings.md", "every setting: flag, variable, file, default";
    servers, "servers", "servers.md", "supported versions, privileges, TLS and logins";
    performance, "performance", "performance.md", "how fast it is, and what that depends on";
    exit_codes, "exit-codes", "exit-codes.md", "how a command ends";
}

impl Topic {
    /// The one that `tributary help NAME` shows.
    pub fn find(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|topic| topic.name == name)
    }

    /// Its Markdown, with what the code knows in tables; but for those of all settings, which the command line has.
    pub fn markdown(&self) -> String {
        let more = match self.name {
            "input" => tables::input(),
            "events" => tables::events(),
            "reports" => tables::counts(),
            _ => String::new(),
        };
        format!("{}{more}", self.text)
    }
}
