//! Limits that the shell or a service manager sets for this process, and that end it without a word.

use std::fs;

/// Address space that commands do well with; little of it is ever memory.
const ENOUGH_BYTES: u64 = 1 << 30;

/// What may become of this process by its limits, if that is to be feared.
pub(super) fn doubt() -> Option<String> {
    of(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// By what the kernel tells: a name, and the soft and the hard limit.
fn of(limits: &str) -> Option<String> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let bytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    (bytes < ENOUGH_BYTES).then(|| {
        format!(
            "this process may use no more than {} MiB of address space (ulimit -v, LimitAS=): where that is too little, it is \
             aborted or cannot start a thread. Nothing is lost by that, and resume goes on; raise it to {} MiB",
            bytes >> 20,
            ENOUGH_BYTES >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_for_addresses_is_told() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max cpu time              1                    unlimited            seconds   \n\
                 Max address space         {soft}             unlimited            bytes     \n"
            )
        };
        assert!(of(&limits("314572800")).unwrap().contains("no more than 300 MiB"));
        assert_eq!(
            [of(&limits("unlimited")), of(&limits("8589934592")), of("")],
            [None, None, None]
        );
    }
}
