//! What must never be seen: passwords, and the settings that hold them.
//!
//! A value that is a secret has a type of its own, so that no derive can print it by accident, and
//! settings that are free text are redacted by their name before they reach a log, a report or a
//! run directory. This module does not encrypt and does not wipe memory: it guards against
//! disclosure by output, not against somebody who reads the process.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "***";

/// A password or the like: it can be used, but neither shown nor serialised.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub(crate) fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the one call that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// Whether a property of this name may hold a secret. In doubt it does.
pub(crate) fn is_secret(key: &str) -> bool {
    const MARKS: [&str; 6] = ["password", "secret", "key", "token", "jaas", "oauthbearer.config"];
    let key = key.to_ascii_lowercase();
    MARKS.iter().any(|mark| key.contains(mark))
}

/// The value of a property as it may be shown.
pub(crate) fn redacted<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret(key) { REDACTED } else { value }
}

/// Properties in the order in which they were given; those that may be secrets are not shown.
#[derive(Clone, Default)]
pub(crate) struct Properties(pub(crate) Vec<(String, String)>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(key, value)| (key, redacted(key, value)));
        f.debug_map().entries(shown).finish()
    }
}

/// An address as it may be shown: whoever stands in it before the host, and what it asks, may be secrets.
pub(crate) fn redacted_address(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (rest, query) = match rest.split_once(['?', '#']) {
        Some((rest, _)) => (rest, format!("?{REDACTED}")),
        None => (rest, String::new()),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => host.to_owned(),
    };
    format!("{scheme}://{host}{path}{query}")
}

/// Whether an address lacks what was not shown of it.
pub(crate) fn is_redacted_address(address: &str) -> bool {
    address.contains(&format!("://{REDACTED}@")) || address.ends_with(&format!("?{REDACTED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_address_is_shown_without_who_asks_and_what() {
        for (address, shown) in [
            ("course.batch.job.request", "course.batch.job.request"),
            ("https://h:8443/hook", "https://h:8443/hook"),
            ("https://me:hunter2@h/a@b?token=x#y", "https://***@h/a@b?***"),
        ] {
            assert_eq!(redacted_address(address), shown);
            assert_eq!(is_redacted_address(shown), shown != address, "{shown}");
            assert!(!is_redacted_address(address), "{address}");
        }
    }

    #[test]
    fn properties_are_redacted_by_name() {
        for key in ["sasl.password", "ssl.KEY.pem", "ssl.keystore.password", "sasl.jaas.config"] {
            assert_eq!(redacted(key, "x"), REDACTED, "{key}");
        }
        assert_eq!(redacted("linger.ms", "5"), "5");
    }
}
