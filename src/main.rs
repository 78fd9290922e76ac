//! The `tributary` command; everything is in the library.

use std::process::ExitCode;
use std::thread;

/// Rows are many small allocations, made by one thread and freed by another, on which the C library spent a quarter of the
/// processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The stack of whoever waits for the command, in bytes, however small that of the process is (`ulimit -s`).
const STACK_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    let command = thread::Builder::new().name("main".to_owned()).stack_size(STACK_BYTES);
    match command.spawn(tributary::cli::run) {
        Ok(command) => command.join().unwrap_or_else(|_| ExitCode::from(101)),
        Err(_) => tributary::cli::run(),
    }
}
