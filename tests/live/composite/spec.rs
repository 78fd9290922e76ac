//! Specifications of described tables, as a person would write them.

use super::shape::{Find, Part, Policy, Shape};

/// The event of the world: members are announced.
pub(super) const EVENT: &str = r#"
[event]
table = "members"
key = "${courseid}_${account}"

[event.columns]
points = {}

[event.value]
course = "${courseid}"
member = "${account}"
points = "${points}"
mid = "${uuid}"
"#;

/// The specification of tables, in the order in which they are given.
pub(super) fn spec(shapes: &[Shape]) -> String {
    let tables = shapes.iter().map(table).collect::<String>();
    format!("name = \"composite\"\n{tables}")
}

fn table(shape: &Shape) -> String {
    let (account, _) = shape.columns[shape.account];
    let find = match &shape.find {
        Find::Own => "\"partition\"".to_owned(),
        Find::One(table, column) => format!("{{ partitions_from = \"{table}.{column}\" }}"),
        Find::Parts(parts) => {
            let parts: Vec<_> = parts.iter().map(part).collect();
            format!("{{ partition = {{ {} }} }}", parts.join(", "))
        }
    };
    let policies: Vec<_> = shape.policies.iter().map(policy).collect();
    let mentions: Vec<_> = shape.mentions().map(|column| format!("\"{column}\"")).collect();
    let mentions = match mentions.is_empty() {
        true => String::new(),
        false => format!("mentions = [{}]\n", mentions.join(", ")),
    };
    let keeps = if shape.keeps_source { "delete_source = false\n" } else { "" };
    format!(
        "\n[[table]]\nname = \"{}\"\naccount = \"{account}\"\nfind = {find}\n{mentions}on_conflict = {{ {} }}\n{keeps}",
        shape.name,
        policies.join(", ")
    )
}

fn part((column, part): &(&str, Part)) -> String {
    match part {
        Part::Value(value) => format!("{column} = {{ value = {value} }}"),
        Part::From(table, from) => format!("{column} = {{ from = \"{table}.{from}\" }}"),
    }
}

fn policy((column, policy): &(&str, Policy)) -> String {
    let word = match policy {
        Policy::Max => "max",
        Policy::Min => "min",
        Policy::KeepTarget => "keep-target",
    };
    format!("{column} = \"{word}\"")
}
