//! "Remember me": a cookie of its own that brings a session back once the browser has forgotten it.
//!
//! The session's own cookie ends with the browser. The remembering one lasts, is good for one use, and is replaced at
//! that use; what it brings back is the same session, with the time at which the person last proved who they are, and
//! the gate is asked as ever. A second use of one is somebody's copy: the session ends, for the thief and for the
//! person, who signs in again (threat V110, hardening H007). Used by `authorize::start`, at the beginning of a flow.

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::next::{Kept, Remember, SessionCookie};
use super::steps::Browser;
use crate::flow;
use crate::kernel::{Timestamp, sha256_base64};
use crate::realm::Realm;
use crate::session::remember::{self, Stored};
use crate::session::{self, Session};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::web::cookie::Cookies;

/// Seconds in which another tab of a browser that has just been started may come with the same token: it is shown
/// the sign-in page, and nobody is suspected.
const SAME_MOMENT: i64 = 30;

/// A token for a session that is to be remembered, for the browser to keep; those before it are forgotten.
///
/// # Errors
/// The database fails.
pub(super) fn remember(
    tx: &mut Tx<'_>,
    (engine, realm): (&Engine, &Realm),
    session: &Session,
    now: Timestamp,
) -> Result<Option<Remember>, StoreError> {
    remember::forget(tx, &session.id)?;
    if !session.remember_me {
        return Ok(None);
    }
    issue(tx, (engine, realm), session, now).map(Some)
}

fn issue(
    tx: &mut Tx<'_>,
    (engine, realm): (&Engine, &Realm),
    session: &Session,
    now: Timestamp,
) -> Result<Remember, StoreError> {
    let secret = engine.entropy.token();
    let ends = session
        .started_at
        .plus_seconds(realm.session_lifespan(true).max);
    remember::insert(tx, &session.id, &sha256_base64(secret.as_bytes()), ends)?;
    Ok(Remember {
        secret,
        seconds: ends.seconds_since(now).max(0),
    })
}

/// The session that a browser's token remembers; `None` where it brings none, or one that has ended.
///
/// # Errors
/// The database fails.
pub(super) fn find(
    tx: &mut Tx<'_>,
    realm: &Realm,
    secret: &str,
) -> Result<Option<(Session, Stored)>, StoreError> {
    let Some(stored) = remember::by_digest(tx, &sha256_base64(secret.as_bytes()))? else {
        return Ok(None);
    };
    let session = session::rows::by_id(tx, &stored.session)?;
    Ok(session
        .filter(|session| session.realm_id == realm.id)
        .map(|session| (session, stored)))
}

/// Brings the browser's session back: uses its token up, where the browser has none that lives and the token is good.
///
/// # Errors
/// The database fails.
pub(super) fn bring_back(
    tx: &mut Tx<'_>,
    (engine, config, cookies): (&Engine, &RealmConfig, &Cookies),
    browser: &Browser,
    ip_address: &str,
) -> Result<SessionCookie, StoreError> {
    let realm = &config.realm;
    let Some(secret) = browser.remember(cookies) else {
        return Ok(SessionCookie::Keep);
    };
    let now = tx.now()?;
    if let Some(own) = browser.session(cookies) {
        let session = session::rows::by_cookie(tx, &realm.id, &sha256_base64(own.as_bytes()))?;
        if session.is_some_and(|session| session.is_live(realm, now)) {
            return Ok(SessionCookie::Keep);
        }
    }
    let Some((session, stored)) = find(tx, realm, &secret)? else {
        return Ok(SessionCookie::Keep);
    };
    if let Some(used_at) = stored.used_at {
        if now.seconds_since(used_at) >= SAME_MOMENT {
            stolen(tx, engine, &session, ip_address)?;
        }
        return Ok(SessionCookie::Keep);
    }
    if now >= stored.expires_at
        || !session.is_live(realm, now)
        || !remember::spend(tx, &sha256_base64(secret.as_bytes()), now)?
    {
        return Ok(SessionCookie::Keep);
    }
    let cookie = engine.entropy.token();
    let back = Session {
        last_seen_at: now,
        ..session
    };
    session::rows::renew(tx, &back, &sha256_base64(cookie.as_bytes()))?;
    let next = issue(tx, (engine, realm), &back, now)?;
    let kept = Kept {
        remember: Some(next),
        devices: None,
    };
    Ok(SessionCookie::Set(cookie, kept))
}

/// Ends a session whose token was used twice.
fn stolen(
    tx: &mut Tx<'_>,
    engine: &Engine,
    session: &Session,
    ip_address: &str,
) -> Result<(), StoreError> {
    if !session::rows::delete(tx, &session.id)? {
        return Ok(());
    }
    flow::rows::forget_person(tx, &session.user_id)?;
    let now = tx.now()?;
    let event = Event::new(&session.realm_id, "REMEMBER_ME_ERROR")
        .user(&session.user_id)
        .session(&session.id)
        .from(ip_address)
        .error("token_reused");
    events::record(tx, &engine.entropy, now, event)?;
    tracing::warn!("a remembered browser's token was used twice: its session was ended");
    metrics::counter!("idp_remember_me_reused_total").increment(1);
    Ok(())
}
