//! TLS of the public listener: certificate and key in PEM, rustls with aws-lc-rs, TLS 1.2 and 1.3.
//!
//! The files are read at start and again when they change, so that a renewed certificate needs no restart. A file
//! that cannot be used, or a certificate whose key has not been written yet, changes nothing: the old pair goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct TlsError {
    file: String,
    cause: String,
}

/// The certificate chain and key in use, and the files they came from.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    tried: Mutex<Stamp>,
}

/// What tells that a file was written: time and length of the certificate's and the key's.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificates {
    /// Reads both files.
    ///
    /// # Errors
    /// A file cannot be read, or the key does not belong to the certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // The stamp comes first: what is written between the two is read once more.
        let stamp = stamp(certificate, key);
        let pair = read(certificate, key, &provider)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            provider,
            current: ArcSwap::from_pointee(pair),
            tried: Mutex::new(stamp),
        }))
    }

    /// The server's side of TLS, which asks for the pair at every handshake.
    ///
    /// # Errors
    /// The provider of cryptography speaks none of the TLS versions.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_no_client_auth().with_cert_resolver(resolver))
            .map_err(|cause| error(&self.certificate, cause.to_string()))
    }

    /// Reads the files again if one was written since the last look; answers whether a new pair is in use.
    ///
    /// # Errors
    /// The files have changed and cannot be used; the old pair stays. Said once for each change.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let stamp = stamp(&self.certificate, &self.key);
        let changed = std::mem::replace(&mut *self.tried.lock(), stamp) != stamp;
        if !changed {
            return Ok(false);
        }
        let pair = read(&self.certificate, &self.key, &self.provider)?;
        self.current.store(Arc::new(pair));
        Ok(true)
    }

    /// The server's own certificate, DER.
    pub fn end_entity(&self) -> Option<CertificateDer<'static>> {
        self.current.load().cert.first().cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn error(file: &Path, cause: String) -> TlsError {
    TlsError {
        file: file.display().to_string(),
        cause,
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|cause| error(certificate, cause.to_string()))?;
    if chain.is_empty() {
        return Err(error(certificate, "it holds no certificate".to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|cause| error(key, cause.to_string()))?;
    CertifiedKey::from_der(chain, private, provider)
        .map_err(|cause| error(certificate, cause.to_string()))
}
