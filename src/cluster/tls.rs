//! TLS to the nodes: whom we trust, who we are, and whose certificate a node may show.
//!
//! The driver has OpenSSL compare a certificate with the address that it connects to. When that is all that is wrong with
//! a certificate, [`Judge`] looks further: it is good, too, if it is for one of the names among the contact points.
//! The names are those that the user gave, so nothing from the network is trusted to say who a node is.

use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::stack::Stack;
use openssl::x509::store::{X509StoreBuilder, X509StoreBuilderRef};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};
use thiserror::Error as ThisError;

use super::TlsSettings;

/// What OpenSSL calls `X509_V_ERR_IP_ADDRESS_MISMATCH`: all is well but the address.
pub(super) const OTHER_ADDRESS: i32 = 64;

/// What a key store begins with as Java made them before version 9; later ones are PKCS #12.
const JAVA_KEY_STORE: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

/// OpenSSL's variables of the environment that say where the CAs of this machine are.
const CA_FILE: &str = "SSL_CERT_FILE";
const CA_FOLDERS: &str = "SSL_CERT_DIR";

/// Files that cannot be used for TLS.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {cause}", path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("the {what} {} is not usable: {why}", path.display())]
    Unusable {
        /// What it should hold.
        what: &'static str,
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// OpenSSL does not do what every use of it needs.
    #[error("OpenSSL cannot be used: {why}")]
    Library {
        /// What it says.
        why: String,
    },
    /// The system trusts nobody.
    #[error("this machine has no certificates of CAs ({why}): name a file of them with --tls-ca")]
    NoSystemCa {
        /// What was tried.
        why: String,
    },
}

impl From<ErrorStack> for TlsError {
    fn from(errors: ErrorStack) -> Self {
        Self::Library { why: reason(&errors) }
    }
}

/// What is wrong, without the lines of OpenSSL's source.
pub(super) fn reason(errors: &ErrorStack) -> String {
    let reason = errors.errors().iter().find_map(|error| error.reason());
    reason.unwrap_or("no reason is given").to_owned()
}

/// The configuration of every connection to these hosts.
pub(super) fn client_config(
    settings: &TlsSettings,
    hosts: &[String],
) -> Result<SslConnectorBuilder, TlsError> {
    let mut config = SslConnector::builder(SslMethod::tls_client())?;
    config.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    // Instead of those that OpenSSL would trust by itself.
    let mut trusted = X509StoreBuilder::new()?;
    add_roots(&mut trusted, settings)?;
    config.set_cert_store(trusted.build());
    let judge = Judge::new(settings, hosts);
    config.set_verify_callback(SslVerifyMode::PEER, move |good, chain| judge.accepts(good, chain));
    if let Some((cert, key_path)) = &settings.identity {
        let certificates = certificates("client certificate", cert)?;
        let key = private_key(key_path)?;
        let own = certificates.first().cloned();
        identify(&mut config, certificates, &key).map_err(|errors| {
            let is_other =
                own.is_some_and(|own| !own.public_key().is_ok_and(|of| of.public_eq(&key)));
            let why = match is_other {
                true => format!("the private key {} does not belong to it", key_path.display()),
                false => reason(&errors),
            };
            TlsError::Unusable { what: "client certificate", path: cert.clone(), why }
        })?;
    }
    Ok(config)
}

/// Shows these certificates, of which the first is ours, to nodes that ask.
fn identify(
    config: &mut SslConnectorBuilder,
    certificates: Vec<X509>,
    key: &PKey<Private>,
) -> Result<(), ErrorStack> {
    let mut certificates = certificates.into_iter();
    if let Some(own) = certificates.next() {
        config.set_certificate(&own)?;
    }
    certificates.try_for_each(|issuer| config.add_extra_chain_cert(issuer))?;
    config.set_private_key(key)?;
    config.check_private_key()
}

/// Our own certificate as a message names it: where it is, and whether it has expired.
pub(super) fn own_certificate(path: &Path) -> String {
    let certificates = certificates("client certificate", path).unwrap_or_default();
    let (own, now) = (certificates.first(), Asn1Time::days_from_now(0));
    match own.zip(now.ok()).filter(|(own, now)| own.not_after() < now) {
        Some((own, _)) => {
            format!("{}, which has expired: it was valid until {}", path.display(), own.not_after())
        }
        None => path.display().to_string(),
    }
}

