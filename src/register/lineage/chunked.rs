//! A list that is never moved while it grows: one that is would be held twice meanwhile.

use std::ops::Index;

/// Values of a chunk.
const CHUNK: usize = 1 << 16;

/// Values by number, from 0.
#[derive(Clone, Debug)]
pub(super) struct Chunked<V>(Vec<Vec<V>>);

impl<V> Default for Chunked<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Chunked<V> {
    /// The number of the value is the length before.
    pub(super) fn push(&mut self, value: V) {
        match self.0.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(value),
            None => {
                let mut chunk = Vec::with_capacity(if self.0.is_empty() { 0 } else { CHUNK });
                chunk.push(value);
                self.0.push(chunk);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        let last = self.0.last().map_or(0, Vec::len);
        self.0.len().saturating_sub(1) * CHUNK + last
    }

    pub(super) fn get(&self, at: usize) -> Option<&V> {
        self.0.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut V> {
        self.0.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }
}

impl<V> Index<usize> for Chunked<V> {
    type Output = V;

    fn index(&self, at: usize) -> &V {
        &self.0[at / CHUNK][at % CHUNK]
    }
}
