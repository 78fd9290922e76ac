//! The part of CQL's native protocol, version 4, that a witness between client and server needs.

use std::collections::HashMap;

pub(crate) const HEADER: usize = 9;
pub(crate) const LOCAL_QUORUM: u16 = 0x0006;

/// Stands for the text of a statement that was never prepared through the witness.
pub(crate) const UNKNOWN: &str = "unknown";

/// Codes of error frames.
pub(crate) const UNAVAILABLE: i32 = 0x1000;
pub(crate) const OVERLOADED: i32 = 0x1001;
pub(crate) const WRITE_TIMEOUT: i32 = 0x1100;
pub(crate) const READ_TIMEOUT: i32 = 0x1200;
pub(crate) const WRITE_FAILURE: i32 = 0x1500;
pub(crate) const INVALID: i32 = 0x2200;
pub(crate) const UNPREPARED: i32 = 0x2500;

const ERROR: u8 = 0x00;
const SUPPORTED: u8 = 0x06;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;
const PREPARE: u8 = 0x09;
const EXECUTE: u8 = 0x0A;
const BATCH: u8 = 0x0D;

/// One whole frame, header included.
#[derive(Clone)]
pub(crate) struct Frame(pub(crate) Vec<u8>);

impl Frame {
    pub(crate) fn body_length(header: &[u8; HEADER]) -> usize {
        u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize
    }

    pub(crate) fn stream(&self) -> i16 {
        i16::from_be_bytes([self.0[2], self.0[3]])
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.0[4]
    }

    fn body(&self) -> Body<'_> {
        assert_eq!(self.0[1] & 0x01, 0, "a compressed frame, though none was asked for");
        Body(&self.0[HEADER..])
    }

    /// The text that a PREPARE asks for.
    pub(crate) fn to_prepare(&self) -> Option<String> {
        (self.opcode() == PREPARE).then(|| self.body().long_string())
    }

    /// Takes the offer of compression out of a SUPPORTED, so that every frame can be read.
    pub(crate) fn without_compression(mut self) -> Self {
        if self.opcode() == SUPPORTED {
            for name in [&b"lz4"[..], b"snappy", b"zstd"] {
                let mut rest = &mut self.0[HEADER..];
                while let Some(at) = rest.windows(name.len()).position(|window| window == name) {
                    rest[at..at + name.len()].fill(b'-');
                    rest = &mut rest[at..];
                }
            }
        }
        self
    }

    /// The id of the statement, or of the first one of a batch.
    pub(crate) fn first_id(&self) -> Vec<u8> {
        let mut body = self.body();
        if self.opcode() == BATCH {
            // Its type, how many there are, and that the first is a prepared one.
            body.take(4);
        }
        body.short_bytes().to_vec()
    }

    /// The answer to `stream` that says that a statement is not known.
    pub(crate) fn unprepared(stream: i16, id: &[u8]) -> Self {
        let mut error = Self::error(stream, UNPREPARED);
        error.0.extend((id.len() as u16).to_be_bytes());
        error.0.extend(id);
        let length = (error.0.len() - HEADER) as u32;
        error.0[5..HEADER].copy_from_slice(&length.to_be_bytes());
        error
    }

    /// Puts one id in the place of another, wherever it stands.
    fn replace(&mut self, id: &[u8], by: &[u8]) {
        let positions: Vec<usize> =
            (HEADER..=self.0.len() - id.len()).filter(|at| self.0[*at..].starts_with(id)).collect();
        positions.into_iter().for_each(|at| self.0[at..at + id.len()].copy_from_slice(by));
    }

    /// The answer to `stream` that reports an error.
    pub(crate) fn error(stream: i16, code: i32) -> Self {
        let mut body = code.to_be_bytes().to_vec();
        let text = "a fault that the test asked for";
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
        let consistency = LOCAL_QUORUM.to_be_bytes();
        let counts = [2_i32.to_be_bytes(), 1_i32.to_be_bytes()].concat();
        match code {
            UNAVAILABLE => body.extend([&consistency[..], &counts[..]].concat()),
            WRITE_TIMEOUT => {
                let kind = "UNLOGGED_BATCH";
                body.extend([&consistency[..], &counts[..]].concat());
                body.extend((kind.len() as u16).to_be_bytes());
                body.extend(kind.as_bytes());
            }
            READ_TIMEOUT => body.extend([&consistency[..], &counts[..], &[0]].concat()),
            WRITE_FAILURE => {
                let (kind, failures) = ("UNLOGGED_BATCH", 1_i32.to_be_bytes());
                body.extend([&consistency[..], &counts[..], &failures[..]].concat());
                body.extend((kind.len() as u16).to_be_bytes());
                body.extend(kind.as_bytes());
            }
            OVERLOADED | INVALID | UNPREPARED => {}
            other => panic!("no error {other:#x} here"),
        }
        Self::answer(stream, ERROR, &body)
    }

    /// The answer to `stream` that a write was done.
    pub(crate) fn done(stream: i16) -> Self {
        const VOID: i32 = 1;
        Self::answer(stream, RESULT, &VOID.to_be_bytes())
    }

    fn answer(stream: i16, opcode: u8, body: &[u8]) -> Self {
        let mut frame = vec![0x84, 0];
        frame.extend(stream.to_be_bytes());
        frame.push(opcode);
        frame.extend((body.len() as u32).to_be_bytes());
        frame.extend(body);
        Self(frame)
    }
}

