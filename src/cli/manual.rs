//! `completions`, `help` and `man`: what a shell, a reader and `man` want to know of the command line, and the manual.

use std::path::Path;
use std::{fs, io, iter};

use anyhow::{Context, anyhow};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Exit, Failure, Terminal};
use super::{args, catalogue};
use crate::advice::Advice;
use crate::help::{self, Block, TOPICS, Topic};
use crate::setting::Described;

/// The name of the program, whatever it was called by.
const NAME: &str = "tributary";

/// Runs `completions`.
pub(super) fn completions(shell: Shell, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), NAME, &mut script);
    print(&script, terminal)
}

/// Runs `help`: the topics, one of them, or the help of a command.
pub(super) fn help(words: &[String], terminal: &Terminal) -> Result<Exit, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let columns = terminal.columns();
    let shown = match words[..] {
        [] => help::text(&contents(), columns),
        [name, ..] => match Topic::find(name).filter(|_| words.len() == 1) {
            Some(topic) => help::text(&blocks(topic), columns),
            None => of_command(&words).ok_or_else(|| Failure::unusable(unknown(&words)))?,
        },
    };
    print(shown.as_bytes(), terminal)
}

/// The topics, and how to come by the commands.
fn contents() -> Vec<Block> {
    help::blocks(&format!("{}{}", help::CONTENTS, help::topics()))
}

/// The text of a topic, with what the code knows in tables.
fn blocks(topic: &Topic) -> Vec<Block> {
    let more = match topic.name {
        "settings" => help::settings(catalogue::all().map(Described::row)),
        _ => String::new(),
    };
    help::blocks(&(topic.markdown() + &more))
}

/// The help of a command.
fn of_command(words: &[&str]) -> Option<String> {
    let mut root = args::command();
    root.build();
    let mut command = &mut root;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    Some(command.render_long_help().to_string())
}

/// That there is nothing of this name, with the nearest that there is.
fn unknown(words: &[&str]) -> anyhow::Error {
    let wrong = words.join(" ");
    let command = args::command();
    let commands = command.get_subcommands().map(Command::get_name);
    let known = TOPICS.iter().map(|topic| topic.name).chain(commands);
    let rated = known.map(|name| (strsim::jaro_winkler(name, &wrong), name));
    let nearest = rated.max_by(|one, other| one.0.total_cmp(&other.0)).map_or("", |(_, name)| name);
    let (what, all) = ("there is no topic and no command", Advice::Manual);
    anyhow!("{what} '{wrong}'; the nearest is {nearest}, and `{all}` lists the topics")
}

/// Runs `man`.
pub(super) fn pages(dir: Option<&Path>, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut command = args::command();
    command.build();
    let Some(dir) = dir else {
        let (_, page) = page(&command).map_err(Failure::failed)?;
        return print(&page, terminal);
    };
    let commands = iter::once(&command).chain(command.get_subcommands());
    let written = fs::create_dir_all(dir).and_then(|()| {
        let topics = TOPICS.iter().map(|topic| help::page(topic, &blocks(topic)));
        commands.map(page).chain(topics).try_for_each(|page| {
            let (name, page) = page?;
            fs::write(dir.join(name), page)
        })
    });
    written
        .with_context(|| format!("cannot write man pages to {}", dir.display()))
        .map_err(Failure::failed)?;
    Ok(Exit::Done)
}

/// The name and the text of a command's page. What stands below the flags is kept line by line: it has
/// commands to be copied.
fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let extra = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let plain = command.clone().after_long_help(None::<&str>).after_help(None::<&str>);
    let man = Man::new(plain).source(concat!("tributary ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.extend(verbatim(&extra).into_bytes());
    Ok((man.get_filename(), page))
}

/// Help as roff: lines in capitals are headings, all others stay as they are.
fn verbatim(help: &str) -> String {
    let mut text = String::new();
    for line in help.lines() {
        let heading = !line.is_empty() && line.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        text += &match heading {
            true => format!(".fi\n.SH {line}\n.nf\n"),
            // A line must not begin like a request to roff.
            false if line.starts_with(['.', '\'']) => format!("\\&{line}\n"),
            false => line + "\n",
        };
    }
    if text.is_empty() { text } else { text + ".fi\n" }
}

fn print(text: &[u8], terminal: &Terminal) -> Result<Exit, Failure> {
    let printed = terminal.print(&String::from_utf8_lossy(text));
    printed.context("cannot write to standard output").map_err(Failure::failed)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
