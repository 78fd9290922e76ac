//! CQL types, parsed once from the text of `system_schema`.
//!
//! The native types are those of Cassandra 3.11 to 5.0 (`org.apache.cassandra.cql3.CQL3Type`). A type that is known
//! by the name of its class alone, as those of custom types and of tables from before CQL 3, is kept as it is: what
//! its values mean is not known here.

use std::fmt;

use super::elements::Collection;
use super::name::{is_plain, quoted};
use super::order::Order;

/// The type of a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CqlType {
    Ascii,
    /// `bigint`
    BigInt,
    Blob,
    Boolean,
    Counter,
    Date,
    Decimal,
    Double,
    Duration,
    /// `empty`: of a column that holds nothing, in tables with compact storage.
    Empty,
    Float,
    Inet,
    Int,
    /// `smallint`
    SmallInt,
    /// `text`, or `varchar`
    Text,
    Time,
    Timestamp,
    /// `timeuuid`
    TimeUuid,
    /// `tinyint`
    TinyInt,
    Uuid,
    Varint,
    List(Box<Self>),
    Set(Box<Self>),
    Map(Box<Self>, Box<Self>),
    /// `tuple<…>`, which is always frozen.
    Tuple(Vec<Self>),
    /// `vector<…, n>`, which is always one value.
    Vector(Box<Self>, u32),
    /// A user-defined type, by its name as stored.
    Udt(String),
    /// A collection or user-defined type that is written and read as one value.
    Frozen(Box<Self>),
    /// A type that is known by the name of its class alone, or not at all.
    Class(String),
}

/// The native types with their names.
static NATIVE: [(&str, CqlType); 22] = [
    ("ascii", CqlType::Ascii),
    ("bigint", CqlType::BigInt),
    ("blob", CqlType::Blob),
    ("boolean", CqlType::Boolean),
    ("counter", CqlType::Counter),
    ("date", CqlType::Date),
    ("decimal", CqlType::Decimal),
    ("double", CqlType::Double),
    ("duration", CqlType::Duration),
    ("empty", CqlType::Empty),
    ("float", CqlType::Float),
    ("inet", CqlType::Inet),
    ("int", CqlType::Int),
    ("smallint", CqlType::SmallInt),
    // The first name of a type is the one that is shown.
    ("text", CqlType::Text),
    ("varchar", CqlType::Text),
    ("time", CqlType::Time),
    ("timestamp", CqlType::Timestamp),
    ("timeuuid", CqlType::TimeUuid),
    ("tinyint", CqlType::TinyInt),
    ("uuid", CqlType::Uuid),
    ("varint", CqlType::Varint),
];

impl CqlType {
    /// Reads a type as `system_schema.columns` gives it, or as somebody writes it down. What cannot be read is a
    /// [`Class`](Self::Class).
    pub fn parse(text: &str) -> Self {
        let mut parser = Parser { rest: text };
        let parsed = parser.any();
        parser.space();
        parsed.filter(|_| parser.rest.is_empty()).unwrap_or_else(|| Self::Class(text.to_owned()))
    }

    /// The map, set or user-defined type that the column holds element by element, each with a write time of its own.
    pub fn collection(&self) -> Option<Collection> {
        match self {
            Self::Map(..) => Some(Collection::Map),
            Self::Set(_) => Some(Collection::Set),
            Self::Udt(_) => Some(Collection::Fields),
            _ => None,
        }
    }

    /// Whether it is a collection or user-defined type that is not frozen: its elements have write times of their own.
    pub(crate) fn has_elements(&self) -> bool {
        self.collection().is_some() || self.is_list()
    }

    /// The type of a map's keys or of a set's elements.
    pub fn element(&self) -> Option<&Self> {
        match self {
            Self::Map(key, _) | Self::Set(key) => Some(key),
            _ => None,
        }
    }

    /// The type of a map's values.
    pub(crate) fn entry_value(&self) -> Option<&Self> {
        match self {
            Self::Map(_, value) => Some(value),
            _ => None,
        }
    }

