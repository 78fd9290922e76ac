//! The three files of a data set.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::file;
use super::rows::{ContentConsumption, TableRow, UserCourse};

/// Writes a data set as it is made; nothing is kept in memory.
pub(crate) struct Sink {
    pairs: BufWriter<File>,
    courses: BufWriter<File>,
    contents: BufWriter<File>,
    /// Lines of pairs.csv after its header.
    pub(crate) lines: u64,
    /// Rows of both tables.
    pub(crate) rows: u64,
}

impl Sink {
    pub(crate) fn create(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let create = |name: &str| -> anyhow::Result<BufWriter<File>> {
            let path = file(dir, name);
            let file =
                File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(BufWriter::with_capacity(1 << 20, file))
        };
        let mut pairs = create("pairs.csv")?;
        pairs.write_all(b"from,to\n")?;
        Ok(Self {
            pairs,
            courses: create(&format!("{}.jsonl", UserCourse::TABLE))?,
            contents: create(&format!("{}.jsonl", ContentConsumption::TABLE))?,
            lines: 0,
            rows: 0,
        })
    }

    /// Adds a pair, quoted where it has to be.
    pub(crate) fn pair(&mut self, from: &str, to: &str) -> anyhow::Result<()> {
        self.field(from)?;
        self.pairs.write_all(b",")?;
        self.field(to)?;
        self.raw(b"")
    }

    /// Adds a line as it is.
    pub(crate) fn raw(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.pairs.write_all(line)?;
        self.pairs.write_all(b"\n")?;
        self.lines += 1;
        Ok(())
    }

    fn field(&mut self, id: &str) -> anyhow::Result<()> {
        if id.contains([',', '"', '\n', '\r']) {
            write!(self.pairs, "\"{}\"", id.replace('"', "\"\""))?;
        } else {
            self.pairs.write_all(id.as_bytes())?;
        }
        Ok(())
    }

    /// Adds an enrolment.
    pub(crate) fn course(&mut self, row: &UserCourse) -> anyhow::Result<()> {
        self.rows += 1;
        serde_json::to_writer(&mut self.courses, row)?;
        Ok(self.courses.write_all(b"\n")?)
    }

    /// Adds what an account did with a content.
    pub(crate) fn content(&mut self, row: &ContentConsumption) -> anyhow::Result<()> {
        self.rows += 1;
        serde_json::to_writer(&mut self.contents, row)?;
        Ok(self.contents.write_all(b"\n")?)
    }

    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.pairs.flush()?;
        self.courses.flush()?;
        self.contents.flush().context("cannot write the data set")
    }
}