fn add_roots(store: &mut X509StoreBuilderRef, settings: &TlsSettings) -> Result<(), TlsError> {
    let roots = match &settings.ca {
        Some(path) => certificates("file of CAs", path)?,
        None => system_roots()?,
    };
    // Whatever is named is trusted, though somebody else may have signed it.
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    roots.into_iter().try_for_each(|root| store.add_cert(root))?;
    Ok(())
}

/// The CAs of this machine. They are looked for, because an OpenSSL that is compiled in does not know where the
/// distribution keeps them.
fn system_roots() -> Result<Vec<X509>, TlsError> {
    let (file, folders) = system_locations();
    let in_folders = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let files = in_folders.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_file());
    let (mut roots, mut failed) = (Vec::new(), None);
    for path in file.into_iter().chain(files) {
        match certificates("file of CAs", &path) {
            Ok(found) => roots.extend(found),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if roots.is_empty() {
        let why = failed.map_or("none was found".to_owned(), |error| error.to_string());
        return Err(TlsError::NoSystemCa { why });
    }
    Ok(roots)
}

/// The file and the folders with the CAs of this machine; only those of the environment if it names any.
fn system_locations() -> (Option<PathBuf>, Vec<PathBuf>) {
    let file = env::var_os(CA_FILE).map(PathBuf::from);
    let folders = env::var_os(CA_FOLDERS).unwrap_or_default();
    let folders: Vec<_> =
        env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty()).collect();
    if file.is_some() || !folders.is_empty() {
        return (file, folders);
    }
    let found = openssl_probe::probe();
    (found.cert_file, found.cert_dir)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|cause| TlsError::Unreadable { what, path: path.to_owned(), cause })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<X509>, TlsError> {
    let unusable = |why: String| TlsError::Unusable { what, path: path.to_owned(), why };
    let bytes = read(what, path)?;
    match X509::stack_from_pem(&bytes) {
        Ok(certificates) if certificates.is_empty() => {
            let none = "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
            Err(unusable(
                foreign(&bytes, path, "-nokeys -out certificates.pem").unwrap_or(none.into()),
            ))
        }
        Ok(certificates) => Ok(certificates),
        Err(errors) => Err(unusable(broken(&errors))),
    }
}

fn private_key(path: &Path) -> Result<PKey<Private>, TlsError> {
    let pem = read("private key", path)?;
    // Without an answer of ours, OpenSSL would ask for a passphrase at the terminal.
    PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).map_err(|errors| {
        let text = String::from_utf8_lossy(&pem);
        let none = !text.contains("PRIVATE KEY-----") || text.contains("ENCRYPTED");
        let why = match foreign(&pem, path, "-nocerts -nodes -out key.pem") {
            Some(foreign) => foreign,
            None if none => {
                "it holds no private key in PEM, or an encrypted one (openssl pkey takes the \
                             passphrase off)"
                    .to_owned()
            }
            None => broken(&errors),
        };
        TlsError::Unusable { what: "private key", path: path.to_owned(), why }
    })
}

/// What a file is that is no PEM, and what makes PEM of it; of a store, what these options of openssl take.
fn foreign(bytes: &[u8], path: &Path, wanted: &str) -> Option<String> {
    let file = path.display();
    if bytes.starts_with(&JAVA_KEY_STORE) {
        return Some(format!(
            "it is a key store of Java, not PEM: keytool -importkeystore -srckeystore {file} -destkeystore store.p12 \
             -deststoretype PKCS12, then openssl pkcs12 -in store.p12 {wanted}"
        ));
    }
    if Pkcs12::from_der(bytes).is_ok() {
        return Some(format!(
            "it is a store in PKCS #12, not PEM: openssl pkcs12 -in {file} {wanted}"
        ));
    }
    let kind = match (X509::from_der(bytes), PKey::private_key_from_der(bytes)) {
        (Ok(_), _) => "x509",
        (_, Ok(_)) => "pkey",
        _ => return None,
    };
    Some(format!("it is in DER, not PEM: openssl {kind} -inform DER -in {file} -out {kind}.pem"))
}