    /// Whether it is text, whose values are UTF-8.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Ascii)
    }

    /// The order of a clustering column of this type; `None` for types that are not supported as keys.
    pub(crate) fn key_order(&self) -> Option<Order> {
        Some(match self {
            Self::Ascii | Self::Text | Self::Blob | Self::Boolean | Self::Date | Self::Inet => {
                Order::Bytes
            }
            Self::TinyInt
            | Self::SmallInt
            | Self::Int
            | Self::BigInt
            | Self::Timestamp
            | Self::Time => Order::Signed,
            Self::Float => Order::Float,
            Self::Double => Order::Double,
            Self::Varint => Order::Varint,
            Self::Decimal => Order::Decimal,
            Self::Uuid => Order::Uuid,
            Self::TimeUuid => Order::TimeUuid,
            Self::Counter
            | Self::Duration
            | Self::Empty
            | Self::List(_)
            | Self::Set(_)
            | Self::Map(..)
            | Self::Tuple(_)
            | Self::Vector(..)
            | Self::Udt(_)
            | Self::Frozen(_)
            | Self::Class(_) => return None,
        })
    }

    /// The order by which policies pick a value; `None` for types that have no order that a person would
    /// mean (random uuids, addresses, durations, collections).
    pub(crate) fn value_order(&self) -> Option<Order> {
        match self {
            Self::Uuid | Self::Inet => None,
            other => other.key_order(),
        }
    }
}

