//! Single sign-on sessions: opened only with the gate's proof in hand.

use crate::action::gate::Cleared;
use crate::kernel::{Entropy, SessionId, sha256_base64};
use crate::realm::Realm;
use crate::session::rows;
use crate::session::{Session, SessionKind};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user;

/// How a session begins.
pub struct Opening<'a> {
    /// How the person proved who he is.
    pub amr: &'a str,
    /// When.
    pub auth_time: crate::kernel::Timestamp,
    /// Whether it is remembered.
    pub remember_me: bool,
    /// What it is for.
    pub kind: SessionKind,
    /// From where.
    pub ip_address: &'a str,
    /// Through which client.
    pub client_id: &'a str,
    /// Whether a browser gets a cookie for it.
    pub browser: bool,
}

/// A session with its secret, which only the browser keeps.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The cookie's value; no `Debug`.
    pub cookie: Option<String>,
}

/// Opens a session for whom the gate has cleared.
///
/// # Errors
/// The database fails.
pub fn open(
    tx: &mut Tx<'_>,
    cleared: &Cleared<'_>,
    (realm, entropy): (&Realm, &Entropy),
    opening: &Opening<'_>,
) -> Result<Opened, StoreError> {
    let now = cleared.now();
    let user = cleared.user();
    let cookie = opening.browser.then(|| entropy.token());
    let session = Session {
        id: SessionId::new(entropy.short_id()),
        realm_id: realm.id.clone(),
        user_id: user.id.clone(),
        auth_epoch: user.auth_epoch.clone(),
        kind: opening.kind,
        amr: opening.amr.split(' ').map(str::to_owned).collect(),
        remember_me: opening.remember_me && realm.settings.remember_me,
        auth_time: opening.auth_time,
        started_at: now,
        last_seen_at: now,
        ip_address: opening.ip_address.to_owned(),
    };
    let digest = cookie
        .as_ref()
        .map(|cookie| sha256_base64(cookie.as_bytes()));
    rows::insert(tx, &session, digest.as_deref())?;
    user::rows::note_sign_in(tx, &user.id, now)?;
    let event = Event::new(&realm.id, "LOGIN")
        .user(&user.id)
        .session(&session.id)
        .client(opening.client_id)
        .from(opening.ip_address);
    events::record(tx, entropy, now, event)?;
    metrics::counter!("idp_login_total", "realm" => realm.name.clone(), "result" => "success")
        .increment(1);
    Ok(Opened { session, cookie })
}
