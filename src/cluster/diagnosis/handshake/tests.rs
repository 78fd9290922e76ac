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
use crate::cluster::tls;

/// A certificate with its key, and who it says it is.
struct Issued {
    certificate: X509,
    key: PKey<Private>,
    name: X509Name,
}

/// A certificate until so many days from now, for names and addresses, signed by another or by itself.
fn issue(common: &str, issuer: Option<&Issued>, days: i64, sans: &[&str]) -> Issued {
    issue_of(X509_V3, common, issuer, days, sans)
}

/// One of a version of X.509.
fn issue_of(
    version: i32,
    common: &str,
    issuer: Option<&Issued>,
    days: i64,
    sans: &[&str],
) -> Issued {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", common).unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(version).unwrap();
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
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
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
        hosts: vec![format!("{host}:9042")],
        keyspace: "k".into(),
        tls: Some(tls.clone()),
        ..ClusterSettings::default()
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
async fn a_certificate_of_version_1_is_told_to_have_no_names() {
    let folder = tempfile::tempdir().unwrap();
    let ca = issue("ca", None, 9, &[]);
    let node = issue_of(0, "db1.example", Some(&ca), 9, &[]);
    let tls = trusting(&ca, &folder.path().join("ca"), true);
    let why = shake(&node, &tls, "db1.example").await.unwrap_err();
    assert!(why.contains("is of X.509 version 1, which holds no names"), "{why}");
    assert!(why.contains("one of version 3 that is for that address"), "{why}");
    let any = TlsSettings { hostname_check: false, ..tls };
    assert_eq!(shake(&node, &any, "db1.example").await, Ok(()));
}

#[test]
fn a_certificate_of_ours_that_has_expired_is_told_when_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own");
    let told = |days| {
        fs::write(&path, issue("own", None, days, &[]).certificate.to_pem().unwrap()).unwrap();
        let tls = TlsSettings {
            ca: None,
            identity: Some((path.clone(), path.clone())),
            hostname_check: true,
        };
        tls_trouble(&io::ErrorKind::UnexpectedEof.into(), &tls)
    };
    let expired = told(-1);
    assert!(expired.contains("own, which has expired: it was valid until "), "{expired}");
    assert!(!told(9).contains("expired"));
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
