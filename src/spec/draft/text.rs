//! A draft as text: what can be merged as it is, the rest in comments with the reasons.

use toml::Value;

use super::Candidate;
use crate::spec::policy;
use crate::spec::raw::{RawFind, RawPart, RawSpec};
use crate::spec::schema::{ColumnKind, ColumnSchema, Schema};
use crate::spec::show::{comments, notes};

/// The text.
pub(super) fn draft(schema: &Schema, accounts: &[String], all: &[Candidate<'_>]) -> String {
    let about = [
        format!(
            "Drafted from keyspace {}: each table with a column named like {}. Tables that cannot be merged as they are \
             stand here in comments, with the reason.",
            schema.keyspace,
            accounts.join(", ")
        ),
        "Before it is used: see that each of these columns holds an account, that its rows are found as they should \
         be, and what every column becomes where both accounts hold a key."
            .to_owned(),
    ];
    let mut text = comments(&about);
    text += &format!("name = {}\n", quoted(&schema.keyspace));
    let merged =
        RawSpec::of(all.iter().filter(|one| one.is_merged()).map(Candidate::raw).collect());
    let fitting = merged.hold_against(schema, &mut crate::spec::Faults::none(""));
    let tables = fitting.map(|spec| spec.tables).unwrap_or_default();
    for candidate in all {
        let own = table(candidate);
        text.push('\n');
        if candidate.is_merged() {
            let fitting = tables.iter().find(|table| table.name == candidate.name);
            let mut notes = notes(&candidate.raw(), fitting);
            notes.extend(candidate.hint.clone());
            if let Some(path) = candidate.find.as_ref().and_then(|find| find.columns().next()) {
                let others = candidate.alternatives(all);
                let others = match others.is_empty() {
                    true => String::new(),
                    false => {
                        format!(" Rows of these could lead here as well: {}.", others.join(", "))
                    }
                };
                notes.push(format!(
                    "Whether {} has a row wherever this table has one only you know. If not, and if nothing else has, say \
                     find = \"scan\": what nothing leads to stays with the source.{others}",
                    path.table
                ));
            }
            let copied = candidate.others.iter().filter(|_| !candidate.only_mentions);
            notes.extend(copied.map(|other| {
                format!(
                    "{} is copied as it is: it is no part of the key, whatever account it names. With mentions = [{}] it \
                     names the survivor afterwards.",
                    other.name,
                    quoted(&other.name)
                )
            }));
            text += &comments(&notes);
            text += &own;
        } else {
            let reasons = candidate.reasons.iter().map(|reason| format!("Not merged: {reason}."));
            text += &comments(&reasons.collect::<Vec<_>>());
            own.lines().for_each(|line| text += &format!("{}\n", format!("# {line}").trim_end()));
        }
    }
    text
}

/// A table as a specification has it.
fn table(candidate: &Candidate<'_>) -> String {
    let Candidate { name, account, .. } = candidate;
    if candidate.only_mentions {
        let mentions: Vec<_> = candidate.mentions().map(|column| quoted(&column.name)).collect();
        return format!(
            "[[table]]\nname = {}\nmentions = [{}]\n",
            quoted(name),
            mentions.join(", ")
        );
    }
    let mut text =
        format!("[[table]]\nname = {}\naccount = {}\n", quoted(name), quoted(&account.name));
    match &candidate.find {
        Some(RawFind::Partition) => text += "find = \"partition\"\n",
        Some(RawFind::Scan) => text += "find = \"scan\"\n",
        Some(RawFind::Clustering { partitions_from }) => {
            text += &format!(
                "find = {{ partitions_from = {} }}\n",
                quoted(&partitions_from.to_string())
            );
        }
        Some(RawFind::Parts { partition }) => {
            text += "\n[table.find.partition]\n";
            for (column, part) in partition {
                let part = match &**part {
                    RawPart::Constant(value) => format!("{{ value = {value} }}"),
                    RawPart::Column(from) => format!("{{ from = {} }}", quoted(&from.to_string())),
                };
                text += &format!("{} = {part}\n", key(column));
            }
        }
        None => {
            text += "\n[table.find.partition]\n";
            for column in candidate.scope() {
                text += &format!("{} = {{ from = \"…\" }}\n", key(&column.name));
            }
        }
    }
    if candidate.carries_ttls() {
        let end = text.find("\n\n").map_or(text.len(), |at| at + 1);
        text.insert_str(end, "ttl = \"carry\"\n");
    }
    let regular = candidate.live.columns.iter().filter(|column| column.kind == ColumnKind::Regular);
    let regular = regular.filter(|column| column.name != account.name);
    let regular: Vec<_> = regular.map(|column| rule(column, candidate.carries_ttls())).collect();
    if !regular.is_empty() {
        text += "\n[table.on_conflict]\n";
        text.extend(regular);
    }
    text += "\n[table.columns]\n";
    text + &format!("{} = {}\n", key(&account.name), quoted(&account.cql_type.to_string()))
}

/// The policy of a column: nothing of a set or map is lost, and any other value stays with the row that it is of. The
/// others that it could have stand behind it.
fn rule(column: &ColumnSchema, carries_ttls: bool) -> String {
    // Of a total nobody can say when it expires.
    let fitting =
        policy::fitting(&column.cql_type).filter(|policy| !(carries_ttls && policy.adds()));
    let careful = policy::careful(&column.cql_type);
    let careful = careful.as_ref().map_or("keep-target", |policy| policy.name());
    let others: Vec<_> = fitting
        .filter(|policy| policy.name() != careful)
        .map(|policy| quoted(policy.name()))
        .collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!(": or {}", others.join(", ")),
    };
    let of = &column.cql_type;
    format!("{} = {} # {of}{others}\n", key(&column.name), quoted(careful))
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A name as TOML has it on the left.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}
