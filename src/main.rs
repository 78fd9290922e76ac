//! The `tributary` command; everything is in the library.

use std::process::ExitCode;

/// Rows are many small allocations, made by one thread and freed by another, on which the C library spent a quarter of the
/// processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tributary::cli::run()
}