impl fmt::Display for CqlType {
    /// As `system_schema.columns` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(of) => write!(f, "list<{of}>"),
            Self::Set(of) => write!(f, "set<{of}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Tuple(of) => {
                let of: Vec<String> = of.iter().map(Self::to_string).collect();
                write!(f, "frozen<tuple<{}>>", of.join(", "))
            }
            Self::Vector(of, length) => write!(f, "vector<{of}, {length}>"),
            Self::Frozen(of) => write!(f, "frozen<{of}>"),
            Self::Udt(name) if is_plain(name) && native(name).is_none() => f.write_str(name),
            Self::Udt(name) => f.write_str(&quoted(name)),
            Self::Class(text) => f.write_str(text),
            native => {
                let name = NATIVE.iter().find(|(_, of)| of == native).map_or("", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

fn native(name: &str) -> Option<&'static CqlType> {
    NATIVE.iter().find(|(known, _)| *known == name).map(|(_, of)| of)
}

/// Bytes in hexadecimal, as CQL writes a blob.
pub(crate) fn hex(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// Reads a type from its start; `None` where it is not understood.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn any(&mut self) -> Option<CqlType> {
        self.space();
        if self.rest.starts_with('"') {
            return self.quoted().map(CqlType::Udt);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let name = name.to_ascii_lowercase();
        if !self.takes('<') {
            let known = native(&name).cloned();
            return known.or_else(|| (!name.is_empty()).then_some(CqlType::Udt(name)));
        }
        let parsed = match name.as_str() {
            "list" => CqlType::List(self.boxed()?),
            "set" => CqlType::Set(self.boxed()?),
            "map" => {
                let key = self.boxed()?;
                self.must(',')?;
                CqlType::Map(key, self.boxed()?)
            }
            "tuple" => {
                let mut of = vec![self.any()?];
                while self.takes(',') {
                    of.push(self.any()?);
                }
                CqlType::Tuple(of)
            }
            "vector" => {
                let of = self.boxed()?;
                self.must(',')?;
                CqlType::Vector(of, self.number()?)
            }
            "frozen" => match self.any()? {
                of @ (CqlType::List(_) | CqlType::Set(_) | CqlType::Map(..) | CqlType::Udt(_)) => {
                    CqlType::Frozen(Box::new(of))
                }
                // Frozen by itself.
                of => of,
            },
            _ => return None,
        };
        self.must('>')?;
        Some(parsed)
    }

    fn boxed(&mut self) -> Option<Box<CqlType>> {
        self.any().map(Box::new)
    }

    /// A name in quotes, in which a quote is doubled.
    fn quoted(&mut self) -> Option<String> {
        let mut name = String::new();
        self.rest = self.rest.strip_prefix('"')?;
        loop {
            let (part, rest) = self.rest.split_once('"')?;
            name.push_str(part);
            self.rest = rest;
            match rest.strip_prefix('"') {
                Some(rest) => self.rest = rest,
                None => return Some(name),
            }
            name.push('"');
        }
    }

    fn number(&mut self) -> Option<u32> {
        self.space();
        let end = self.rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().ok()
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, sign: char) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn must(&mut self, sign: char) -> Option<()> {
        self.takes(sign).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of each type as the server gives it comes back.
    #[test]
    fn types_are_read_as_the_server_writes_them() {
        let native = NATIVE.iter().map(|(name, _)| *name).filter(|name| *name != "varchar");
        let composed = [
            "list<int>",
            "set<frozen<list<text>>>",
            "map<text, int>",
            "frozen<map<text, frozen<map<int, timestamp>>>>",
            "map<frozen<tuple<int, text>>, frozen<address>>",
            "frozen<tuple<int, text, frozen<set<uuid>>>>",
            "vector<float, 3>",
            "list<vector<double, 1024>>",
            "vector<vector<int, 2>, 2>",
            "address",
            "frozen<address>",
            "\"Address\"",
            "frozen<\"Odd \"\"name\"\", with <signs>\">",
            "\"int\"",
        ];
        for text in native.chain(composed) {
            let parsed = CqlType::parse(text);
            assert!(!matches!(parsed, CqlType::Class(_)), "{text}");
            assert_eq!(parsed.to_string(), text);
            if !text.contains('"') {
                assert_eq!(CqlType::parse(&text.replace(", ", ",")), parsed, "written by hand");
            }
        }
    }

    #[test]
    fn ways_to_write_the_same_type_are_one() {
        assert_eq!(CqlType::parse("varchar"), CqlType::Text);
        assert_eq!(CqlType::parse(" MAP < varchar , INT >"), CqlType::parse("map<text, int>"));
        assert_eq!(CqlType::parse("tuple<int,text>"), CqlType::parse("frozen<tuple<int, text>>"));
        assert_ne!(CqlType::parse("frozen<set<int>>"), CqlType::parse("set<int>"));
        assert_eq!(CqlType::parse("\"int\""), CqlType::Udt("int".into()));
    }

    #[test]
    fn what_is_no_type_is_kept_as_it_is() {
        for text in [
            "'org.apache.cassandra.db.marshal.DynamicCompositeType'",
            "org.apache.cassandra.db.marshal.DateType",
            "map<text>",
            "map<text, int",
            "list<int>>",
            "list<'org.apache.cassandra.db.marshal.LexicalUUIDType'>",
            "vector<float, many>",
            "quux<int>",
            "\"open",
            "",
            "<int>",
        ] {
            assert_eq!(CqlType::parse(text), CqlType::Class(text.into()));
            assert_eq!(CqlType::parse(text).to_string(), text);
        }
    }

    #[test]
    fn only_what_is_not_frozen_is_taken_apart() {
        let of = |text| CqlType::parse(text).collection();
        assert_eq!(of("map<text, int>"), Some(Collection::Map));
        assert_eq!(of("set<frozen<set<int>>>"), Some(Collection::Set));
        assert_eq!(of("address"), Some(Collection::Fields));
        let others = ["frozen<map<text, int>>", "int", "vector<float, 3>", "list<int>"];
        for single in others.into_iter().chain(["frozen<address>"]) {
            assert_eq!(of(single), None, "{single}");
        }
    }

    #[test]
    fn random_uuids_have_no_higher_one() {
        let order = |text| CqlType::parse(text).value_order();
        assert_eq!(order("uuid"), None);
        assert_eq!(order("map<text, int>"), None);
        assert_eq!(order("int"), Some(Order::Signed));
        assert_eq!(CqlType::Uuid.key_order(), Some(Order::Uuid));
    }
}
