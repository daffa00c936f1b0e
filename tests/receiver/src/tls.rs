//! Certificates that are right and certificates that are wrong, made at start.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};

/// What a TLS receiver shows to its clients. In every case [`TlsFiles::ca`] is the authority a client is told to
/// trust, so only [`TlsCase::Good`] and [`TlsCase::ClientCert`] can come to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsCase {
    /// Valid for `127.0.0.1` and `localhost`, signed by the authority.
    Good,
    /// Signed by the authority, valid for `elsewhere.test` only.
    WrongHost,
    /// Signed by the authority, expired in 2001.
    Expired,
    /// Signed by itself.
    SelfSigned,
    /// Signed by another authority of the same name.
    UnknownCa,
    /// As [`TlsCase::Good`], and the client must show a certificate signed by the authority.
    ClientCert,
    /// The handshake never goes on: nothing is read, nothing is sent.
    HandshakeStall,
}

/// PEM files for the client, in a directory that goes away with this value.
#[derive(Debug)]
pub struct TlsFiles {
    directory: PathBuf,
}

impl TlsFiles {
    /// The authority to trust.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// A client certificate signed by the authority.
    pub fn client_cert(&self) -> PathBuf {
        self.directory.join("client.pem")
    }

    /// The key of [`TlsFiles::client_cert`].
    pub fn client_key(&self) -> PathBuf {
        self.directory.join("client-key.pem")
    }

    /// A client certificate signed by the other authority: a receiver that demands one refuses it.
    pub fn stranger_cert(&self) -> PathBuf {
        self.directory.join("stranger.pem")
    }

    /// The key of [`TlsFiles::stranger_cert`]; it does not match [`TlsFiles::client_cert`] either.
    pub fn stranger_key(&self) -> PathBuf {
        self.directory.join("stranger-key.pem")
    }
}

impl Drop for TlsFiles {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's temporary directory, which is where it may stay.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes the certificates of a case.
pub(crate) fn prepare(case: TlsCase) -> Result<(Arc<ServerConfig>, TlsFiles), Error> {
    let authority = new_authority()?;
    let other = new_authority()?;
    let names: &[&str] = match case {
        TlsCase::WrongHost => &["elsewhere.test"],
        _ => &["127.0.0.1", "localhost"],
    };
    let key = KeyPair::generate()?;
    let mut params = leaf(names, ExtendedKeyUsagePurpose::ServerAuth)?;
    if case == TlsCase::Expired {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    let certificate = match case {
        TlsCase::SelfSigned => params.self_signed(&key)?,
        TlsCase::UnknownCa => params.signed_by(&key, &other)?,
        _ => params.signed_by(&key, &authority)?,
    };

    let files = new_directory()?;
    fs::write(files.ca(), authority.pem())?;
    write_client(&authority, &files.client_cert(), &files.client_key())?;
    write_client(&other, &files.stranger_cert(), &files.stranger_key())?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if case == TlsCase::ClientCert {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der().to_vec()))?;
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
        )
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = builder.with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key)?;
    Ok((Arc::new(config), files))
}

fn new_authority() -> Result<CertifiedIssuer<'static, KeyPair>, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "promwrite test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn leaf(names: &[&str], usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "promwrite test receiver");
    params.extended_key_usages = vec![usage];
    Ok(params)
}

fn write_client(
    authority: &CertifiedIssuer<'static, KeyPair>,
    certificate: &Path,
    key: &Path,
) -> Result<(), Error> {
    let pair = KeyPair::generate()?;
    let signed = leaf(&["client.test"], ExtendedKeyUsagePurpose::ClientAuth)?.signed_by(&pair, authority)?;
    fs::write(certificate, signed.pem())?;
    fs::write(key, pair.serialize_pem())?;
    Ok(())
}

fn new_directory() -> Result<TlsFiles, Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("promwrite-receiver-{}-{n}", std::process::id()));
    fs::create_dir(&directory)?;
    Ok(TlsFiles { directory })
}
