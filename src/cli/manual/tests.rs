//! The manual and the README name what there is, and their commands can be run.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::run::files;

/// Every text, with its name.
fn texts() -> Vec<(&'static str, String)> {
    let readme = ("README.md", include_str!("../../../README.md").to_owned());
    let contents = ("the contents", help::CONTENTS.to_owned());
    [readme, contents]
        .into_iter()
        .chain(TOPICS.iter().map(|topic| (topic.name, topic.markdown())))
        .collect()
}

/// What stands for what only the reader knows.
const PLACEHOLDERS: [(&str, &str); 5] = [
    ("RUN", "run"),
    ("PAIRS", "pairs.csv"),
    ("TOPIC", "safety"),
    ("COMMAND", "apply"),
    ("DIR", "pages"),
];

/// Lines for a shell that are no commands of ours.
const OTHERS: [&str; 3] = [
    "cargo install --path . --locked",
    "ssh -L 8088:localhost:8088 dbhost",
    "tar -xzf tributary-0.1.0-linux-x86_64.tar.gz --strip-components=1 -C /usr/local",
];

/// Flags of other programs, and scripts.
const FOREIGN_FLAGS: [&str; 5] = ["--full", "--locked", "--open", "--path", "--strip-components"];

/// Files that are no part of a run directory.
const FOREIGN_FILES: [&str; 4] = ["tributary.toml", "control.sock", "wrong.csv", "pairs.csv.gz"];

/// The lines for a shell of a text, without what follows on a line.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks = help::blocks(text);
    let code = blocks.iter().filter_map(|block| match block {
        Block::Code(language, lines) if language == "sh" => Some(lines.iter()),
        _ => None,
    });
    let cut = |line: &String| {
        let end = [" #", " | ", " > "].iter().filter_map(|sign| line.find(sign)).min();
        line[..end.unwrap_or(line.len())].trim().to_owned()
    };
    code.flatten().map(cut).collect()
}

/// The pieces of code within the sentences and tables of a text.
fn quoted(text: &str) -> Vec<String> {
    let quoted =
        |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let of_block = |block: Block| match block {
        Block::Paragraph(text) | Block::Item(_, text) | Block::Heading(_, text) => quoted(&text),
        Block::Table(rows) => rows.iter().flatten().flat_map(|cell| quoted(cell)).collect(),
        Block::Code(..) => Vec::new(),
    };
    help::blocks(text).into_iter().flat_map(of_block).collect()
}

/// Parses a command of ours.
#[track_caller]
fn parses(text: &str, line: &str) {
    let words = line.split_whitespace().map(|word| {
        let found = PLACEHOLDERS.iter().find(|(name, _)| *name == word);
        found.map_or(word, |(_, stands)| *stands)
    });
    if let Err(error) = args::command().try_get_matches_from(words) {
        let is_help = error.exit_code() == 0;
        assert!(is_help, "{text}: {line}: {error}");
    }
}

#[test]
fn every_command_line_can_be_run() {
    let mut ours = 0;
    for (name, text) in texts() {
        for line in shell_lines(&text) {
            if line.starts_with("tributary ") {
                ours += 1;
                parses(name, &line);
            } else if let Some(script) = line.strip_prefix("scripts/") {
                let script = script.split(' ').next().unwrap();
                let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
                assert!(scripts.join(script).exists(), "{name}: {line}");
            } else {
                assert!(OTHERS.contains(&&*line), "{name}: {line}");
            }
        }
        quoted(&text)
            .iter()
            .filter(|code| code.starts_with("tributary "))
            .for_each(|line| parses(name, line));
    }
    assert!(ours > 20, "{ours}");
}

/// A block in no language would be taken for code of ours by the documentation, and be shown to nobody as what it is.
#[test]
fn every_block_of_code_says_what_it_is() {
    const LANGUAGES: [&str; 9] =
        ["sh", "console", "text", "toml", "json", "yaml", "ini", "sql", "promql"];
    for (name, text) in texts() {
        for block in help::blocks(&text) {
            if let Block::Code(language, lines) = block {
                assert!(LANGUAGES.contains(&&*language) && !lines.is_empty(), "{name}: {lines:?}");
            }
        }
    }
}

/// The long flags of a command and those below it.
fn flags(command: &Command, flags: &mut BTreeSet<String>) {
    flags.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
    command.get_subcommands().for_each(|below| self::flags(below, flags));
}

