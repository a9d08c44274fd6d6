//! Token and typed code, derived from the link and a key, and never stored.
//!
//! ```text
//! token = base64url(link id, 16 bytes | HMAC-SHA256(key, fields))
//! code  = 10 characters of Crockford's base32 out of another HMAC of the same fields
//! ```
//!
//! The fields (use, link id, realm, user, purpose, address, epoch) go in with their lengths, so no two links share
//! their bytes. 48 bytes are 64 characters exactly: no character of a token has bits that mean nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Link, LinkId};
use crate::kernel::seal::{DerivedKey, hmac_sha256};
use crate::kernel::typed_code;

/// The characters of a token.
pub const LENGTH: usize = 64;

const ID: usize = 16;

/// A token of a browser, taken apart and not yet judged.
pub struct Presented {
    /// The link that it names.
    pub id: LinkId,
    mac: Vec<u8>,
}

fn digest(key: &DerivedKey, usage: &str, link: &Link) -> [u8; 32] {
    let mut data = Vec::new();
    for part in [
        usage,
        link.id.as_str(),
        link.realm_id.as_str(),
        link.user_id.as_str(),
        link.purpose.as_str(),
        link.address.as_deref().unwrap_or_default(),
        link.auth_epoch.as_str(),
    ] {
        data.extend_from_slice(&part.len().to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    hmac_sha256(key.as_slice(), &[&data])
}

/// The token of a link. No answer but a mail, `send: false` and the bootstrap ever holds it.
pub fn token(key: &DerivedKey, link: &Link) -> String {
    let id = uuid::Uuid::parse_str(link.id.as_str()).unwrap_or_default();
    let mac = digest(key, "token", link);
    URL_SAFE_NO_PAD.encode([id.as_bytes().as_slice(), &mac].concat())
}

/// The code of a link, in two halves as people read it.
pub fn code(key: &DerivedKey, link: &Link) -> String {
    typed_code::grouped(&plain_code(key, link))
}

fn plain_code(key: &DerivedKey, link: &Link) -> String {
    typed_code::encode(&digest(key, "code", link))
}

impl Presented {
    /// Takes a token apart; `None` for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Self::from_bytes(&bytes)
    }

    /// The same from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, mac) = bytes.split_first_chunk::<ID>()?;
        (mac.len() == 32).then(|| Self {
            id: LinkId::new(uuid::Uuid::from_bytes(*id).to_string()),
            mac: mac.to_vec(),
        })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let id = uuid::Uuid::parse_str(self.id.as_str()).unwrap_or_default();
        [id.as_bytes().as_slice(), &self.mac].concat()
    }

    /// Whether it is the token of this link; in a time that says nothing about where they differ.
    pub fn is_of(&self, key: &DerivedKey, link: &Link) -> bool {
        let own = digest(key, "token", link);
        aws_lc_rs::constant_time::verify_slices_are_equal(&own, &self.mac).is_ok()
    }
}

/// Whether what was typed is the code of this link.
pub fn is_code(key: &DerivedKey, link: &Link, typed: &str) -> bool {
    let (own, typed) = (plain_code(key, link), typed_code::normalised(typed));
    aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), typed.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Purpose;
    use super::*;
    use crate::kernel::{RealmId, Timestamp, UserId};
    use crate::user::AuthEpoch;
    use zeroize::Zeroizing;

    fn link() -> Link {
        let at = Timestamp::from_seconds(1_800_000_000);
        Link {
            id: LinkId::new("019a0000-0000-7000-8000-000000000001"),
            realm_id: RealmId::new("realm"),
            user_id: UserId::new("user"),
            purpose: Purpose::PreRegistration,
            sets_password: true,
            address: Some("bob@people.example".to_owned()),
            auth_epoch: AuthEpoch::new("epoch"),
            key_version: 1,
            actions: Vec::new(),
            client_id: None,
            redirect_uri: None,
            lifespan: 60,
            campaign_id: None,
            mail_id: None,
            original_id: None,
            renewals: 0,
            renewed_at: None,
            wrong_codes: 0,
            automated: false,
            created_at: at,
            sent_at: None,
            opened_at: None,
            committed_at: None,
            revoked_at: None,
            superseded_at: None,
            good_until: at,
        }
    }

    fn key(byte: u8) -> DerivedKey {
        Zeroizing::new([byte; 32])
    }

    #[test]
    fn a_token_is_of_one_link_and_of_nothing_that_differs_in_any_field() {
        let link = link();
        let text = token(&key(1), &link);
        assert_eq!(text.len(), LENGTH);
        assert_eq!(text, token(&key(1), &link), "it can be made again");
        let presented = Presented::parse(&text).unwrap();
        assert_eq!(presented.id, link.id);
        assert!(presented.is_of(&key(1), &link));
        assert!(!presented.is_of(&key(2), &link));
        let (id, code) = (link.id.clone(), plain_code(&key(1), &link));
        for other in [
            Link {
                realm_id: RealmId::new("other"),
                ..link.clone()
            },
            Link {
                user_id: UserId::new("other"),
                ..link.clone()
            },
            Link {
                purpose: Purpose::Actions,
                ..link.clone()
            },
            Link {
                address: None,
                ..link.clone()
            },
            Link {
                auth_epoch: AuthEpoch::new("other"),
                ..link.clone()
            },
            // Lengths are part of it: a border that moves is another link.
            Link {
                realm_id: RealmId::new("realmu"),
                user_id: UserId::new("ser"),
                ..link
            },
        ] {
            assert!(!presented.is_of(
                &key(1),
                &Link {
                    id: id.clone(),
                    ..other.clone()
                }
            ));
            assert_ne!(plain_code(&key(1), &other), code);
        }
    }

    /// Threat V044: bit flips, truncation, extra bytes, case and padding.
    #[test]
    fn a_changed_token_is_none() {
        let (key, link) = (key(1), link());
        let text = token(&key, &link);
        for at in 0..text.len() {
            for other in ["A", "b", "-", "_", "0"] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                let same = changed == text;
                let presented = Presented::parse(&changed);
                let accepted =
                    presented.is_some_and(|token| token.id == link.id && token.is_of(&key, &link));
                assert_eq!(accepted, same, "{changed}");
            }
        }
        for changed in [
            String::new(),
            text[..63].to_owned(),
            format!("{text}A"),
            format!("{text}=="),
            format!("{}=", &text[..63]),
            text.replace('-', "+"),
            format!(" {text}"),
        ] {
            let accepted = Presented::parse(&changed).is_some_and(|token| token.is_of(&key, &link));
            assert_eq!(accepted, changed == text, "{changed}");
        }
    }

    #[test]
    fn codes_are_forgiving_to_type() {
        let (key, link) = (key(1), link());
        let shown = code(&key, &link);
        assert_eq!(shown.len(), 11);
        assert!(is_code(&key, &link, &shown.to_lowercase()));
        assert!(is_code(&key, &link, &shown.replace('-', " ")));
        assert!(!is_code(&key, &link, &format!("{shown}0")));
        assert!(!is_code(&key, &link, ""));
    }
}
