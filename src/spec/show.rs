//! A specification as it is in effect: its text, and above each table in comments how its rows are found, what that
//! costs, and what becomes of two rows with one key.

use std::collections::BTreeMap;

use super::raw::{RawFind, RawPart, RawRows, RawSpec, RawTable};
use super::{Spec, Table, policy};
use crate::wrap::filled;

/// Comments are broken behind so many characters.
const WIDTH: usize = 79;

impl RawSpec {
    /// The text with comments, which is a specification as well; `fitting` is what it comes to in a live schema, if one
    /// was asked.
    pub(crate) fn shown(&self, fitting: Option<&Spec>) -> String {
        let mut above: BTreeMap<usize, String> = BTreeMap::new();
        for (index, raw) in self.tables.iter().enumerate() {
            let table = fitting.and_then(|spec| spec.tables.get(index));
            *above.entry(raw.line).or_default() += &comments(&notes(raw, table));
        }
        let lines = self.text.lines().enumerate().map(|(number, line)| {
            let above = above.get(&(number + 1)).map_or("", String::as_str);
            (above, format!("{line}\n"))
        });
        lines.fold(String::new(), |mut text, (above, line)| {
            // What was drafted or shown before says so already.
            if !text.ends_with(above) {
                text += above;
            }
            text + &line
        })
    }
}

/// Sentences as comments, each on lines of its own.
pub(super) fn comments(sentences: &[String]) -> String {
    const MARK: &str = "# ";
    let room = WIDTH - MARK.len();
    let lines =
        sentences.iter().flat_map(|sentence| filled(sentence.split_whitespace(), room, room));
    lines.map(|line| format!("{}\n", format!("{MARK}{line}").trim_end())).collect()
}

/// What there is to know of a table; more of it where the live one is known.
pub(super) fn notes(raw: &RawTable, table: Option<&Table>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(table) = table {
        notes.push(key(table));
    }
    if let Some(find) = &raw.find {
        notes.extend([way(find), cost(find, table)]);
    }
    notes.extend(raw.mentions.iter().map(|column| {
        format!(
            "Rows that name a source in {} name the survivor afterwards. Cost: a scan that reads the key and this column of \
             every row of the table, once behind the last group.",
            **column
        )
    }));
    if raw.only_mentions() {
        return notes;
    }
    let policies = raw.policies.iter().map(|(column, policy)| (column.as_str(), &***policy));
    let rule = match &raw.rows {
        RawRows::Stay => policy::rule(policies),
        RawRows::Higher(by) => policy::higher_row(by.iter().map(|column| column.as_str())),
        RawRows::Source(_) => policy::SOURCE_ROW.to_owned(),
    };
    notes.push(format!("Where both accounts hold a key, {rule}."));
    notes.extend(raw.drop_oneself.iter().map(|column| {
        format!(
            "A row that would name the survivor in {} as well is dropped, unless it has one.",
            **column
        )
    }));
    if raw.carries_ttls.is_some() {
        notes.push(
            "What expires does so where it is copied as well, at the same moment.".to_owned(),
        );
    }
    if !raw.delete_source {
        notes.push("The sources keep their rows.".to_owned());
    }
    notes
}

fn key(table: &Table) -> String {
    let names: Vec<&str> =
        table.columns[..table.key_len].iter().map(|column| column.name.as_str()).collect();
    let (partition, clustering) = names.split_at(table.partition_len);
    let partition = match partition {
        [only] => (*only).to_owned(),
        several => format!("({})", several.join(", ")),
    };
    let key: Vec<&str> =
        [partition.as_str()].into_iter().chain(clustering.iter().copied()).collect();
    let account = &table.columns[table.account];
    format!(
        "The primary key of {} is ({}); accounts are of type {}.",
        table.name,
        key.join(", "),
        account.cql_type
    )
}

/// How the rows of an account are found.
fn way(find: &RawFind) -> String {
    if matches!(find, RawFind::Scan) {
        return "Found by a scan: nothing leads to its rows.".to_owned();
    }
    let columns: Vec<String> = find.columns().map(ToString::to_string).collect();
    let constants: Vec<String> = match find {
        RawFind::Parts { partition } => partition
            .iter()
            .filter_map(|(name, part)| match &**part {
                RawPart::Constant(value) => Some(format!("{name} is {value}")),
                RawPart::Column(_) => None,
            })
            .collect(),
        RawFind::Partition | RawFind::Scan | RawFind::Clustering { .. } => Vec::new(),
    };
    let constants = match constants.is_empty() {
        true => String::new(),
        false => format!(" where {}", constants.join(" and ")),
    };
    match columns.is_empty() {
        true => format!("Found by the account itself{constants}."),
        false => format!(
            "Found by other rows{constants}: in the partitions that {} of the sources' rows leads to.",
            columns.join(" and ")
        ),
    }
}