/// How a statement reached the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    Unprepared,
    Prepared,
    Batch,
}

/// A statement as it was prepared.
struct Prepared {
    query: String,
    /// The positions of the partition key among the bound values; empty where it is not bound.
    partition: Vec<usize>,
}

/// One statement of a request.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) query: String,
    pub(crate) prepared: bool,
    pub(crate) values: Vec<Option<Vec<u8>>>,
    /// The values of the partition key; empty where it is not bound.
    pub(crate) partition: Vec<Option<Vec<u8>>>,
}

impl Statement {
    /// The table that the statement reads or writes, without its keyspace.
    pub(crate) fn table(&self) -> String {
        let words: Vec<&str> = self.query.split_whitespace().collect();
        let after = |word: &str| {
            words.iter().position(|w| w.eq_ignore_ascii_case(word)).and_then(|at| words.get(at + 1))
        };
        let name = after("FROM").or_else(|| after("INTO")).or_else(|| after("UPDATE"));
        let name = name.map_or("", |name| name.split('(').next().unwrap_or_default());
        name.rsplit('.').next().unwrap_or_default().replace('"', "")
    }

    pub(crate) fn is(&self, word: &str) -> bool {
        self.query.trim_start().get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    /// Whether it writes to a partition whose key is this text.
    pub(crate) fn writes_to(&self, key: &str) -> bool {
        !self.is("SELECT") && self.partition == [Some(key.as_bytes().to_vec())]
    }

    pub(crate) fn binds(&self, text: &str) -> bool {
        // A value inside a list (`IN ?`) is found, too: it follows its length.
        self.values.iter().flatten().any(|value| {
            value == text.as_bytes()
                || value.windows(text.len() + 4).any(|window| {
                    window[..4] == (text.len() as u32).to_be_bytes()
                        && &window[4..] == text.as_bytes()
                })
        })
    }
}

/// A request that reads or writes rows.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) form: Form,
    pub(crate) consistency: u16,
    /// 0 logged, 1 unlogged, 2 counter.
    pub(crate) batch_type: u8,
    pub(crate) statements: Vec<Statement>,
}

