//! Who may ask: the token, and requests that a page of somebody else's made.
//!
//! The page lives at an address without a secret, so any page in the operator's browser could send requests to
//! it. They are told by what browsers always say truthfully: `Host`, which names somebody else's name when that was made
//! to point here (DNS rebinding), and `Origin`, which names the page that asks.

use std::fmt;
use std::net::IpAddr;

use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// As much chance as nobody has.
const TOKEN_BYTES: usize = 16;

/// What gives orders by HTTP their right. It is made anew for each session of a run.
#[derive(Clone)]
pub(crate) struct Token(Secret);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(Secret::new(random_hex()?)))
    }

    /// As text, for the address that is told to the operator.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether a header `Authorization: Bearer …` holds it; takes the same time for every wrong one of its length.
    pub(crate) fn is_in(&self, authorization: &str) -> bool {
        let given = authorization.strip_prefix("Bearer ").unwrap_or_default();
        given.as_bytes().ct_eq(self.0.expose().as_bytes()).into()
    }
}

/// Random bytes in hexadecimal digits.
pub(super) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a `Host` header names this server: an address, which nobody else can make point elsewhere, localhost, or one
/// of our own names. The port may differ: it does through an SSH tunnel.
pub(super) fn is_own_host(host: &str, names: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a request comes from our own page: its origin is the host that it asks. Without an origin it does not come
/// from a browser.
pub(super) fn is_own_origin(origin: Option<&str>, host: &str) -> bool {
    let Some(origin) = origin else { return true };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::random().unwrap();
        assert_eq!(token.expose().len(), 32);
        assert_ne!(token.expose(), Token::random().unwrap().expose());
        assert!(token.is_in(&format!("Bearer {}", token.expose())));
        let cut = &token.expose()[..31];
        for wrong in ["", "Bearer ", "Bearer 0", token.expose(), &format!("Bearer {cut}")] {
            assert!(!token.is_in(wrong), "{wrong}");
        }
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn names_that_others_could_point_here_are_not_ours() {
        let names = ["opsbox".to_owned()];
        for own in [
            "127.0.0.1",
            "127.0.0.1:8088",
            "[::1]:8088",
            "localhost:1",
            "LOCALHOST",
            "OpsBox:8088",
            "10.0.0.7:80",
        ] {
            assert!(is_own_host(own, &names), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "evil.example:8088",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8088",
            "opsbox.evil.example",
            "user@localhost",
            ":8088",
        ] {
            assert!(!is_own_host(other, &names), "{other}");
        }
    }

    #[test]
    fn only_our_own_page_may_ask() {
        let host = "127.0.0.1:8088";
        assert!(is_own_origin(None, host));
        assert!(is_own_origin(Some("http://127.0.0.1:8088"), host));
        assert!(is_own_origin(Some("https://127.0.0.1:8088"), host));
        for other in ["null", "", "http://127.0.0.1:9999", "http://evil.example", "127.0.0.1:8088"]
        {
            assert!(!is_own_origin(Some(other), host), "{other}");
        }
    }
}
