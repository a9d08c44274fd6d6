//! Refresh tokens: shaped as a JWT because clients decode them, decided by a row that is found by a digest.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::{Grantee, Refresh};
use crate::action::gate::Cleared;
use crate::kernel::seal::Keyring;
use crate::kernel::{ClientUuid, RealmId, SessionId, Timestamp, UserId, sha256_base64};
use crate::oidc::catalog::RealmConfig;
use crate::session::rows::SessionRow;
use crate::session::{Session, SessionKind};
use crate::store::schema::{client_sessions, refresh_tokens, sessions};
use crate::store::{StoreError, Tx, db};
use crate::user::AuthEpoch;

/// What the keyed digest of a token's text is for.
const LABEL: &str = "refresh-token";

/// A refresh token as it goes to the client.
pub(super) struct Issued {
    pub(super) token: String,
    pub(super) expires_in: i64,
}

/// A stored refresh token. Holds a subject and an epoch, never a decision of the gate.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub struct RefreshToken {
    /// The digest of the token.
    pub digest: String,
    /// The realm.
    pub realm_id: RealmId,
    /// The client it was issued to.
    pub client_uuid: ClientUuid,
    /// Whose it is.
    pub user_id: UserId,
    /// The session it belongs to.
    pub session_id: SessionId,
    /// The client's grant in that session: the family.
    pub grant_id: String,
    /// The user's epoch at its issue.
    pub auth_epoch: AuthEpoch,
    /// The words of the scope.
    pub scope: String,
    /// The `nonce` of the authorization request, echoed in later ID tokens.
    pub nonce: Option<String>,
    /// When it was exchanged for another one.
    pub used_at: Option<Timestamp>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

pub(super) fn issue(
    tx: &mut Tx<'_>,
    cleared: &Cleared<'_>,
    to: &Grantee<'_>,
    grant_id: Option<&str>,
) -> Result<Option<Issued>, StoreError> {
    let (Some(session), Some(grant_id)) = (cleared.session(), grant_id) else {
        return Ok(None);
    };
    let now = cleared.now();
    let expires_at = session.expires_at(&to.config.realm);
    let expires_in = if session.kind == SessionKind::Offline {
        0
    } else {
        expires_at.seconds_since(now).max(0)
    };
    match to.refresh {
        Refresh::None => Ok(None),
        Refresh::Keep(token) => Ok(Some(Issued {
            token: token.to_owned(),
            expires_in,
        })),
        Refresh::New => {
            let token = compact(
                cleared,
                to,
                session.id.as_str(),
                (now, expires_at, session.kind),
            );
            let row = RefreshToken {
                digest: sha256_base64(token.as_bytes()),
                realm_id: to.config.realm.id.clone(),
                client_uuid: to.client.id.clone(),
                user_id: cleared.user().id.clone(),
                session_id: session.id.clone(),
                grant_id: grant_id.to_owned(),
                auth_epoch: cleared.user().auth_epoch.clone(),
                scope: to.scope.to_text(),
                nonce: to.nonce.map(str::to_owned),
                used_at: None,
                issued_at: now,
                expires_at,
            };
            db!(tx, |c| diesel::insert_into(refresh_tokens::table)
                .values(&row)
                .execute(c))?;
            Ok(Some(Issued { token, expires_in }))
        }
    }
}