#[test]
fn every_flag_exists() {
    let mut known: BTreeSet<String> = FOREIGN_FLAGS.map(str::to_owned).into();
    let mut command = args::command();
    command.build();
    flags(&command, &mut known);
    let mut named = BTreeSet::new();
    for (name, text) in texts() {
        let is_of_flag = |c: char| c.is_ascii_lowercase() || c == '-';
        for word in text.split(|c| !is_of_flag(c)) {
            let letters = word.trim_start_matches('-');
            if word.len() == letters.len() + 2 && !letters.is_empty() {
                assert!(known.contains(word), "{name}: {word}");
                named.insert(word.to_owned());
            }
        }
    }
    assert!(named.len() > 25, "{named:?}");
}

#[test]
fn every_file_exists_and_every_file_is_told() {
    let is_file = |word: &str| {
        let ends = [
            ".csv", ".json", ".html", ".toml", ".hlog", ".log", ".prom", ".sqlite", ".sock", ".gz",
        ];
        ends.iter().any(|end| word.ends_with(end)) && !word.contains([' ', '/', '*'])
    };
    for (name, text) in texts() {
        for word in quoted(&text).iter().filter(|word| is_file(word)) {
            let is_known = files::ALL.contains(&&**word) || FOREIGN_FILES.contains(&&**word);
            assert!(is_known, "{name}: {word}");
        }
    }
    let text = quoted(&Topic::find("journal").unwrap().markdown());
    for file in files::ALL {
        assert!(text.iter().any(|word| word == file), "{file}");
    }
}

/// Paths of the README lead somewhere.
#[test]
fn every_link_leads_somewhere() {
    let (_, readme) = texts().remove(0);
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links: Vec<_> = links.filter(|link| !link.starts_with("http")).collect();
    assert!(links.len() > TOPICS.len());
    for link in links {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
    assert!(readme.len() <= 10_240, "{} bytes", readme.len());
}

#[test]
fn every_topic_can_be_asked_for_and_has_something_to_say() {
    let command = args::command();
    let contents = help::text(&contents(), 80);
    for topic in TOPICS {
        assert!(command.find_subcommand(topic.name).is_none(), "{} is a command", topic.name);
        assert!(contents.contains(&format!("  {} ", topic.name)), "{}", topic.name);
        let blocks = blocks(topic);
        assert!(matches!(blocks[0], Block::Heading(1, _)), "{}", topic.name);
        let text = help::text(&blocks, 80);
        assert!(text.lines().count() > 12, "{text}");
        let code: BTreeSet<String> = blocks
            .iter()
            .filter_map(code)
            .flatten()
            .map(|line| line.trim_start().to_owned())
            .collect();
        for line in text.lines().filter(|line| line.chars().count() > 80) {
            assert!(code.contains(line.trim_start()), "{}: {line}", topic.name);
        }
        let (file, page) = help::page(topic, &blocks).unwrap();
        assert_eq!(file, format!("tributary-{}.7", topic.name));
        assert!(page.len() > text.len() / 2, "{file}");
    }
}

fn code(block: &Block) -> Option<&Vec<String>> {
    match block {
        Block::Code(_, lines) => Some(lines),
        _ => None,
    }
}

#[test]
fn topics_made_of_tables_have_every_row() {
    let text = |name| format!("{:?}", blocks(Topic::find(name).unwrap()));
    let settings = text("settings");
    for row in catalogue::all().map(Described::row) {
        let name =
            if row.is_in(crate::setting::Layer::Flag) { row.flag() } else { row.name.to_owned() };
        assert!(settings.contains(&format!("`{name}")), "{name}");
    }
    let rules = text("input");
    for entry in crate::pairs::RULES {
        assert!(rules.contains(&format!("`{}`", entry.name)), "{}", entry.name);
    }
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let blocks = help::blocks(&Topic::find("exit-codes").unwrap().markdown());
    let Some(Block::Table(rows)) = blocks.into_iter().nth(1) else { panic!("no table") };
    for row in &rows[1..] {
        let code: u8 = row[0].parse().unwrap();
        assert_eq!(Exit::from_code(code).code(), code);
        let help = args::command().render_long_help().to_string();
        assert!(help.contains(&format!("\n  {code:<5}")), "{code}");
    }
}

#[test]
fn what_there_is_not_is_told_with_the_nearest() {
    let text = unknown(&["safty"]).to_string();
    assert!(text.contains("the nearest is safety"), "{text}");
    assert!(of_command(&["control", "pause"]).is_some() && of_command(&["paws"]).is_none());
}

#[test]
fn examples_can_be_copied_from_a_page() {
    let help = "EXAMPLES\n  a -b \\\n.c\n\nEXIT CODES\n  0  done";
    assert_eq!(
        verbatim(help),
        ".fi\n.SH EXAMPLES\n.nf\n  a \\-b \\e\n\\&.c\n\n.fi\n.SH EXIT CODES\n.nf\n  0  done\n.fi\n"
    );
    assert_eq!(verbatim(""), "");
}