impl Request {
    /// Whether it concerns the tables of a test, not the server's own. What has no key writes nothing: so it is asked
    /// whether such a write is allowed.
    pub(crate) fn is_on_user_tables(&self) -> bool {
        let has_key = |statement: &Statement| statement.partition != [None];
        self.statements
            .iter()
            .filter(|statement| has_key(statement))
            .any(|statement| ["user_courses", "content_consumption"].contains(&&*statement.table()))
    }

    /// Whether it writes to the tables that are merged.
    pub(crate) fn writes(&self) -> bool {
        !self.is_of_register() && self.statements.iter().any(|statement| !statement.is("SELECT"))
    }

    /// Whether it is about the register of runs.
    pub(crate) fn is_of_register(&self) -> bool {
        let is_of_register = |one: &Statement| one.query.contains("\"tributary\".");
        !self.statements.is_empty() && self.statements.iter().all(is_of_register)
    }

    pub(crate) fn binds(&self, text: &str) -> bool {
        self.statements.iter().any(|statement| statement.binds(text))
    }
}

/// What a connection asked to prepare, and what the server has prepared.
#[derive(Default)]
pub(crate) struct Dictionary(HashMap<Vec<u8>, Prepared>);

impl Dictionary {
    /// Learns from the answer to a PREPARE.
    pub(crate) fn learn(&mut self, query: &str, answer: &Frame) {
        if answer.opcode() != RESULT {
            return;
        }
        let mut body = answer.body();
        const PREPARED: i32 = 4;
        if body.int() != PREPARED {
            return;
        }
        let id = body.short_bytes().to_vec();
        let (_flags, _columns, keys) = (body.int(), body.int(), body.int());
        let partition = (0..keys).map(|_| usize::from(body.short())).collect();
        self.0.insert(id, Prepared { query: query.to_owned(), partition });
    }

    /// Gives the statement of an answer to a PREPARE another id.
    pub(crate) fn rename(&self, answer: &mut Frame) {
        for id in self.0.keys() {
            answer.replace(id, &renamed(id));
        }
    }

    /// Takes the other ids out of a request; gives one that is not another id.
    pub(crate) fn rename_back(&self, request: &mut Frame) -> Option<Vec<u8>> {
        if ![EXECUTE, BATCH].contains(&request.opcode()) {
            return None;
        }
        let known =
            |id: &&Vec<u8>| request.0.windows(id.len()).any(|window| window == id.as_slice());
        if let Some(id) = self.0.keys().find(known) {
            return Some(id.clone());
        }
        self.0.keys().for_each(|id| request.replace(&renamed(id), id));
        None
    }

    /// Reads a request that executes statements.
    pub(crate) fn read(&self, frame: &Frame) -> Option<Request> {
        match frame.opcode() {
            QUERY => {
                let mut body = frame.body();
                let query = body.long_string();
                let consistency = body.short();
                let values = Vec::new();
                let statement = Statement { query, prepared: false, values, partition: Vec::new() };
                Some(Request {
                    form: Form::Unprepared,
                    consistency,
                    batch_type: 0,
                    statements: vec![statement],
                })
            }
            EXECUTE => {
                let mut body = frame.body();
                let id = body.short_bytes().to_vec();
                let consistency = body.short();
                const VALUES: u8 = 0x01;
                let values = if body.byte() & VALUES == 0 { Vec::new() } else { body.values() };
                Some(Request {
                    form: Form::Prepared,
                    consistency,
                    batch_type: 0,
                    statements: vec![self.statement(&id, values)],
                })
            }
            BATCH => {
                let mut body = frame.body();
                let batch_type = body.byte();
                let count = body.short();
                let statements = (0..count).map(|_| match body.byte() {
                    0 => {
                        let query = body.long_string();
                        let values = body.values();
                        Statement { query, prepared: false, values, partition: Vec::new() }
                    }
                    _ => {
                        let id = body.short_bytes().to_vec();
                        let values = body.values();
                        self.statement(&id, values)
                    }
                });
                let statements = statements.collect();
                let consistency = body.short();
                Some(Request { form: Form::Batch, consistency, batch_type, statements })
            }
            _ => None,
        }
    }

