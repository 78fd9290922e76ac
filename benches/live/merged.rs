//! What a window has merged, as far as it has to be known to undo it.

use bytes::Bytes;

use super::windows::{CONTENT_KEY, Cell, OF_CONTENT, Program, Row, STATUS, Writes};

/// What a window has merged.
#[derive(Default)]
pub(super) struct Merged {
    pub(super) contents: Vec<OfPair>,
    pub(super) enrolments: Vec<OfBatch>,
}

/// The contents of a pair.
pub(super) struct OfPair {
    pub(super) to: Bytes,
    pub(super) rows: Vec<Row>,
    /// The survivor's status of the same key, where it has the key.
    pub(super) known: Vec<Option<Cell>>,
}

/// Some pairs' enrolments in one partition.
pub(super) struct OfBatch {
    pub(super) batch: Bytes,
    /// The sources' rows, with whom each was copied to.
    pub(super) rows: Vec<(Row, Option<Bytes>)>,
}

impl OfPair {
    /// What becomes of the source's contents: copied, or the higher status written over the survivor's.
    pub(super) fn writes<'p>(&self, program: &'p Program<'_>) -> Writes<'p> {
        let mut writes = Vec::new();
        for (row, known) in self.rows.iter().zip(&self.known) {
            match known {
                None => {
                    let mut copy = row.clone();
                    copy[OF_CONTENT] = Some(self.to.clone());
                    writes.push((&program.insert_content, copy));
                }
                // No status is negative, so that their bytes compare as they do.
                Some(status) if row[STATUS] > *status => {
                    writes.push((&program.update_content, self.status(row, row[STATUS].clone())));
                }
                Some(_) => {}
            }
        }
        writes
    }

    /// The values that give the survivor's row a status.
    pub(super) fn status(&self, row: &Row, status: Cell) -> Row {
        let mut values = vec![status, Some(self.to.clone())];
        values.extend_from_slice(&row[1..CONTENT_KEY]);
        values
    }

    /// The key of the survivor's row.
    pub(super) fn key(&self, row: &Row) -> Row {
        [&[Some(self.to.clone())], &row[1..CONTENT_KEY]].concat()
    }

    /// Whether the survivor's row got the source's status.
    pub(super) fn is_raised(row: &Row, known: &Cell) -> bool {
        row[STATUS] > *known
    }
}
