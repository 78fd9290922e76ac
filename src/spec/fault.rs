//! What is wrong with a specification: all of it at once, each with its line.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// A value, and the line of the text that it stands on, from 1 on.
#[derive(Clone, Debug)]
pub struct At<T> {
    value: T,
    pub(super) line: usize,
}

impl<T> At<T> {
    pub(super) fn new(value: T, line: usize) -> Self {
        Self { value, line }
    }

    /// What becomes of the value, on the same line.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), line: self.line }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Everything that is wrong with a specification, by line. Its text names each thing, and what to do about it.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The specification, as messages name it.
    origin: String,
    found: Vec<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    message: String,
}

impl Faults {
    /// None so far.
    pub(super) fn none(origin: &str) -> Self {
        Self { origin: origin.to_owned(), found: Vec::new() }
    }

    /// Adds one. What both the text and the schema tell is one fault.
    pub(super) fn add(&mut self, line: usize, message: impl Into<String>) {
        let fault = Fault { line, message: message.into() };
        if !self.found.contains(&fault) {
            let behind = self.found.partition_point(|known| known.line <= line);
            self.found.insert(behind, fault);
        }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What is wrong, without lines: for whoever has no text.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(|fault| fault.message.as_str())
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found.as_slice() {
            [Fault { line, message }] => write!(f, "{}, line {line}: {message}", self.origin),
            all => {
                write!(f, "{} things are wrong with {}:", all.len(), self.origin)?;
                all.iter()
                    .try_for_each(|Fault { line, message }| write!(f, "\n  line {line}: {message}"))
            }
        }
    }
}

impl Error for Faults {}

/// Names as a sentence lists them, the first twenty.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let names: Vec<&str> = names.into_iter().collect();
    match names.len() {
        0 => "nothing".into(),
        all if all > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), all - SHOWN),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_listed_by_line_and_once() {
        let mut faults = Faults::none("a.toml");
        faults.add(7, "seven");
        assert_eq!(faults.to_string(), "a.toml, line 7: seven");
        faults.add(3, "three");
        faults.add(7, "also seven");
        faults.add(7, "seven");
        let expected = "3 things are wrong with a.toml:\n  line 3: three\n  line 7: seven\n  line 7: \
                        also seven";
        assert_eq!(faults.to_string(), expected);
        assert_eq!(Faults::none("a.toml").or(1).unwrap(), 1);
        faults.or(1).unwrap_err();
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list([]), "nothing");
        assert_eq!(list(["a", "b"]), "a, b");
        assert!(list(vec!["x"; 25]).ends_with("x, x and 5 more"));
    }
}
