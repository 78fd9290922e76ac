//! The address to listen at.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use thiserror::Error;

/// Where to listen: a port, and a host unless that is this machine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    host: Option<String>,
    port: u16,
}

/// Why nothing can be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ListenError {
    /// The address cannot be had.
    #[error("--listen: cannot listen on {listen}: {cause}; name another port (0 finds a free one)")]
    Bind {
        /// The address.
        listen: Listen,
        /// Why not.
        cause: io::Error,
    },
    /// There are no random numbers for a token.
    #[error("--listen: there are no random numbers for the token: {0}")]
    Random(String),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is neither a port nor host:port".to_owned();
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = match port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => port.parse().map_err(|_| wrong())?,
            false => return Err(wrong()),
        };
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']'))
            || host.contains(['/', ' ', '@'])
        {
            return Err(wrong());
        }
        Ok(Self { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "{}:{}", Ipv4Addr::LOCALHOST, self.port),
        }
    }
}

impl Listen {
    /// Takes the address; from here on nobody else can have it.
    pub(super) fn bind(&self) -> Result<TcpListener, ListenError> {
        let bound = self.addresses().and_then(|addresses| {
            let listener = TcpListener::bind(addresses.as_slice())?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        bound.map_err(|cause| ListenError::Bind { listen: self.clone(), cause })
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            None => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))]),
            Some(_) => Ok(self.to_string().to_socket_addrs()?.collect()),
        }
    }

    /// The names that this server goes by, beside its addresses.
    pub(super) fn names(&self) -> Vec<String> {
        let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let own = own.trim().to_owned();
        self.host.iter().cloned().chain((!own.is_empty()).then_some(own)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_for_this_machine() {
        let shown = |text: &str| text.parse::<Listen>().map(|listen| listen.to_string());
        assert_eq!(shown("8088"), Ok("127.0.0.1:8088".to_owned()));
        assert_eq!(shown(":8088"), Ok("127.0.0.1:8088".to_owned()));
        assert_eq!(shown("0"), Ok("127.0.0.1:0".to_owned()));
        for text in ["0.0.0.0:8088", "opsbox:1", "[::1]:8088"] {
            assert_eq!(shown(text), Ok(text.to_owned()));
        }
        for wrong in ["", "host", "host:", "99999", "::1", "http://x:1", "1.2.3.4", "a b:1", "+80"]
        {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_in_use_is_told() {
        let taken = "0".parse::<Listen>().unwrap().bind().unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = port.to_string().parse::<Listen>().unwrap().bind().unwrap_err().to_string();
        assert!(
            error.contains(&format!("127.0.0.1:{port}")) && error.contains("in use"),
            "{error}"
        );
    }
}
