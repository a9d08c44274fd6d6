//! Randomness and plain digests: the one place that may ask for random bytes.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Timestamp;

/// The source of random bytes: aws-lc's generator. Handed to whoever needs some.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entropy;

impl Entropy {
    /// Fills `out` with random bytes.
    ///
    /// The generator cannot run dry after start; should the system refuse it, the process ends rather than
    /// go on with guessable secrets.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may ask for random bytes"
    )]
    pub fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            tracing::error!("the system's random generator failed; ending the process");
            std::process::abort();
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A bearer secret of 256 bits in base64url: code, cookie, client secret (standards S028).
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// A public identifier of 144 bits in base64url, 24 characters long, as Keycloak's `sid` is.
    pub fn short_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<18>())
    }

    /// A UUIDv7 (RFC 9562 section 5.7) for `now`: ids sort by creation and are never reused.
    pub fn uuid(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes::<10>())
            .into_uuid()
            .to_string()
    }

    /// A random UUIDv4: for values that must not tell when they were made (`jti`, `auth_epoch`).
    pub fn random_uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes::<16>())
            .into_uuid()
            .to_string()
    }
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// SHA-256 of `data` in base64url: the stored form of a bearer secret, and PKCE's S256 (RFC 7636 section 4.2).
pub fn sha256_base64(data: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(data))
}
