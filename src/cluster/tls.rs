//! TLS to the nodes: whom we trust, who we are, and whose certificate a node may show.
//!
//! The driver knows a node by its address alone, so a certificate is good if it is for the address that was
//! connected to, or for one of the names among the contact points.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use thiserror::Error as ThisError;

use super::TlsSettings;

/// Files that cannot be used for TLS.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {cause}", path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("the {what} {} is not usable: {why}", path.display())]
    Unusable {
        /// What it should hold.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system trusts nobody.
    #[error("this machine has no certificates of CAs ({why}): name a file of them with --tls-ca")]
    NoSystemCa {
        /// What was tried.
        why: String,
    },
}

/// The configuration of every connection to these hosts.
pub(super) fn client_config(
    settings: &TlsSettings,
    hosts: &[String],
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let nodes = Nodes {
        roots: roots(settings)?,
        algorithms: provider.signature_verification_algorithms,
        names: settings.hostname_check.then(|| names(hosts)),
    };
    let unusable = |path: &PathBuf, error: Error| TlsError::Unusable {
        what: "client certificate",
        path: path.clone(),
        why: error.to_string(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::NoSystemCa { why: error.to_string() })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(nodes));
    let config = match &settings.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(certificates("client certificate", cert)?, private_key(key)?)
            .map_err(|error| unusable(cert, error))?,
    };
    Ok(Arc::new(config))
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &settings.ca else {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        let why = found.errors.first().map_or("none was found".to_owned(), ToString::to_string);
        return if added > 0 { Ok(roots) } else { Err(TlsError::NoSystemCa { why }) };
    };
    for certificate in certificates("file of CAs", path)? {
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            what: "file of CAs",
            path: path.clone(),
            why: error.to_string(),
        })?;
    }
    Ok(roots)
}

fn certificates(
    what: &'static str,
    path: &PathBuf,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::Unusable {
            what,
            path: path.clone(),
            why: "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned(),
        }),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(pem_error(what, path, &error, "")),
    }
}

fn private_key(path: &PathBuf) -> Result<PrivateKeyDer<'static>, TlsError> {
    let none = "it holds no private key in PEM, or an encrypted one (openssl pkey takes the \
                passphrase off)";
    PrivateKeyDer::from_pem_file(path).map_err(|error| pem_error("private key", path, &error, none))
}

fn pem_error(what: &'static str, path: &Path, error: &pem::Error, none: &str) -> TlsError {
    let path = path.to_path_buf();
    match error {
        pem::Error::Io(cause) => {
            // A copy, because the original cannot be taken out.
            let cause = cause
                .raw_os_error()
                .map_or_else(|| io::Error::from(cause.kind()), io::Error::from_raw_os_error);
            TlsError::Unreadable { what, path, cause }
        }
        pem::Error::NoItemsFound => TlsError::Unusable { what, path, why: none.to_owned() },
        // Others would repeat what stands in the file.
        _ => TlsError::Unusable { what, path, why: "it is not PEM".to_owned() },
    }
}

/// The names among the contact points; addresses are known anyway.
fn names(hosts: &[String]) -> Vec<ServerName<'static>> {
    let name = |host: &String| {
        let (name, _) = host.rsplit_once(':')?;
        let name = ServerName::try_from(name.to_owned()).ok()?;
        matches!(name, ServerName::DnsName(_)).then_some(name)
    };
    hosts.iter().filter_map(name).collect()
}

/// Judges the certificates of nodes.
#[derive(Debug)]
struct Nodes {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
    /// The names that are good beside the node's address; none if any certificate of a trusted CA is.
    names: Option<Vec<ServerName<'static>>>,
}

impl ServerCertVerifier for Nodes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let (roots, algorithms) = (&self.roots, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            roots,
            intermediates,
            now,
            algorithms,
        )?;
        if let Some(names) = &self.names {
            let named = || names.iter().any(|name| verify_server_name(&certificate, name).is_ok());
            let by_address = verify_server_name(&certificate, server_name);
            if by_address.is_err() && !named() {
                return by_address.map(|()| ServerCertVerified::assertion());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
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
        assert_eq!(names[0].to_str(), "db1.example");
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
        for (file, said) in [
            ("missing", "cannot read the file of CAs /"),
            ("empty", "holds no certificate"),
            ("broken", "it is not PEM"),
            ("other", "is not usable: "),
        ] {
            let error = client_config(&tls(file), &[]).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains(file), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let key = private_key(&path("empty")).unwrap_err().to_string();
        assert!(key.contains("holds no private key"), "{key}");
    }
}