/// What is wrong with a file that looks like PEM, in words that do not repeat what stands in it.
fn broken(errors: &ErrorStack) -> String {
    let pem = errors.errors().iter().any(|error| error.library() == Some("PEM routines"));
    if pem { "it is not PEM".to_owned() } else { reason(errors) }
}

/// The names among the contact points; addresses are known anyway.
fn names(hosts: &[String]) -> Vec<String> {
    let name = |host: &String| {
        let (name, _) = host.rsplit_once(':')?;
        let is_address = name.starts_with('[') || name.parse::<IpAddr>().is_ok();
        // The dot that says that nothing is to be added is not part of a name in a certificate.
        (!is_address).then(|| name.strip_suffix('.').unwrap_or(name).to_owned())
    };
    hosts.iter().filter_map(name).filter(|name| !name.is_empty()).collect()
}

/// Judges the certificates of nodes.
pub(super) struct Judge {
    /// The names that are good beside the node's address; none if any certificate of a trusted CA is.
    names: Option<Vec<String>>,
}

impl Judge {
    pub(super) fn new(settings: &TlsSettings, hosts: &[String]) -> Self {
        Self { names: settings.hostname_check.then(|| names(hosts)) }
    }

    /// Whether the handshake may go on. OpenSSL asks at each step of its verification, and whenever something is wrong:
    /// a certificate that is let pass here is still refused for anything else.
    pub(super) fn accepts(&self, good: bool, chain: &mut X509StoreContextRef) -> bool {
        if good || chain.error().as_raw() != OTHER_ADDRESS {
            return good;
        }
        let accepted = match (&self.names, chain.current_cert()) {
            (None, _) => true,
            (Some(names), Some(certificate)) => {
                names.iter().any(|name| is_for(certificate, name).unwrap_or(false))
            }
            (Some(_), None) => false,
        };
        if accepted {
            chain.set_error(X509VerifyResult::OK);
        }
        accepted
    }
}

/// Whether the certificate holds this name. OpenSSL compares: it verifies the certificate against itself, so nothing but
/// the name can be wrong.
fn is_for(certificate: &X509Ref, name: &str) -> Result<bool, ErrorStack> {
    let mut expected = X509VerifyParam::new()?;
    expected.set_host(name)?;
    // As everywhere today: the common name does not count, and a star stands for a whole label.
    expected
        .set_hostflags(X509CheckFlags::NEVER_CHECK_SUBJECT | X509CheckFlags::NO_PARTIAL_WILDCARDS);
    expected.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
    let mut itself = X509StoreBuilder::new()?;
    itself.set_param(&expected)?;
    itself.add_cert(certificate.to_owned())?;
    X509StoreContext::new()?
        .init(&itself.build(), certificate, &*Stack::new()?, |context| context.verify_cert())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn names_are_told_from_addresses() {
        let hosts = ["db1.example:9042", "10.0.0.7:9042", "[::1]:9042"].map(str::to_owned);
        let names = names(&hosts);
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0], "db1.example");
    }

    #[test]
    fn files_that_cannot_be_used_are_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let tls =
            |ca: &str| TlsSettings { ca: Some(path(ca)), identity: None, hostname_check: true };
        fs::write(path("empty"), "hunter2").unwrap();
        fs::write(path("broken"), "-----BEGIN CERTIFICATE-----\nhunter2\n").unwrap();
        let secret = "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
        fs::write(path("other"), secret).unwrap();
        fs::write(path("store.jks"), [&JAVA_KEY_STORE[..], b"hunter2"].concat()).unwrap();
        for (file, expected) in [
            ("missing", "cannot read the file of CAs /"),
            ("empty", "holds no certificate"),
            ("broken", "it is not PEM"),
            ("other", "is not usable: "),
            ("store.jks", "it is a key store of Java, not PEM: keytool"),
        ] {
            let error = client_config(&tls(file), &[]).map(drop).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(file), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let key = private_key(&path("empty")).unwrap_err().to_string();
        assert!(key.contains("holds no private key"), "{key}");
    }
}
