//! Signatures of tokens, with keys that stay parsed.
//!
//! `jsonwebtoken::encode` parses the key at each call and takes no signer, which costs RS256 more than half its
//! speed; so header and claims are joined here and signed by the parsed aws-lc-rs key. `jsonwebtoken` verifies.
//!
//! Invariant: signing is visible to `oidc::issue` alone.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use crate::kernel::sha256_base64;
use crate::store::StoreError;

/// The algorithms that tokens are signed with (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the default, because every client knows it.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them, in the order in which keys are published.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The `alg` word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The `alg` word, read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
    }
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key, parsed once. No `Debug`, and the private part leaves it once, from [`SigningKey::generate`], to be sealed.
pub struct SigningKey {
    /// The encoded headers of the types that tokens have, so that they are not written each time.
    headers: [(&'static str, String); 2],
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
    jwk: Value,
    verifier: DecodingKey,
    random: SystemRandom,
}

fn broken(what: &str) -> StoreError {
    StoreError::Sealed(what.to_owned())
}

impl SigningKey {
    /// Makes a new key; answers it with its PKCS#8 form for sealing.
    ///
    /// # Errors
    /// The random generator fails.
    pub fn generate(algorithm: Algorithm) -> Result<(Self, Vec<u8>), StoreError> {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)
                    .map_err(|_| broken("no RSA key could be made"))?;
                let der: Pkcs8V1Der<'_> = pair
                    .as_der()
                    .map_err(|_| broken("the RSA key has no PKCS#8 form"))?;
                der.as_ref().to_vec()
            }
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| broken("no EC key could be made"))?
                    .as_ref()
                    .to_vec()
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random)
                .map_err(|_| broken("no Ed25519 key could be made"))?
                .as_ref()
                .to_vec(),
        };
        Ok((Self::from_pkcs8(algorithm, &pkcs8)?, pkcs8))
    }

    /// Parses a key.
    ///
    /// # Errors
    /// The bytes are not a private key of that algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, StoreError> {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let refused = |_| broken("a signing key does not parse");
        let (pair, public) = match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let key = pair.public_key();
                let (n, e) = (
                    key.modulus().big_endian_without_leading_zero(),
                    key.exponent().big_endian_without_leading_zero(),
                );
                let public = json!({ "e": b64(e), "kty": "RSA", "n": b64(n) });
                (Pair::Rsa(pair), public)
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                        .map_err(refused)?;
                let point = pair.public_key().as_ref();
                let (x, y) = (
                    point.get(1..33).unwrap_or_default(),
                    point.get(33..65).unwrap_or_default(),
                );
                let public = json!({ "crv": "P-256", "kty": "EC", "x": b64(x), "y": b64(y) });
                (Pair::Ecdsa(pair), public)
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(refused)?;
                let public =
                    json!({ "crv": "Ed25519", "kty": "OKP", "x": b64(pair.public_key().as_ref()) });
                (Pair::Ed25519(pair), public)
            }
        };
        // RFC 7638: the members above are the required ones in lexicographic order, so this text is canonical.
        let kid = sha256_base64(public.to_string().as_bytes());
        let mut jwk = public;
        if let Value::Object(members) = &mut jwk {
            members.insert("kid".into(), json!(kid));
            members.insert("alg".into(), json!(algorithm.as_str()));
            members.insert("use".into(), json!("sig"));
        }
        let verifier = serde_json::from_value(jwk.clone())
            .ok()
            .and_then(|jwk| DecodingKey::from_jwk(&jwk).ok())
            .ok_or_else(|| broken("a signing key has no public half"))?;
        let header = |typ: &'static str| {
            let header = json!({ "alg": algorithm.as_str(), "typ": typ, "kid": kid });
            (typ, URL_SAFE_NO_PAD.encode(header.to_string()))
        };
        Ok(Self {
            headers: [header("JWT"), header("at+jwt")],
            kid,
            algorithm,
            pair,
            jwk,
            verifier,
            random: SystemRandom::new(),
        })
    }

    /// The key's id: its thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as a JWK.
    pub fn public_jwk(&self) -> &Value {
        &self.jwk
    }

    /// The public half of an RSA key as a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), in DER.
    pub fn rsa_public_der(&self) -> Option<PublicKeyX509Der<'static>> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().ok(),
            Pair::Ecdsa(_) | Pair::Ed25519(_) => None,
        }
    }

    /// The public half, ready to verify with.
    pub(super) fn verifier(&self) -> &DecodingKey {
        &self.verifier
    }

    /// Signs header and written claims as a compact JWS (RFC 7515 section 7.1).
    pub(super) fn sign(&self, typ: &str, claims: &[u8]) -> Result<String, StoreError> {
        let (_, header) = self
            .headers
            .iter()
            .find(|(known, _)| *known == typ)
            .ok_or_else(|| broken("a token of an unknown type"))?;
        let mut token = String::with_capacity(header.len() + claims.len() / 3 * 4 + 352);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let failed = |_| broken("a signature could not be made");
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &self.random,
                    token.as_bytes(),
                    &mut signature,
                )
                .map_err(failed)?;
                append(&mut token, &signature);
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&self.random, token.as_bytes()).map_err(failed)?;
                append(&mut token, signature.as_ref());
            }
            Pair::Ed25519(pair) => {
                let signature = pair.sign(token.as_bytes());
                append(&mut token, signature.as_ref());
            }
        }
        Ok(token)
    }
}

fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

/// `at_hash` of an access token: the left half of its SHA-256 (OpenID Connect Core 3.1.3.6).
///
/// EdDSA with Ed25519 hashes with SHA-512 inside, but clients commonly take SHA-512's half there too.
pub(super) fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let digest = match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => &aws_lc_rs::digest::SHA256,
        Algorithm::EdDsa => &aws_lc_rs::digest::SHA512,
    };
    let hash = aws_lc_rs::digest::digest(digest, access_token.as_bytes());
    let half = hash.as_ref().len() / 2;
    URL_SAFE_NO_PAD.encode(hash.as_ref().get(..half).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_what_a_stranger_verifies() {
        for algorithm in Algorithm::ALL {
            let (key, pkcs8) = SigningKey::generate(algorithm).unwrap();
            assert_eq!(
                SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap().kid(),
                key.kid()
            );
            let token = key
                .sign("JWT", br#"{"sub":"alice","exp":4102444800}"#)
                .unwrap();
            let jwk: jsonwebtoken::jwk::Jwk =
                serde_json::from_value(key.public_jwk().clone()).unwrap();
            let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let mut validation = jsonwebtoken::Validation::new(algorithm.as_str().parse().unwrap());
            validation.validate_aud = false;
            let claims = jsonwebtoken::decode::<Value>(&token, &decoding, &validation)
                .unwrap()
                .claims;
            assert_eq!(claims["sub"], "alice");
        }
    }
}
