//! The check of an event: what it quotes has to exist, and to be found.

use super::{EventColumn, EventSpec, QUOTABLE, RawEvent, RawEventColumn, is_quotable};
use crate::spec::fault::{At, Faults, list};
use crate::spec::raw::RawTable;
use crate::spec::{ScopePart, Table, fits};

/// What placeholders may name beside columns.
const GENERAL: [&str; 4] = ["account", "merged_into", "ets", "uuid"];

fn problem(problem: &str) -> String {
    format!("[event]: {problem}")
}

impl RawEvent {
    /// What the text alone can tell.
    pub(in crate::spec) fn check_alone(&self, tables: &[RawTable], faults: &mut Faults) {
        let Some(table) = tables.iter().find(|table| *table.name == *self.table) else {
            let names = list(tables.iter().map(|table| table.name.as_str()));
            let message = format!("there is no [[table]] named {}; there are: {names}", self.table);
            return faults.add(self.table.line, problem(&message));
        };
        if table.only_mentions() {
            let message = format!("no account has rows in {}: it only mentions them", self.table);
            return faults.add(self.table.line, problem(&message));
        }
        let Some(find) = &table.find else { return };
        let leading = find.columns().next().map(|path| &path.table);
        for path in self.columns.values().filter_map(|column| column.else_min.as_ref()) {
            let message = match leading {
                Some(leading) if path.table == *leading => continue,
                Some(leading) => {
                    format!("else_min names {path}; it has to be a column of {leading}")
                }
                None => format!(
                    "else_min names {path}, but no other table leads to {}: leave it out",
                    self.table
                ),
            };
            faults.add(path.line, problem(&message));
        }
        if let (Some(leading), Some(every)) =
            (leading, self.every.as_ref().filter(|every| ***every))
        {
            let message = format!(
                "every = true is for tables that are found by the account; of {} only those rows are seen to which rows of \
                 {leading} lead: leave it out",
                self.table
            );
            faults.add(every.line, problem(&message));
        }
    }

    /// The columns of a table that are needed to look at a survivor's rows.
    pub(in crate::spec) fn columns_of<'a>(
        &'a self,
        table: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        self.columns.iter().filter_map(move |(name, column)| match &column.else_min {
            Some(path) if path.table == table => Some(path.column.as_str()),
            _ if *self.table == table => Some(name.as_str()),
            _ => None,
        })
    }
}

impl EventSpec {
    /// Checks the event against the tables that it is about, as far as these fit themselves.
    pub(in crate::spec) fn check(
        raw: &RawEvent,
        tables: &[Option<Table>],
        faults: &mut Faults,
    ) -> Option<Self> {
        let is_own =
            |table: &Option<Table>| table.as_ref().is_some_and(|own| own.name == *raw.table);
        let index = tables.iter().position(is_own)?;
        let table = tables[index].as_ref()?;
        let leading = match table.locator.through {
            Some(through) => Some(tables[through].as_ref()?),
            None => None,
        };
        let mut own = Own { raw, table, leading, faults };
        if let Some(leading) = leading {
            own.shape(leading);
        }
        own.rows();
        let columns = raw.columns.iter().map(|(name, column)| own.column(name, column));
        // Each is looked at, though one may be wrong.
        let columns: Vec<_> = columns.collect();
        let scope: Vec<_> = (0..table.key_len).filter(|column| *column != table.account).collect();
        for column in &scope {
            let why = format!(
                "is part of the primary key of {}, of which the ids of events are made",
                table.name
            );
            own.quotable(*column, raw.table.line, &why);
        }
        let scope: Vec<_> = scope.into_iter().map(|column| table.columns[column].clone()).collect();
        let names = scope.iter().map(|column| column.name.as_str());
        own.placeholders(&GENERAL.into_iter().chain(names).collect::<Vec<_>>());
        Some(Self {
            left: raw.left,
            every: raw.every.as_ref().is_some_and(|every| **every),
            table: index,
            account: table.columns[table.account].cql_type.clone(),
            scope,
            columns: columns.into_iter().collect::<Option<_>>()?,
            key: (*raw.key).clone(),
            value: raw.value.clone(),
        })
    }
}

/// An event beside its table and the one that leads there, if one does.
struct Own<'a> {
    raw: &'a RawEvent,
    table: &'a Table,
    leading: Option<&'a Table>,
    faults: &'a mut Faults,
}

