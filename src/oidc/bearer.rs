//! Access tokens of ours, presented back: whether they still stand, at this very moment.
//!
//! By signature, session, grant and epoch, and by the gate, in the database: userinfo, introspection and the admin
//! API shut at once when a person is flagged, switched off, signed out or has set a new password.

use diesel::dsl::exists;
use diesel::prelude::*;

use super::catalog::RealmConfig;
use super::issue::{OurToken, epoch_mark, verify_ours};
use crate::action::Facts;
use crate::action::gate::{Outstanding, Provenance, Subject, standing};
use crate::kernel::{ClientUuid, SessionId, Timestamp};
use crate::store::schema::{client_sessions, revoked_tokens};
use crate::store::{StoreError, Tx, db};

/// A token that stands, with what the gate saw.
pub struct Standing {
    /// The token.
    pub token: OurToken,
    /// The person, the session.
    pub facts: Facts,
}

/// Why a token does not stand.
#[derive(Debug)]
pub enum Fallen {
    /// Not a token of ours, or over.
    Invalid,
    /// Its session or grant has ended, or it was revoked.
    Ended,
    /// The person has something to do first.
    Gated(Vec<String>),
}

/// Judges an access token of this realm.
///
/// # Errors
/// The database fails.
pub fn judge(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    text: &str,
) -> Result<Result<Standing, Fallen>, StoreError> {
    let now = tx.now()?;
    let Some(token) = verify_ours(config, text, "Bearer", now, false) else {
        return Ok(Err(Fallen::Invalid));
    };
    let client = config.client(tx, &token.client_id)?;
    let Some(client) = client.filter(|client| client.enabled) else {
        return Ok(Err(Fallen::Ended));
    };
    if token.issued_at.seconds() < client.settings.not_before {
        return Ok(Err(Fallen::Ended));
    }
    let provenance = match &token.session {
        Some(session) => {
            let seen = in_session(tx, session, &client.id, &token.jti)?;
            let (grant, revoked) = seen.unzip();
            if grant.is_none() || grant != token.grant_id || revoked != Some(false) {
                return Ok(Err(Fallen::Ended));
            }
            Provenance::Token {
                session: session.clone(),
                epoch: None,
                issued_at: token.issued_at,
            }
        }
        None if is_revoked(tx, &token.jti)? => return Ok(Err(Fallen::Ended)),
        None => Provenance::Service,
    };
    let subject = Subject {
        realm: config.realm.id.clone(),
        user: token.user.clone(),
        provenance,
    };
    Ok(match standing(tx, &subject)? {
        Ok(facts) => {
            let over = match &facts.session {
                Some(session) => !session.is_live(&config.realm, now),
                // The gate knows no time of issue where there is no session.
                None => {
                    let not_before = config.realm.not_before.max(facts.user.not_before);
                    token.issued_at.seconds() < not_before.seconds()
                        || token.auth_epoch.as_ref() != Some(&epoch_mark(&facts.user))
                }
            };
            if over {
                Err(Fallen::Ended)
            } else {
                Ok(Standing { token, facts })
            }
        }
        Err(Outstanding::Actions(waiting)) => {
            metrics::counter!("idp_gate_blocked_total", "path" => "access_token").increment(1);
            Err(Fallen::Gated(waiting.actions))
        }
        Err(
            Outstanding::Unknown
            | Outstanding::RealmDisabled
            | Outstanding::Disabled
            | Outstanding::Locked
            | Outstanding::Stale
            | Outstanding::SessionEnded,
        ) => Err(Fallen::Ended),
    })
}

/// The client's grant in a session, if it has one, and whether this very token was revoked, in one look.
fn in_session(
    tx: &mut Tx<'_>,
    session: &SessionId,
    client: &ClientUuid,
    jti: &str,
) -> Result<Option<(String, bool)>, StoreError> {
    let revoked = revoked_tokens::table.filter(revoked_tokens::jti.eq(jti));
    db!(tx, |c| client_sessions::table
        .filter(client_sessions::session_id.eq(session))
        .filter(client_sessions::client_uuid.eq(client))
        .select((client_sessions::grant_id, exists(revoked)))
        .first(c)
        .optional())
}

fn is_revoked(tx: &mut Tx<'_>, jti: &str) -> Result<bool, StoreError> {
    let found: Option<String> = db!(tx, |c| revoked_tokens::table
        .filter(revoked_tokens::jti.eq(jti))
        .select(revoked_tokens::jti)
        .first(c)
        .optional())?;
    Ok(found.is_some())
}

/// Revokes one access token until it would have ended anyway.
///
/// # Errors
/// The database fails.
pub fn revoke(tx: &mut Tx<'_>, jti: &str, expires_at: Timestamp) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(revoked_tokens::table)
        .values((
            revoked_tokens::jti.eq(jti),
            revoked_tokens::expires_at.eq(expires_at)
        ))
        .on_conflict_do_nothing()
        .execute(c))?;
    Ok(())
}
