//! Words with figures in them, written once for all formats.

use crate::estimate::Estimate;

use super::Tone;
use super::figures::Number;

/// Where the JSON has the numbers that have no field of their own.
pub(super) const NAMED: &str = "figures";

/// A sentence or a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text(pub(super) Vec<Piece>);

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Words of our own.
    Own(&'static str),
    /// Words that may be of others.
    Words(String),
    /// An id, a name, a value.
    Code(String),
    /// A path; its end says more than its beginning.
    Path(String),
    /// Whether something is as it should be, and how that is said.
    Verdict(Tone, &'static str),
    /// A number.
    Figure(Figure),
}

/// A number, and where the JSON has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(super) number: Number,
    /// The ends of its interval, where it is not exact.
    pub(super) ends: Option<[Number; 2]>,
    /// What is said of it before and after: `~`, `+`.
    pub(super) around: [&'static str; 2],
    /// What is counted, in the singular.
    noun: &'static str,
    /// A JSON pointer.
    at: Option<String>,
}

/// A text from a template with `{}` where its values stand; whether there are as many is seen by the compiler.
macro_rules! say {
    ($template:literal $(, $value:expr)* $(,)?) => {{
        const { assert!($crate::report::words::holes($template) == 0 $(+ { let _ = stringify!($value); 1 })*) };
        $crate::report::words::Text::fill($template, [$($crate::report::words::Text::from($value)),*])
    }};
}
pub(super) use say;

/// How many values a template has room for.
pub(super) const fn holes(template: &str) -> usize {
    let bytes = template.as_bytes();
    let (mut at, mut holes) = (1, 0);
    while at < bytes.len() {
        holes += (bytes[at - 1] == b'{' && bytes[at] == b'}') as usize;
        at += 1;
    }
    holes
}

impl Text {
    pub(super) fn fill(template: &'static str, values: impl IntoIterator<Item = Self>) -> Self {
        let mut values = values.into_iter();
        let mut text = Self::default();
        for own in template.split("{}") {
            if !own.is_empty() {
                text.0.push(Piece::Own(own));
            }
            text.0.extend(values.next().unwrap_or_default().0);
        }
        text
    }

    /// Parts with the same words between them.
    pub(super) fn join(parts: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        parts
            .into_iter()
            .reduce(|text, part| text.and(Piece::Own(between).into()).and(part))
            .unwrap_or_default()
    }

    /// With more behind it.
    pub(super) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// With more behind it, if something is so.
    pub(super) fn and_if(self, is_so: bool, more: impl FnOnce() -> Self) -> Self {
        if is_so { self.and(more()) } else { self }
    }

    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is a path and nothing else.
    pub(super) fn is_path(&self) -> bool {
        matches!(self.0.as_slice(), [Piece::Path(_)])
    }

    /// The number that it begins with.
    pub(super) fn figure(&self) -> Option<&Figure> {
        match self.0.first() {
            Some(Piece::Figure(figure)) => Some(figure),
            _ => None,
        }
    }

    /// All its numbers.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Figure(figure) => Some(figure),
            _ => None,
        })
    }
}

