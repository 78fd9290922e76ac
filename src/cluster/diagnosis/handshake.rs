//! The layer TLS: what is wrong with the node's certificate, or, in the node's eyes, with ours.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use openssl::error::{Error as OpensslError, ErrorStack};
use openssl::ssl::{self, Ssl, SslAlert, SslContextRef, SslVerifyMode};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{PATIENCE, within};
use crate::cluster::tls::{Judge, OTHER_ADDRESS, own_certificate, reason};
use crate::cluster::{ClusterSettings, TlsSettings};

/// A handshake as the driver does it, with a node at this address; or what goes wrong.
pub(super) async fn handshake(
    context: &SslContextRef,
    settings: &ClusterSettings,
    tls: &TlsSettings,
    address: IpAddr,
    stream: TcpStream,
) -> Result<SslStream<TcpStream>, String> {
    let refused = Arc::new(OnceLock::new());
    let begin = || {
        let mut ssl = Ssl::new(context)?;
        ssl.param_mut().set_ip(address)?;
        let (judge, refused) = (Judge::new(tls, &settings.hosts), Arc::clone(&refused));
        ssl.set_verify_callback(SslVerifyMode::PEER, move |good, chain| {
            let accepted = judge.accepts(good, chain);
            if let (false, Some(certificate)) = (accepted, chain.current_cert()) {
                let _ = refused.set(certificate.to_owned());
            }
            accepted
        });
        SslStream::new(ssl, stream)
    };
    let mut stream = begin().map_err(|errors: ErrorStack| reason(&errors))?;
    let connected = within(async {
        let connected = Pin::new(&mut stream).connect().await;
        connected.map_err(|error| error.into_io_error().unwrap_or_else(io::Error::other))
    });
    match connected.await {
        Ok(()) => Ok(stream),
        Err(error) => Err(match stream.ssl().verify_result() {
            X509VerifyResult::OK => tls_trouble(&error, tls),
            verdict => distrust(verdict, refused.get(), address, tls),
        }),
    }
}

/// What OpenSSL calls `X509_V_ERR_…`: `UNABLE_TO_GET_ISSUER_CERT`, `CERT_SIGNATURE_FAILURE`,
/// `DEPTH_ZERO_SELF_SIGNED_CERT`, `SELF_SIGNED_CERT_IN_CHAIN`, `UNABLE_TO_GET_ISSUER_CERT_LOCALLY` and
/// `UNABLE_TO_VERIFY_LEAF_SIGNATURE`.
const UNKNOWN_ISSUER: [i32; 6] = [2, 7, 18, 19, 20, 21];

/// How version 3 is written in a certificate: from 0.
const X509_V3: i32 = 2;

/// `X509_V_ERR_CERT_NOT_YET_VALID` and `X509_V_ERR_CERT_HAS_EXPIRED`.
const NOT_YET: i32 = 9;
const EXPIRED: i32 = 10;

/// Why the certificate of the node is refused.
fn distrust(
    verdict: X509VerifyResult,
    refused: Option<&X509>,
    address: IpAddr,
    tls: &TlsSettings,
) -> String {
    match verdict.as_raw() {
        issuer if UNKNOWN_ISSUER.contains(&issuer) => {
            let whom = tls.ca.as_ref().map_or("this machine's CAs".to_owned(), |ca| {
                format!("the CAs in {}", ca.display())
            });
            format!("the node's certificate is signed by none of {whom} (--tls-ca)")
        }
        OTHER_ADDRESS => other_address(refused.map(|certificate| &**certificate), address),
        time @ (NOT_YET | EXPIRED) => {
            let whose = refused.map(|certificate| names(certificate)).unwrap_or_default();
            match (time, refused) {
                (EXPIRED, Some(certificate)) => format!(
                    "the certificate{whose} has expired: it was valid until {}; give the node (or its CA) a new one",
                    certificate.not_after()
                ),
                (NOT_YET, Some(certificate)) => format!(
                    "the certificate{whose} is not valid before {}; check the clock of this machine",
                    certificate.not_before()
                ),
                _ => format!("the node's certificate is not accepted: {}", verdict.error_string()),
            }
        }
        _ => format!(
            "the node's certificate is not accepted: {}; it has to be replaced on the node, or its issuer trusted \
             (--tls-ca)",
            verdict.error_string()
        ),
    }
}