impl Own<'_> {
    fn wrong(&mut self, line: usize, message: &str) {
        self.faults.add(line, problem(message));
    }

    /// What is announced has to be known of each row that changes.
    fn rows(&mut self) {
        let why = match (self.table.locator.is_scanned, self.table.drop_oneself) {
            (true, _) => "are found by a scan",
            (false, Some(_)) => "may be dropped (drop_oneself)",
            (false, None) => return,
        };
        let message =
            format!("rows of {} {why}; no events are made for such a table", self.raw.table);
        self.wrong(self.raw.table.line, &message);
    }

    /// Each event is about one row, which a key leads to.
    fn shape(&mut self, leading: &Table) {
        let line = self.raw.table.line;
        if !self.table.has_one_row_per_scope() {
            let message = format!(
                "an account may own several rows of {} in one partition; events are made for tables in which it owns \
                 one",
                self.raw.table
            );
            self.wrong(line, &message);
        }
        let key_len = leading.key_len;
        let regular = self.table.locator.parts.iter().find_map(|part| match part {
            ScopePart::Column(column) if *column >= key_len => Some(&leading.columns[*column].name),
            _ => None,
        });
        if let Some(column) = regular {
            let key = leading.columns[..key_len].iter().map(|column| column.name.as_str());
            let message = format!(
                "rows of {table} are found by {leads}.{column}, which is no part of the primary key of {leads} ({}): a value \
                 that may change does not tell for good which rows a change is about, so nothing is announced of {table}. \
                 Announce a table that is found by the account, or one that is found by a column of such a key",
                list(key),
                table = self.raw.table,
                leads = leading.name,
            );
            self.wrong(line, &message);
        }
    }

    fn column(&mut self, name: &str, column: &At<RawEventColumn>) -> Option<EventColumn> {
        let Some(own) = self.table.position(name) else {
            let columns = list(self.table.columns.iter().map(|column| column.name.as_str()));
            let message = format!("{} has no column {name}; it has: {columns}", self.table.name);
            self.wrong(column.line, &message);
            return None;
        };
        self.quotable(own, column.line, "is named by [event.columns]");
        let else_min = match column.else_min.as_ref().zip(self.leading) {
            Some((path, leading)) if path.table == leading.name => {
                let Some(at) = leading.position(&path.column) else {
                    self.wrong(path.line, &format!("else_min: there is no column {path}"));
                    return None;
                };
                let of = &leading.columns[at].cql_type;
                let own = &self.table.columns[own];
                if let Some(differs) = fits::other_type(own, (path, "which else_min names"), of) {
                    self.wrong(path.line, &differs);
                } else if !of.is_text() {
                    let message = format!("else_min names {path} of type {of}; it has to be text");
                    self.wrong(path.line, &message);
                }
                if leading.locator.through.is_some() {
                    let message = format!(
                        "else_min names {path}, but rows of {} are found through another table",
                        leading.name
                    );
                    self.wrong(path.line, &message);
                }
                Some(at)
            }
            _ => None,
        };
        let cql_type = self.table.columns[own].cql_type.clone();
        Some(EventColumn { name: name.to_owned(), column: own, cql_type, else_min })
    }

    /// What an event quotes has to be text, or something that JSON can say; `why` says why it is quoted.
    fn quotable(&mut self, position: usize, line: usize, why: &str) {
        let column = &self.table.columns[position];
        if !is_quotable(&column.cql_type) {
            let message = format!(
                "{}.{} of type {} {why}; that can be {QUOTABLE}",
                self.table.name, column.name, column.cql_type
            );
            self.wrong(line, &message);
        }
    }

    /// Every placeholder is one of these, or a column that the event names.
    fn placeholders(&mut self, known: &[&str]) {
        let columns = self.raw.columns.keys().map(String::as_str);
        let known: Vec<&str> = known.iter().copied().chain(columns).collect();
        for template in [&self.raw.key].into_iter().chain(self.raw.value.templates()) {
            for name in template.names().filter(|name| !known.contains(name)) {
                let message = format!(
                    "there is no placeholder ${{{name}}}; there are: {}. A column of the announced table is one, too, once \
                     [event.columns] names it",
                    list(known.iter().copied())
                );
                self.wrong(template.line, &message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::RawSpec;
    use crate::spec::schema::{Schema, TableSchema};

    /// What is wrong with an event of `reviews`, found by `orders.{leads}`, when that table has a key of this type, and
    /// `stars` is the smallest `else_min`.
    fn wrong(leads: &str, key: &str, else_min: &str) -> String {
        let text = format!(
            "name = 's'\n[[table]]\nname = 'orders'\naccount = 'user'\nfind = 'partition'\n[[table]]\nname = 'reviews'\n\
             account = 'user'\nfind = {{ partitions_from = 'orders.{leads}' }}\n[event]\ntable = 'reviews'\n\
             key = '${{account}}'\n[event.columns]\nstars = {{ else_min = 'orders.{else_min}' }}\n[event.value]\na = 1\n"
        );
        let orders = [("user", "text"), ("day", key), ("country", "text"), ("stars", "text")];
        let reviews = [("day", if leads == "day" { key } else { "text" }), ("user", "text")];
        let reviews = TableSchema::keyed(2, &[&reviews[..], &[("stars", "text")]].concat());
        let tables =
            [("orders".into(), TableSchema::keyed(2, &orders)), ("reviews".into(), reviews)];
        let schema = Schema { keyspace: "k".into(), tables: tables.into() };
        let checked = RawSpec::parse(&text, "the test").unwrap().check(&schema);
        checked.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_event_is_made_where_a_key_leads_and_of_what_json_can_say() {
        assert_eq!(wrong("day", "text", "stars"), "");
        let regular = wrong("country", "text", "stars");
        let says = "reviews are found by orders.country, which is no part of the primary key of orders (user, day)";
        assert!(regular.contains(says), "{regular}");
        let key = wrong("day", "timestamp", "stars");
        let says = "reviews.day of type timestamp is part of the primary key of reviews, of which the ids of events are \
                    made; that can be text, ascii,";
        assert!(key.contains(says), "{key}");
        let other = wrong("day", "int", "day");
        let says = "stars is of type text, but orders.day, which else_min names, is of type int";
        assert!(other.contains(says), "{other}");
    }
}