    fn statement(&self, id: &[u8], values: Vec<Option<Vec<u8>>>) -> Statement {
        let (query, partition) = match self.0.get(id) {
            Some(Prepared { query, partition }) => (query.as_str(), &partition[..]),
            None => (UNKNOWN, &[][..]),
        };
        let partition = partition.iter().map(|at| values[*at].clone()).collect();
        Statement { query: query.to_owned(), prepared: true, values, partition }
    }
}

/// Another id for a statement.
fn renamed(id: &[u8]) -> Vec<u8> {
    id.iter().map(|byte| !byte).collect()
}

/// Reads the notations of the protocol, one after the other.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn short_bytes(&mut self) -> &'a [u8] {
        let length = self.short();
        self.take(length.into())
    }

    fn long_string(&mut self) -> String {
        let length = usize::try_from(self.int()).expect("a length");
        String::from_utf8_lossy(self.take(length)).into_owned()
    }

    /// A count, then values; null and unset are both `None`.
    fn values(&mut self) -> Vec<Option<Vec<u8>>> {
        (0..self.short())
            .map(|_| usize::try_from(self.int()).ok().map(|length| self.take(length).to_vec()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, body: &[u8]) -> Frame {
        let mut bytes = vec![0x04, 0, 0, 7, opcode];
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        Frame(bytes)
    }

    fn dictionary() -> Dictionary {
        let mut dictionary = Dictionary::default();
        // kind, id, flags, columns, one partition key at position 1
        let answer = [0, 0, 0, 4, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1];
        dictionary.learn("DELETE FROM ks.t USING TIMESTAMP ? WHERE a = ?", &frame(RESULT, &answer));
        dictionary
    }

    #[test]
    fn a_batch_is_read_with_its_partitions() {
        let mut body = vec![1, 0, 1, 1, 0, 1, 9, 0, 2];
        body.extend([0, 0, 0, 1, 5]); // the first value
        body.extend([0, 0, 0, 2, b'a', b'b']); // the second: the partition key
        body.extend([0, 6, 0]);
        let request = dictionary().read(&frame(BATCH, &body)).expect("a batch is a request");
        assert_eq!((request.batch_type, request.consistency), (1, LOCAL_QUORUM));
        assert_eq!(request.statements[0].partition, [Some(b"ab".to_vec())]);
        assert_eq!(request.statements[0].table(), "t");
        assert!(request.binds("ab") && !request.binds("a"));
        assert!(request.writes());
    }

    #[test]
    fn an_unprepared_statement_is_told_from_a_prepared_one() {
        let text = b"SELECT * FROM user_courses";
        let mut body = (text.len() as u32).to_be_bytes().to_vec();
        body.extend(text);
        body.extend([0, 1, 0]);
        let request = dictionary().read(&frame(QUERY, &body)).expect("a query is a request");
        assert_eq!((request.form, request.consistency), (Form::Unprepared, 1));
        assert!(request.is_on_user_tables() && !request.writes());
        let execute = frame(EXECUTE, &[0, 1, 9, 0, 6, 0]);
        let mut without_key = Dictionary::default();
        let answer = [0, 0, 0, 4, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        without_key.learn("SELECT a FROM ks.t", &frame(RESULT, &answer));
        let request = without_key.read(&execute).expect("an execution is a request");
        assert_eq!((request.form, request.statements[0].prepared), (Form::Prepared, true));
    }

    #[test]
    fn a_list_is_searched_for_a_value() {
        let list = [0, 0, 0, 1, 0, 0, 0, 2, b'a', b'b'].to_vec();
        let values = vec![None, Some(list)];
        let query = String::new();
        let statement = Statement { query, prepared: true, values, partition: Vec::new() };
        assert!(statement.binds("ab") && !statement.binds("b"));
    }
}