/// Whom a certificate is for that is not for an address.
fn other_address(certificate: Option<&X509Ref>, address: IpAddr) -> String {
    let names = certificate.map(presented).unwrap_or_default();
    let version = certificate.map_or(X509_V3, X509Ref::version);
    // Names are an extension, and those came with version 3.
    if version < X509_V3 {
        return format!(
            "the node's certificate is of X.509 version {}, which holds no names, so it is not for the address {address}: \
             give the node one of version 3 that is for that address or for a name in --hosts (subjectAltName)",
            version + 1
        );
    }
    let presented = match names.is_empty() {
        true => "no name at all (the common name does not count)".to_owned(),
        false => names.join(", "),
    };
    format!(
        "the node's certificate is for {presented}, and neither for the address {address} nor for a name in --hosts"
    )
}

/// Whose a certificate is, as it says itself.
fn names(certificate: &X509Ref) -> String {
    let entries = certificate.subject_name().entries();
    let entries = entries.filter_map(|entry| {
        let name = entry.object().nid().short_name().ok()?;
        Some(format!("{name}={}", entry.data().to_string().ok()?))
    });
    let names = entries.collect::<Vec<_>>().join(", ");
    if names.is_empty() { names } else { format!(" of {names}") }
}

/// The names and addresses that a certificate is for.
fn presented(certificate: &X509Ref) -> Vec<String> {
    let names = certificate.subject_alt_names();
    let address = |bytes: &[u8]| {
        let address = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        address.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
    };
    let shown = names.iter().flatten().filter_map(|name| {
        let address = || Some(address(name.ipaddress()?)?.to_string());
        name.dnsname().map(str::to_owned).or_else(address)
    });
    shown.collect()
}

/// What OpenSSL says to an answer that is no TLS.
const NOT_TLS: [&str; 5] = [
    "wrong version number",
    "packet length too long",
    "bad record type",
    "record layer failure",
    "unexpected message",
];

/// What OpenSSL says, if it is not just that the connection is closed.
fn openssl_error(error: &io::Error) -> Option<&OpensslError> {
    let errors = error.get_ref()?.downcast_ref::<ssl::Error>()?.ssl_error()?;
    let first = errors.errors().first()?;
    (first.reason() != Some("unexpected eof while reading")).then_some(first)
}

/// Why there is no encryption, as far as the connection tells.
pub(super) fn tls_trouble(error: &io::Error, tls: &TlsSettings) -> String {
    let certificate = tls.identity.as_ref().map(|(certificate, _)| own_certificate(certificate));
    let Some(cause) = openssl_error(error) else {
        return match (error.kind(), certificate) {
            (io::ErrorKind::TimedOut, _) => {
                format!("no answer to the handshake within {} s", PATIENCE.as_secs())
            }
            (_, None) => {
                "the connection is closed during the handshake; the node may want a client \
                          certificate (--tls-cert, --tls-key)"
                    .to_owned()
            }
            (_, Some(certificate)) => format!(
                "the connection is closed during the handshake; the node may not accept our client certificate \
                 {certificate}"
            ),
        };
    };
    let reason = cause.reason().unwrap_or("no reason is given");
    // `tlsv13 alert certificate required`
    let alert = reason.rsplit_once("alert ").map_or(reason, |(_, alert)| alert);
    match (SslAlert::from_reason_code(cause.reason_code()), certificate) {
        (
            Some(
                SslAlert::CERTIFICATE_REQUIRED
                | SslAlert::BAD_CERTIFICATE
                | SslAlert::CERTIFICATE_UNKNOWN
                | SslAlert::UNKNOWN_CA
                | SslAlert::ACCESS_DENIED
                | SslAlert::HANDSHAKE_FAILURE,
            ),
            certificate,
        ) => match certificate {
            None => format!("the node wants a client certificate (--tls-cert, --tls-key; {alert})"),
            Some(certificate) => {
                format!("the node refuses our client certificate {certificate} ({alert})")
            }
        },
        // Some servers find no better word for a certificate that they do not trust.
        (Some(_), None) => format!("the node ends the handshake ({alert})"),
        (Some(_), Some(certificate)) => format!(
            "the node ends the handshake ({alert}); it may not accept our client certificate {certificate}"
        ),
        (None, _) if NOT_TLS.contains(&reason) => {
            "the node does not speak TLS: leave out --tls".to_owned()
        }
        (None, _) => format!("the handshake fails: {reason}"),
    }
}

#[cfg(test)]
mod tests;
