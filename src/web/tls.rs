//! TLS of the public listener: certificate and key in PEM, rustls with aws-lc-rs, TLS 1.2 and 1.3.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {cause}")]
pub struct TlsError {
    file: String,
    cause: String,
}

/// The server's side of TLS with this certificate chain and key.
///
/// # Errors
/// A file cannot be read, or the key does not belong to the certificate.
pub fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let error = |file: &Path, cause: String| TlsError {
        file: file.display().to_string(),
        cause,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|cause| error(certificate, cause.to_string()))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|cause| error(key, cause.to_string()))?;
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|cause| error(certificate, cause.to_string()))
}
