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
use crate::cluster::tls::{Judge, OTHER_ADDRESS, reason};
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
        OTHER_ADDRESS => {
            let presented = match refused.map(|certificate| presented(certificate)) {
                Some(names) if !names.is_empty() => names.join(", "),
                _ => "no name at all (the common name does not count)".to_owned(),
            };
            format!(
                "the node's certificate is for {presented}, and neither for the address {address} nor for a name \
                 in --hosts"
            )
        }
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
    let certificate = tls.identity.as_ref().map(|(certificate, _)| certificate.display());
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
mod tests {
    use std::fs;
    use std::path::Path;

    use openssl::asn1::Asn1Time;
    use openssl::bn::BigNum;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::ssl::{SslAcceptor, SslMethod};
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509Builder, X509Name, X509NameBuilder};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::{AddressMap, Consistency, tls};

    /// A certificate with its key, and who it says it is.
    struct Issued {
        certificate: X509,
        key: PKey<Private>,
        name: X509Name,
    }

    /// A certificate until so many days from now, for names and addresses, signed by another or by itself.
    fn issue(common: &str, issuer: Option<&Issued>, days: i64, sans: &[&str]) -> Issued {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", common).unwrap();
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = BigNum::new().unwrap();
        serial.rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(issuer.map_or(&name, |issuer| &issuer.name)).unwrap();
        builder.set_pubkey(&key).unwrap();
        let now = i64::try_from(crate::model::now_us().cast_unsigned() / 1_000_000).unwrap();
        let at = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
        builder.set_not_before(&at(-9)).unwrap();
        builder.set_not_after(&at(days)).unwrap();
        if issuer.is_none() {
            builder
                .append_extension(BasicConstraints::new().critical().ca().build().unwrap())
                .unwrap();
        }
        if !sans.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for san in sans {
                let is_address = san.parse::<IpAddr>().is_ok();
                let _ = if is_address { names.ip(san) } else { names.dns(san) };
            }
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Issued { certificate: builder.build(), key, name }
    }

    /// What comes of a handshake with a node at 127.0.0.1 that shows this certificate.
    async fn shake(node: &Issued, tls: &TlsSettings, host: &str) -> Result<(), String> {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate(&node.certificate).unwrap();
        acceptor.set_private_key(&node.key).unwrap();
        let acceptor = acceptor.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let ssl = Ssl::new(acceptor.context()).unwrap();
            let mut stream = SslStream::new(ssl, stream).unwrap();
            let _ = Pin::new(&mut stream).accept().await;
        });
        let settings = ClusterSettings {
            address_map: AddressMap::default(),
            register: None,
            hosts: vec![format!("{host}:9042")],
            keyspace: "k".into(),
            local_dc: None,
            tls: Some(tls.clone()),
            username: None,
            password: None,
            consistency: Consistency::LocalQuorum,
        };
        let config = tls::client_config(tls, &settings.hosts).unwrap().build();
        let stream = TcpStream::connect(address).await.unwrap();
        let shaken = handshake(config.context(), &settings, tls, address.ip(), stream).await;
        server.await.unwrap();
        shaken.map(drop)
    }

    fn trusting(ca: &Issued, path: &Path, hostname_check: bool) -> TlsSettings {
        fs::write(path, ca.certificate.to_pem().unwrap()).unwrap();
        TlsSettings { ca: Some(path.to_path_buf()), identity: None, hostname_check }
    }

    #[tokio::test]
    async fn a_certificate_is_for_the_address_or_a_name_of_the_contact_points() {
        let folder = tempfile::tempdir().unwrap();
        let ca = issue("ca", None, 9, &[]);
        let checked = trusting(&ca, &folder.path().join("ca"), true);
        let any = TlsSettings { hostname_check: false, ..checked.clone() };
        for (common, sans, host, good) in [
            ("x", &["127.0.0.1"][..], "10.0.0.7", true),
            ("x", &["db1.example"], "db1.example", true),
            ("x", &["DB1.example", "::1"], "db1.EXAMPLE.", true),
            ("x", &["*.db.example"], "db1.db.example", true),
            ("x", &["*.db.example"], "rack.db1.db.example", false),
            ("x", &["d*.db.example"], "db1.db.example", false),
            ("x", &["db1.example", "10.0.0.7"], "db2.example", false),
            // An address among the contact points is good for the node at that address only.
            ("x", &["10.0.0.7"], "10.0.0.7", false),
            ("db1.example", &[], "db1.example", false),
            ("127.0.0.1", &[], "127.0.0.1", false),
        ] {
            let node = issue(common, Some(&ca), 9, sans);
            let shaken = shake(&node, &checked, host).await;
            assert_eq!(shaken.is_ok(), good, "{common} {sans:?} {host}: {shaken:?}");
            if let Err(why) = shaken {
                let names = if sans.is_empty() { "no name at all".into() } else { sans.join(", ") };
                assert!(why.contains(&format!("is for {names}")), "{why}");
                assert!(why.contains("for the address 127.0.0.1 nor"), "{why}");
            }
            assert_eq!(shake(&node, &any, host).await, Ok(()), "{common} {sans:?} {host}");
        }
    }

    #[tokio::test]
    async fn whatever_its_name_a_certificate_is_valid_and_of_a_trusted_ca() {
        let folder = tempfile::tempdir().unwrap();
        let (ca, namesake) = (issue("ca", None, 9, &[]), issue("ca", None, 9, &[]));
        for hostname_check in [true, false] {
            let tls = trusting(&ca, &folder.path().join("ca"), hostname_check);
            for sans in [&["127.0.0.1"][..], &["db1.example"], &["other"]] {
                let expired = issue("x", Some(&ca), -1, sans);
                let stranger = issue("x", Some(&namesake), 9, sans);
                let own = issue("x", None, 9, sans);
                for (node, unlike) in [
                    (&expired, "the certificate of CN=x has expired: it was valid until"),
                    (&stranger, "signed by none of the CAs in"),
                    (&own, "signed by none of the CAs in"),
                ] {
                    let why = shake(node, &tls, "db1.example").await.unwrap_err();
                    let for_others = hostname_check && sans == ["other"];
                    let named = why.contains("is for other");
                    assert!(why.contains(unlike) || for_others && named, "{unlike}: {why}");
                }
            }
        }
    }
}
