//! A table of rows by account and key, with two columns whose values have elements; all of it as lines of text.

use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Group, Row};
use tributary::pipeline::Context;
use tributary::plan::Plan;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::stops::Stops;
use super::sweep::plan_of;
use super::undo::end;
use super::verify::{diff, verified};
use super::{context_with, run};

/// Such a table, what a merge of some sources into `new` finds there, and what it leaves.
pub struct Parts {
    /// The policies.
    pub on_conflict: &'static str,
    /// The two columns, in the order in which they are declared, with their types. Those with a policy come first in a row.
    pub columns: [(&'static str, &'static str); 2],
    pub sources: &'static [&'static str],
    /// As `user key: one | other`.
    pub before: &'static [&'static str],
    pub merged: &'static [&'static str],
    pub cell: fn(&str) -> Cell,
    /// By column.
    pub shown: [fn(&Cell) -> String; 2],
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub fn key(user: &str, k: &str) -> Vec<Bytes> {
    vec![bytes(user), bytes(k)]
}

impl Parts {
    pub fn spec(&self) -> Arc<Spec> {
        let text = format!(
            "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'\non_conflict = {{ {} }}",
            self.on_conflict
        );
        let [one, other] = self.columns;
        let table = TableSchema::keyed(2, &[("user", "text"), ("k", "text"), one, other]);
        let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
        Arc::new(RawSpec::parse(&text, "the test").unwrap().check(&schema).unwrap())
    }

    pub fn load(&self, storage: &MemoryStorage) {
        for line in self.before {
            let (account, values) = line.split_once(':').unwrap();
            let (user, k) = account.split_once(' ').unwrap();
            let (one, other) = values.split_once('|').unwrap();
            let keys = key(user, k).into_iter().map(Some);
            let cells = keys.chain([(self.cell)(one), (self.cell)(other)]).collect();
            storage.put(0, Row::new(cells), 1_000);
        }
    }

    pub fn rows(&self, context: &Context<MemoryStorage>) -> Vec<String> {
        let row = |Row { cells, .. }: Row| {
            let [user, k] = [0, 1].map(|at: usize| text(cells[at].as_ref().unwrap()));
            let [one, other] = [0, 1].map(|at: usize| self.shown[at](&cells[2 + at]));
            format!("{user} {k}: {one} | {other}")
        };
        let mut rows: Vec<_> = context.storage.dump(0).into_iter().map(row).collect();
        rows.sort();
        rows
    }

    pub fn plan(&self) -> Plan {
        let sources: Vec<String> = self.sources.iter().map(|&source| source.to_owned()).collect();
        plan_of("new", &sources)
    }

    pub fn group(&self) -> Group {
        self.plan().group(0)
    }

    pub fn context(
        &self,
        storage: MemoryStorage,
        journal: &Arc<MemoryJournal>,
    ) -> Arc<Context<MemoryStorage>> {
        context_with(self.spec(), 8, storage, Arc::clone(journal), 1_000_000)
    }

    /// Behind a merge that nothing disturbs.
    pub fn merged(&self) -> Arc<Context<MemoryStorage>> {
        let storage = MemoryStorage::new(self.spec());
        self.load(&storage);
        let context = self.context(storage, &Arc::default());
        run(&context, &self.group()).0.unwrap();
        assert_eq!(self.rows(&context), self.merged);
        context
    }

    /// What a run leaves that dies at its request of this number, which is carried out; and whether it died.
    pub fn died(&self, at: usize) -> (MemoryStorage, Arc<MemoryJournal>, bool) {
        let stops = Stops::default();
        let storage = stops.storage(self.spec());
        self.load(&storage);
        let journal = Arc::<MemoryJournal>::default();
        let context = self.context(storage, &journal);
        stops.set(Some((at, true)));
        let died = run(&context, &self.group()).0.is_err();
        stops.set(None);
        (Arc::into_inner(context).unwrap().into_storage().unwrap(), journal, died)
    }

    /// Has a run die at each of its requests in turn, and go on or be undone.
    pub fn each_death_ends(&self) {
        for at in 0.. {
            for is_undone in [false, true] {
                let (storage, journal, died) = self.died(at);
                let mut context = self.context(storage, &journal);
                if died || is_undone {
                    context = end(context, &self.group(), is_undone);
                }
                let expected = if is_undone { self.before } else { self.merged };
                assert_eq!(self.rows(&context), expected, "it died at request {at}");
                assert!(is_undone || differences(&context, false) == 0, "it died at request {at}");
                if !died && is_undone {
                    assert!(at > 5, "there were {at} requests");
                    return;
                }
            }
        }
    }
}

/// How many differences a verification finds, from its first group on.
pub fn differences(context: &Arc<Context<MemoryStorage>>, repair: bool) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { repair, ..Options::default() };
    let verified = verified(context, Options { restart: true, ..options }, &diff(&folder));
    verified.counts.differences()
}
