//! Roots and client certificates: read and checked here, because ureq ignores what it cannot parse and panics on a
//! key that is not its certificate's.

use crate::error::{Error, Result};
use crate::send::endpoint::TlsOptions;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// What the files of the options hold.
pub(super) struct Material {
    roots: Vec<CertificateDer<'static>>,
    client: Option<ClientCert>,
    insecure: bool,
}

impl Material {
    /// Reads and checks the files; no file, no I/O.
    pub fn read(options: &TlsOptions) -> Result<Self> {
        let roots = match &options.ca_file {
            Some(path) => certificates("tls_config.ca_file", path)?,
            None => Vec::new(),
        };
        let mut store = RootCertStore::empty();
        for root in &roots {
            if let Err(error) = store.add(root.clone()) {
                let rule = format!("the file holds a certificate that cannot be a root: {error}");
                return Err(refused("tls_config.ca_file", options.ca_file.as_deref(), rule));
            }
        }
        let client = match (&options.cert_file, &options.key_file) {
            (Some(cert), Some(key)) => Some(client_certificate(cert, key)?),
            _ => None,
        };
        Ok(Material { roots, client, insecure: options.insecure_skip_verify })
    }

    /// The configuration of connections. Loads the roots of the system, a few milliseconds.
    ///
    /// # Errors
    ///
    /// A text, where there is no root at all: every certificate would be refused as unknown.
    pub fn config(self) -> std::result::Result<TlsConfig, String> {
        let builder = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(provider())
            .disable_verification(self.insecure)
            .client_cert(self.client);
        if self.insecure {
            return Ok(builder.build());
        }
        let system = rustls_native_certs::load_native_certs();
        let mut roots: Vec<Certificate<'static>> = Vec::new();
        for der in system.certs.iter().chain(&self.roots) {
            roots.push(Certificate::from_der(der).to_owned());
        }
        if roots.is_empty() {
            let errors: Vec<String> = system.errors.iter().map(ToString::to_string).collect();
            let errors = if errors.is_empty() { String::new() } else { format!(": {}", errors.join("; ")) };
            return Err(format!(
                "no certificate authority is known{errors} (set tls_config.ca_file or SSL_CERT_FILE)"
            ));
        }
        Ok(builder.root_certs(RootCerts::Specific(Arc::new(roots))).build())
    }
}

/// Given explicitly everywhere: a process-wide default would be felt by every other user of rustls in the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn refused(field: &'static str, path: Option<&Path>, rule: String) -> Error {
    Error::invalid(field, path.map(|p| p.to_string_lossy()).unwrap_or_default().as_bytes(), rule)
}

fn contents(field: &'static str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| refused(field, Some(path), format!("the file cannot be read: {e}")))
}

fn certificates(field: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = contents(field, path)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(field, Some(path), "the file must hold a certificate in PEM".into())),
        Err(error) => Err(refused(field, Some(path), format!("the file is not PEM: {error}"))),
    }
}

fn client_certificate(cert: &Path, key: &Path) -> Result<ClientCert> {
    let chain = certificates("tls_config.cert_file", cert)?;
    let pem = contents("tls_config.key_file", key)?;
    let refuse_key = |rule: String| refused("tls_config.key_file", Some(key), rule);
    // the parser's own words could quote the key
    let der = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| refuse_key("the file must hold an unencrypted private key in PEM".into()))?;
    if let Err(error) = CertifiedKey::from_der(chain.clone(), der, &provider()) {
        return Err(refuse_key(match error {
            rustls::Error::InconsistentKeys(_) => "the key is not that of tls_config.cert_file".to_owned(),
            error => format!("the key or its certificate cannot be used: {error}"),
        }));
    }
    let chain: Vec<Certificate<'static>> =
        chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let key = PrivateKey::from_pem(&pem).map_err(|_| refuse_key("the private key cannot be used".into()))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}