/// What it costs to find them.
fn cost(find: &RawFind, table: Option<&Table>) -> String {
    let shared = table.is_some_and(Table::has_point_rows);
    let at_once = match shared {
        true => "; accounts that meet in a partition are read at once",
        false => "",
    };
    match find.columns().next() {
        None if matches!(find, RawFind::Scan) => format!(
            "Cost: every key of the table is read, before the first group and again at the end; then one read for each \
             account and partition{at_once}."
        ),
        None => format!("Cost: one read for each account{at_once}."),
        Some(_) => format!(
            "Cost: one read for each account and partition{at_once}. Rows to which nothing leads are seen by a scan alone \
             (--discover scan): it reads every key of the table, before the first group and again at the end."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::schema::{Schema, TableSchema};

    const TEXT: &str = "name = 's'\n\n# Mine.\n[[table]]\nname = 'own'\naccount = 'user'\nfind = 'partition'\n\
                        on_conflict = { status = 'max' }\n[[table]]\nname = 'led'\naccount = 'user'\ndelete_source = \
                        false\nfind = { partitions_from = 'own.course' }\n";

    #[test]
    fn each_table_has_its_way_and_its_cost_above_it() {
        let raw = RawSpec::parse(TEXT, "a test").unwrap();
        let shown = raw.shown(None);
        let expected = "name = 's'\n\n# Mine.\n# Found by the account itself.\n# Cost: one read for each account.\n\
                        # Where both accounts hold a key, the survivor's row stays and gets the higher\n# status.\n\
                        [[table]]\nname = 'own'\n";
        assert!(shown.starts_with(expected), "{shown}");
        let led = shown.split("{ status = 'max' }\n").nth(1).unwrap();
        let led = led.replace("\n#", "");
        for sentence in [
            "# Found by other rows: in the partitions that own.course of the sources' rows leads to.",
            "Rows to which nothing leads are seen by a scan alone (--discover scan)",
            "the survivor's row stays as it is, and the source's is dropped. The sources keep their rows.\n[[table]]",
        ] {
            assert!(led.contains(sentence), "{sentence}\nis not in\n{led}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
        // What is shown can be used, and says the same.
        let again = RawSpec::parse(&shown, "what is shown").unwrap();
        assert_eq!(again.tables.len(), 2);
        assert_eq!(again.tables[1].line, raw.tables[1].line + shown.matches("\n# ").count() - 1);
    }

    #[test]
    fn a_scan_says_what_it_costs() {
        let text = "name = 's'\n[[table]]\nname = 't'\naccount = 'user'\nfind = 'scan'\ndrop_oneself = \
                    'other'\n";
        let shown = RawSpec::parse(text, "a test").unwrap().shown(None).replace("\n# ", " ");
        assert!(
            shown.contains(
                " Found by a scan: nothing leads to its rows. Cost: every key of the table is read, before the first \
                 group and again at the end; then one read for each account and partition. Where"
            ),
            "{shown}"
        );
        assert!(
            shown.contains("A row that would name the survivor in other as well is dropped"),
            "{shown}"
        );
    }

    #[test]
    fn a_live_schema_tells_more() {
        let raw = RawSpec::parse(TEXT, "a test").unwrap();
        let own = [("user", "text"), ("course", "text"), ("status", "int")];
        let led = [("course", "text"), ("user", "text")];
        let tables = [("own", TableSchema::keyed(2, &own)), ("led", TableSchema::keyed(2, &led))];
        let tables = tables.into_iter().map(|(name, table)| (name.to_owned(), table)).collect();
        let spec = raw.check(&Schema { keyspace: "k".into(), tables }).unwrap();
        let shown = raw.shown(Some(&spec)).replace("\n# ", " ");
        assert!(
            shown.contains("The primary key of own is (user, course); accounts are of type text.")
        );
        assert!(shown.contains("accounts that meet in a partition are read at once"), "{shown}");
    }
}
