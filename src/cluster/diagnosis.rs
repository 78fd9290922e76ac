//! Why there is no session: each contact point is tried once more, layer by layer, because the driver's
//! one message says neither which layer failed nor where.

mod handshake;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use openssl::ssl::SslContextRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{error::Elapsed, timeout};

use super::ClusterSettings;
use handshake::{handshake, tls_trouble};

/// How long each layer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// With TLS 1.3 a server judges our certificate when the handshake is over for us. Its verdict would get lost if
/// we were writing by then, so it gets this long; a server of CQL says nothing before it is asked.
const HINDSIGHT: Duration = Duration::from_millis(500);

/// An OPTIONS request of CQL, version 4, which every server answers before any login.
const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
/// A response, its version aside, and the opcode of SUPPORTED.
const RESPONSE: u8 = 0x80;
const SUPPORTED: u8 = 6;
const ERROR: u8 = 0;

/// How far a connection comes; the later the layer, the more is well before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// The host's name has no address.
    Name,
    /// No connection.
    Tcp,
    /// No encryption that both sides accept.
    Tls,
    /// No answer in Cassandra's language.
    Cql,
}

impl Layer {
    /// What is worth a look.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Name => "Check the spelling in --hosts, and the name service of this machine",
            Self::Tcp => {
                "Check --hosts (host:port,…), that Cassandra listens there for CQL \
                 (native_transport_port), and that no firewall is between"
            }
            Self::Tls => "See --tls, --tls-ca, --tls-cert and --tls-no-hostname-check",
            Self::Cql => "Check that the port in --hosts is that of CQL, and the state of the node",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Cql => "CQL",
        })
    }
}

/// A contact point that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The contact point.
    pub(crate) host: String,
    /// The layer that failed.
    pub(crate) layer: Layer,
    pub why: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fails at the layer {}: {}", self.host, self.layer, self.why)
    }
}

/// Tries every contact point. One at which nothing is wrong is told with what the driver said of it.
pub(super) async fn diagnose(
    settings: &ClusterSettings,
    context: Option<&SslContextRef>,
    driver: &str,
) -> Vec<Tried> {
    let tries = settings.hosts.iter().map(async |host| {
        let (layer, why) = match try_host(host, settings, context).await {
            Ok(()) => (Layer::Cql, driver.to_owned()),
            Err(failed) => failed,
        };
        Tried { host: host.clone(), layer, why }
    });
    join_all(tries).await
}

type Failed = (Layer, String);

async fn try_host(
    host: &str,
    settings: &ClusterSettings,
    context: Option<&SslContextRef>,
) -> Result<(), Failed> {
    let (address, stream) = connect(host).await?;
    let (Some(context), Some(tls)) = (context, &settings.tls) else {
        return ask(stream).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => (Layer::Cql, silent()),
            io::ErrorKind::InvalidData => (Layer::Cql, "what answers is not CQL".to_owned()),
            // A server that wants TLS takes the request for a broken handshake.
            _ => {
                let why = "the connection is closed instead of an answer in CQL; the node may want TLS (--tls)";
                (Layer::Tls, why.to_owned())
            }
        });
    };
    let trouble = |error: &io::Error| tls_trouble(error, tls);
    let handshake = handshake(context, settings, tls, address.ip(), stream).await;
    let mut stream = handshake.map_err(|why| (Layer::Tls, why))?;
    if let Ok(judged) = timeout(HINDSIGHT, stream.read(&mut [0])).await {
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(match judged {
            Ok(0) => (Layer::Tls, trouble(&closed)),
            Ok(_) => (Layer::Cql, "what answers is not CQL".to_owned()),
            Err(error) => (Layer::Tls, trouble(&error)),
        });
    }
    ask(stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => (Layer::Cql, silent()),
        io::ErrorKind::InvalidData => (Layer::Cql, "what answers is not CQL".to_owned()),
        _ => (Layer::Tls, trouble(&error)),
    })
}

fn silent() -> String {
    format!("it accepts connections, but does not answer in CQL within {} s", PATIENCE.as_secs())
}

async fn connect(host: &str) -> Result<(SocketAddr, TcpStream), Failed> {
    let unknown = |why: String| (Layer::Name, format!("this name has no address ({why})"));
    let addresses: Vec<_> =
        within(lookup_host(host)).await.map_err(|error| unknown(error.to_string()))?.collect();
    let mut failed = unknown("the name service knows none".to_owned());
    for address in addresses {
        match within(TcpStream::connect(address)).await {
            Ok(stream) => return Ok((address, stream)),
            Err(error) => {
                let why = match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        format!("{address} refuses connections; nothing listens there")
                    }
                    io::ErrorKind::TimedOut => {
                        format!("{address} does not answer within {} s", PATIENCE.as_secs())
                    }
                    _ => format!("{address}: {error}"),
                };
                failed = (Layer::Tcp, why);
            }
        }
    }
    Err(failed)
}

async fn within<T>(action: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_: Elapsed| io::Error::from(io::ErrorKind::TimedOut);
    timeout(PATIENCE, action).await.map_err(late)?
}

/// Whether CQL is spoken; what answers something else is invalid data.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut header = [0; 9];
    within(async {
        stream.write_all(&OPTIONS).await?;
        stream.flush().await?;
        stream.read_exact(&mut header).await.map(drop)
    })
    .await?;
    // A server that knows other versions only says so in one of them.
    let is_cql = header[0] & RESPONSE != 0 && [SUPPORTED, ERROR].contains(&header[4]);
    if is_cql { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::{TlsSettings, tls};

    fn settings(hosts: &[String]) -> ClusterSettings {
        ClusterSettings {
            hosts: hosts.to_vec(),
            keyspace: "k".into(),
            ..ClusterSettings::default()
        }
    }

    /// Answers every connection with these bytes.
    async fn server(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 9]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn each_layer_is_told_from_the_others() {
        const CQL: &[u8] = &[0x84, 0, 0, 0, SUPPORTED, 0, 0, 0, 0];
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let hosts = [
            "no-such-host.invalid:9042".to_owned(),
            closed.to_string(),
            server(b"\x15\x03\x03\x00\x02\x02\x50").await,
            server(b"HTTP/1.1 400 Bad Request\r\n").await,
            server(CQL).await,
        ];
        let plain = settings(&hosts);
        let tried = diagnose(&plain, None, "what the driver says").await;
        let layers: Vec<_> = tried.iter().map(|tried| tried.layer).collect();
        assert_eq!(layers, [Layer::Name, Layer::Tcp, Layer::Tls, Layer::Cql, Layer::Cql]);
        assert!(tried[1].why.contains("refuses connections"), "{}", tried[1]);
        assert!(tried[2].why.contains("may want TLS (--tls)"), "{}", tried[2]);
        assert_eq!(tried[3].why, "what answers is not CQL");
        assert_eq!(tried[4].why, "what the driver says");

        let encrypted = TlsSettings { ca: None, identity: None, hostname_check: true };
        let config = tls::client_config(&encrypted, &hosts).unwrap().build();
        let encrypted = ClusterSettings { tls: Some(encrypted), ..settings(&hosts[3..]) };
        let tried = diagnose(&encrypted, Some(config.context()), "").await;
        assert!(tried[0].why.contains("leave out --tls"), "{}", tried[0]);
    }
}