impl Figure {
    /// Names its path in the JSON, as in `/groups/done`; of an estimate, that of the whole.
    pub(super) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.at = Some(pointer.into());
        self
    }

    /// Gives it a field of this name among the `figures` of the JSON, where it has none of its own.
    pub(super) fn named(self, name: &'static str) -> Self {
        self.at(format!("/{NAMED}/{name}"))
    }

    /// Its numbers that have one, each with its path there.
    pub(super) fn names(&self) -> impl Iterator<Item = (Number, String)> {
        self.numbers().into_iter().filter_map(|(number, at)| {
            let name = at.as_deref()?.strip_prefix('/')?.strip_prefix(NAMED)?.strip_prefix('/')?;
            Some((number, name.to_owned()))
        })
    }

    /// Whether it is known, and not estimated.
    pub(super) fn is_exact(&self) -> bool {
        self.ends.is_none_or(|[low, high]| low == high)
    }

    pub(super) fn at_least(mut self) -> Self {
        self.around[1] = "+";
        self
    }

    /// More or less.
    pub(super) fn about(mut self, is_exact: bool) -> Self {
        self.around[0] = if is_exact { "" } else { "~" };
        self
    }

    /// Its numbers, each with its path in the JSON: one, and the ends of its interval.
    pub(super) fn numbers(&self) -> Vec<(Number, Option<String>)> {
        let at = |field: &str| self.at.as_ref().map(|at| format!("{at}{field}"));
        match self.ends {
            None => vec![(self.number, self.at.clone())],
            Some([low, high]) if low == high => vec![(self.number, at("/value"))],
            Some([low, high]) => {
                vec![(self.number, at("/value")), (low, at("/low")), (high, at("/high"))]
            }
        }
    }

    /// What stands behind it: what is counted.
    pub(super) fn unit(&self) -> String {
        match (self.noun, self.number) {
            ("", _) => String::new(),
            (noun, Number::Count(1)) => format!(" {noun}"),
            (noun, _) if noun.ends_with("ch") => format!(" {noun}es"),
            (noun, _) => format!(" {noun}s"),
        }
    }
}

fn figure(number: Number) -> Figure {
    Figure { number, ends: None, around: [""; 2], noun: "", at: None }
}

/// A number of things.
pub(super) fn count(n: u64) -> Figure {
    figure(Number::Count(n))
}

/// A number of things with their name: `1 group`, `2 groups`.
pub(super) fn counted(n: u64, noun: &'static str) -> Figure {
    Figure { noun, ..count(n) }
}

/// The number of a line.
pub(super) fn line(n: u64) -> Figure {
    figure(Number::Line(n))
}

/// A size.
pub(super) fn bytes(n: u64) -> Figure {
    figure(Number::Bytes(n))
}

/// A latency in microseconds.
pub(super) fn latency(us: u64) -> Figure {
    figure(Number::Micros(us))
}

/// A duration in seconds.
pub(super) fn seconds(s: f64) -> Figure {
    figure(Number::Seconds(s))
}

/// A number that is not whole, with so many digits behind its point.
pub(super) fn decimal(n: f64, digits: usize) -> Figure {
    figure(Number::Decimal(n, digits))
}

/// A rate; a low one is told apart from nothing.
pub(super) fn per_second(rate: f64) -> Figure {
    decimal(rate, usize::from(rate < 10.0))
}

/// So many of a whole, as a percentage.
pub(super) fn share(part: u64, whole: u64) -> Figure {
    figure(Number::Part(if whole == 0 { 0.0 } else { part as f64 / whole as f64 }))
}

/// A number that is exact, or within an interval.
pub(super) fn estimate(estimate: Estimate, unit: fn(u64) -> Number) -> Figure {
    let Estimate { value, low, high } = estimate;
    Figure { ends: Some([unit(low), unit(high)]), ..figure(unit(value)) }
}

/// An id, a name, a value.
pub(super) fn code(text: impl Into<String>) -> Text {
    Piece::Code(text.into()).into()
}

pub(super) fn path(path: &std::path::Path) -> Text {
    Piece::Path(path.to_string_lossy().into_owned()).into()
}

/// A directory of a machine.
pub(super) fn path_on(host: &str, dir: &std::path::Path) -> Text {
    Piece::Path(format!("{host}:{}", dir.display())).into()
}

/// Whether something is as it should be.
pub(super) fn verdict(tone: Tone, word: &'static str) -> Text {
    Piece::Verdict(tone, word).into()
}

/// Words of our own from a table: none of them is escaped.
pub(super) fn own(words: &'static str) -> Text {
    Piece::Own(words).into()
}

impl From<Piece> for Text {
    fn from(piece: Piece) -> Self {
        Self(vec![piece])
    }
}

impl From<Figure> for Text {
    fn from(figure: Figure) -> Self {
        Piece::Figure(figure).into()
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        Piece::Words(words.to_owned()).into()
    }
}

impl From<&String> for Text {
    fn from(words: &String) -> Self {
        words.as_str().into()
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Piece::Words(words).into()
    }
}
