//! `completions` and `man`: what a shell and `man` want to know of the command line.

use std::path::Path;
use std::{fs, io, iter};

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::args;
use super::{Exit, Failure, Terminal};

/// The name of the program, whatever it was called by.
const NAME: &str = "tributary";

/// Runs `completions`.
pub(super) fn completions(shell: Shell, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), NAME, &mut script);
    print(&script, terminal)
}

/// Runs `man`.
pub(super) fn pages(dir: Option<&Path>, terminal: &Terminal) -> Result<Exit, Failure> {
    // A page for `help` would only repeat the others.
    let mut command = args::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = dir else {
        let (_, page) = page(&command).map_err(Failure::failed)?;
        return print(&page, terminal);
    };
    let commands = iter::once(&command).chain(command.get_subcommands());
    let written = fs::create_dir_all(dir).and_then(|()| {
        commands.map(page).try_for_each(|page| {
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
mod tests {
    use super::*;

    #[test]
    fn examples_can_be_copied_from_a_page() {
        let help = "EXAMPLES\n  a -b \\\n.c\n\nEXIT CODES\n  0  done";
        assert_eq!(
            verbatim(help),
            ".fi\n.SH EXAMPLES\n.nf\n  a \\-b \\e\n\\&.c\n\n.fi\n.SH EXIT CODES\n.nf\n  0  done\n.fi\n"
        );
        assert_eq!(verbatim(""), "");
    }
}