/// The token's text: 256 random bits in `jti` make it unguessable, the signature is for those who look.
fn compact(
    cleared: &Cleared<'_>,
    to: &Grantee<'_>,
    sid: &str,
    (now, expires_at, kind): (Timestamp, Timestamp, SessionKind),
) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let mut claims = json!({
        "iat": now.seconds(),
        "jti": to.entropy.token(),
        "iss": to.config.issuer,
        "aud": to.config.issuer,
        "sub": cleared.user().id.as_str(),
        "typ": if kind == SessionKind::Offline { "Offline" } else { "Refresh" },
        "azp": to.client.client_id,
        "sid": sid,
        "scope": to.scope.to_text(),
    });
    if let (SessionKind::Online, Some(claims)) = (kind, claims.as_object_mut()) {
        claims.insert("exp".into(), json!(expires_at.seconds()));
    }
    let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = to.keyring.digest(LABEL, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The stored token of that text.
///
/// # Errors
/// The database fails.
pub fn find(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    token: &str,
) -> Result<Option<RefreshToken>, StoreError> {
    let digest = sha256_base64(token.as_bytes());
    db!(tx, |c| refresh_tokens::table
        .filter(refresh_tokens::digest.eq(&digest))
        .filter(refresh_tokens::realm_id.eq(realm))
        .select(RefreshToken::as_select())
        .first(c)
        .optional())
}

/// Where a refresh token of ours comes from, also one that was exchanged, ended or forgotten: its client, if that is
/// still there, and its session. `None`: it was never issued here.
///
/// # Errors
/// The database fails.
pub fn origin(
    tx: &mut Tx<'_>,
    (config, keyring): (&RealmConfig, &Keyring),
    token: &str,
) -> Result<Option<(Option<ClientUuid>, SessionId)>, StoreError> {
    if let Some(stored) = find(tx, &config.realm.id, token)? {
        return Ok(Some((Some(stored.client_uuid), stored.session_id)));
    }
    let written = written(keyring, token).filter(|claims| claims.iss == config.issuer);
    Ok(written.map(|claims| (config.client_named(&claims.azp).cloned(), claims.sid)))
}

/// What a token says of where it comes from.
#[derive(Deserialize)]
struct Written {
    iss: String,
    azp: String,
    sid: SessionId,
}

/// What the text says, if it is signed by us.
fn written(keyring: &Keyring, token: &str) -> Option<Written> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !keyring.is_digest(LABEL, signed.as_bytes(), &signature) {
        return None;
    }
    let (_, claims) = signed.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// A stored token with what it hangs on: its session, and the grant that the client has in it now.
pub type Hanging = (RefreshToken, Session, Option<String>);

/// The stored token of that text with what it hangs on, in one look.
///
/// # Errors
/// The database fails.
pub fn find_hanging(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    token: &str,
) -> Result<Option<Hanging>, StoreError> {
    let digest = sha256_base64(token.as_bytes());
    let row: Option<(RefreshToken, SessionRow, Option<String>)> = db!(tx, |c| {
        refresh_tokens::table
            .inner_join(sessions::table.on(sessions::id.eq(refresh_tokens::session_id)))
            .left_join(
                client_sessions::table.on(client_sessions::session_id
                    .eq(refresh_tokens::session_id)
                    .and(client_sessions::client_uuid.eq(refresh_tokens::client_uuid))),
            )
            .filter(refresh_tokens::digest.eq(&digest))
            .filter(refresh_tokens::realm_id.eq(realm))
            .select((
                RefreshToken::as_select(),
                SessionRow::as_select(),
                client_sessions::grant_id.nullable(),
            ))
            .first(c)
            .optional()
    })?;
    row.map(|(token, session, grant)| Ok((token, Session::try_from(session)?, grant)))
        .transpose()
}

/// Marks a token as exchanged. `false`: somebody was first, and the row count says so.
///
/// # Errors
/// The database fails.
pub fn spend(tx: &mut Tx<'_>, digest: &str, now: Timestamp) -> Result<bool, StoreError> {
    let spent = db!(tx, |c| diesel::update(
        refresh_tokens::table
            .filter(refresh_tokens::digest.eq(digest))
            .filter(refresh_tokens::used_at.is_null())
    )
    .set(refresh_tokens::used_at.eq(now))
    .execute(c))?;
    Ok(spent == 1)
}

/// Ends a family: every refresh token of the grant, and with the client's place in the session its access tokens.
///
/// # Errors
/// The database fails.
pub fn end_family(
    tx: &mut Tx<'_>,
    session: &SessionId,
    client: &ClientUuid,
) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        refresh_tokens::table
            .filter(refresh_tokens::session_id.eq(session))
            .filter(refresh_tokens::client_uuid.eq(client))
    )
    .execute(c))?;
    crate::session::rows::leave(tx, session, client)
}
