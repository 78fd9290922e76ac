//! The `tributary` command; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tributary::cli::run()
}
