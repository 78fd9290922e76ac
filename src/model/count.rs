//! A count: everything that is to be known of it, in one row of one table.
//!
//! From the row follow the field, how it is added up, its place in journals, its field of the JSON, how reports say it, and
//! its line of the manual. To add one, write its row behind those of its table, because journals know counts by their place,
//! and count.

/// What there is to know of a count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    /// The field, also of the JSON.
    pub(crate) name: &'static str,
    /// What is counted, as it stands above the row.
    pub(crate) about: &'static str,
    pub(crate) shown: Shown,
}

/// How a report says a count. A sentence begins with the number and its noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Not at all, nor has its JSON a field of it: the session has counted the same.
    Nowhere,
    /// In a sentence or an equation with what it is a part of.
    Apart,
    /// As a column of this head.
    Column(&'static str),
    /// In a fact of its own, by a label, a noun, and words that follow; unless it is 0.
    Fact { words: [&'static str; 3], is_warning: bool },
    /// Of a walk: what it went over, by a noun and words that follow.
    WentOver([&'static str; 2]),
    /// What it found or did there, likewise; unless it is 0.
    Found([&'static str; 2]),
}

/// What can be added up.
pub(crate) trait Amount {
    /// Adds more of the same.
    fn add(&mut self, more: &Self);
}

/// The counts of a table.
pub(crate) trait Counts: Amount {
    const ROWS: &'static [Count];

    /// Counts of these amounts, in the order of the rows; of those that are missing there is none.
    fn of(amounts: impl IntoIterator<Item = u64>) -> Self;

    /// The amounts, in the order of the rows; `None` where something was not counted.
    fn amounts(&self) -> Vec<Option<u64>>;

    /// The rows with their amounts.
    fn counted(&self) -> impl Iterator<Item = (&'static Count, Option<u64>)> {
        Self::ROWS.iter().zip(self.amounts())
    }
}

impl Amount for u64 {
    fn add(&mut self, more: &Self) {
        *self += more;
    }
}

impl Amount for Option<u64> {
    fn add(&mut self, more: &Self) {
        *self = self.map_or(*more, |n| Some(n + more.unwrap_or_default()));
    }
}

impl Amount for bool {
    fn add(&mut self, more: &Self) {
        *self |= more;
    }
}

impl<T: Amount + Clone + Default> Amount for Vec<T> {
    fn add(&mut self, more: &Self) {
        self.resize(self.len().max(more.len()), T::default());
        self.iter_mut().zip(more).for_each(|(sum, part)| sum.add(part));
    }
}

/// A table of counts: what it is about, what it holds beside them, and the rows, each below what is counted.
macro_rules! counts {
    (
        $(#[$attribute:meta])*
        $public:vis struct $tally:ident { $($(#[doc = $beside_about:literal])+ $beside:ident: $of:ty,)* }
        $($(#[doc = $about:literal])+ $count:ident: $amount:ty = $shown:expr;)+
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        $public struct $tally {
            $($(#[doc = $beside_about])+ pub $beside: $of,)*
            $($(#[doc = $about])+ pub $count: $amount,)+
        }

        impl Amount for $tally {
            fn add(&mut self, more: &Self) {
                $(self.$beside.add(&more.$beside);)*
                $(self.$count.add(&more.$count);)+
            }
        }

        impl Counts for $tally {
            const ROWS: &'static [Count] = &[$(Count {
                name: stringify!($count),
                about: concat!($($about),+),
                shown: $shown,
            }),+];

            fn of(amounts: impl IntoIterator<Item = u64>) -> Self {
                let mut amounts = amounts.into_iter();
                Self {
                    $($beside: Default::default(),)*
                    $($count: amounts.next().unwrap_or_default().into(),)+
                }
            }

            fn amounts(&self) -> Vec<Option<u64>> {
                vec![$(self.$count.into()),+]
            }
        }
    };
}

pub(super) use counts;
