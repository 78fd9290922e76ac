//! `completions` and `man`: what a shell and `man` want to know of the command line.

use std::fs;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{CompletionsArgs, ManArgs};
use super::{Cli, Exit, Failure, Terminal};

/// The name of the program, whatever it was called by.
const NAME: &str = "tributary";

/// Runs `completions`.
pub(super) fn completions(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    print(&script, terminal)
}

/// Runs `man`.
pub(super) fn pages(args: &ManArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    // Generated pages for `help` itself would only repeat the others.
    let command = Cli::command().disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(Failure::failed)?;
        return print(&page, terminal);
    };
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    written
        .with_context(|| format!("cannot write man pages to {}", dir.display()))
        .map_err(Failure::failed)?;
    Ok(Exit::Done)
}

fn print(text: &[u8], terminal: &Terminal) -> Result<Exit, Failure> {
    let printed = terminal.print(&String::from_utf8_lossy(text));
    printed.context("cannot write to standard output").map_err(Failure::failed)?;
    Ok(Exit::Done)
}
