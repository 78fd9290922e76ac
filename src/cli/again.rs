//! The command that was given, as it can be given again: what a stopped run tells its operator.

use std::path::Path;

use crate::report::shell_word;
use crate::secret::{REDACTED, is_secret};

/// The command line for a shell, without the run directory (a new run needs a new one) and without
/// secrets, which have to be filled in. `copy` takes the place of standard input.
pub fn again(args: impl IntoIterator<Item = String>, copy: Option<&Path>) -> String {
    let mut shown = vec!["tributary".to_owned()];
    let mut skip = false;
    for arg in args.into_iter().skip(1) {
        if skip || arg == "--run-dir" {
            skip = !skip;
        } else if let Some(copy) = copy.filter(|_| arg == "-") {
            shown.push(shell_word(&copy.to_string_lossy()));
        } else if !arg.starts_with("--run-dir=") {
            shown.push(shell_word(&without_secret(&arg)));
        }
    }
    shown.join(" ")
}

fn without_secret(arg: &str) -> String {
    match arg.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={REDACTED}"),
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_replaced_by_its_copy() {
        let args = ["tributary", "apply", "-", "--trim"].map(str::to_owned);
        let copy = Path::new("runs/a b/pairs.csv");
        assert_eq!(again(args, Some(copy)), "tributary apply 'runs/a b/pairs.csv' --trim");
    }

    #[test]
    fn the_command_can_be_pasted_and_holds_no_secret() {
        let args = [
            "/usr/bin/tributary",
            "apply",
            "my pairs.csv",
            "--run-dir",
            "r1",
            "--delimiter=;",
            "-X",
            "sasl.password=hunter2",
            "-Xssl.key.pem=hunter2",
            "--run-dir=r2",
            "-X",
            "linger.ms=5",
        ];
        assert_eq!(
            again(args.map(str::to_owned), None),
            "tributary apply 'my pairs.csv' '--delimiter=;' -X 'sasl.password=***' \
             '-Xssl.key.pem=***' -X linger.ms=5"
        );
    }
}
