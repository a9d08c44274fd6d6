//! The dispatcher: looks at a parked flow and the facts, and says what comes next.
//!
//! Every step of the browser ends here; no page routes to another, and no step can be skipped by claiming that it
//! was done, because nothing is believed but the database.

use std::sync::Arc;

use super::by_link;
use super::catalog::RealmConfig;
use super::code;
use super::consent;
use super::engine::Engine;
use super::remembered;
use super::scope::Scope;
use super::sso::{self, Opening};
use crate::action::gate::{Cleared, Outstanding, Provenance, Subject, Waiting, clear};
use crate::action::kinds::{update_password, update_profile, verify_email};
use crate::client::Client;
use crate::flow::{self, Flash, Flow, FlowProof, ResponseMode};
use crate::kernel::{Timestamp, sha256_base64};
use crate::login::device;
use crate::mail::verify_code;
use crate::session::{self, Session, SessionKind};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::User;
use crate::user::waiting::ResetProof;

/// What comes next.
pub enum Next {
    /// The sign-in page.
    SignIn {
        /// The account that has to prove itself again; `None` asks for a name.
        again: Option<String>,
    },
    /// The page of an action.
    Act(Box<Act>),
    /// The consent page.
    Consent {
        /// The names of the client scopes to ask for.
        scopes: Vec<String>,
    },
    /// The way back to the application, with a code.
    Code(String),
    /// The end of a flow that no application waits for.
    Done,
    /// The answer for `prompt=none`.
    Refused(&'static str),
    /// The account cannot go on; the key of what to say.
    Stopped(&'static str),
    /// The flow's code was issued before.
    Finished,
    /// The link that the flow began with leads nowhere any more; the key of what to say.
    LinkOver(&'static str),
}

/// An action that stands next.
pub struct Act {
    /// Its name.
    pub action: String,
    /// The person and what waits.
    pub waiting: Waiting,
    /// Seconds until a new password is refused; only for `UPDATE_PASSWORD`.
    pub seconds_left: i64,
    /// The address that a person without one has typed and has still to prove; only for `UPDATE_PROFILE` and
    /// `VERIFY_EMAIL`.
    pub proving: Option<String>,
}

/// What the browser's session cookie becomes.
#[derive(Default)]
pub enum SessionCookie {
    /// It stays.
    #[default]
    Keep,
    /// A new secret, and what the browser keeps beyond its end.
    Set(String, Kept),
}

/// What a browser keeps beyond the end of a session.
pub struct Kept {
    /// What brings it back, where the person asked to be remembered.
    pub remember: Option<Remember>,
    /// The marks by which the browser is known as its people's, where somebody has just signed in.
    pub devices: Option<String>,
}

/// What a browser keeps to bring its session back.
pub struct Remember {
    /// The cookie's value; no `Debug`.
    pub secret: String,
    /// For how long, in seconds.
    pub seconds: i64,
}

/// The surroundings of a decision.
pub struct Scene<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The realm.
    pub config: &'a RealmConfig,
    /// The client.
    pub client: &'a Arc<Client>,
    /// The session cookie that the browser sent.
    pub session_cookie: Option<&'a str>,
    /// The device marks that the browser sent.
    pub device_cookie: Option<&'a str>,
    /// The browser's address.
    pub ip_address: &'a str,
    /// Whether pages may be shown (`prompt` is not `none`).
    pub interactive: bool,
}

/// Decides. May open the session and issue the code, in the caller's transaction; the caller stores the flow.
///
/// # Errors
/// The database fails.
pub fn next(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    flow: &mut Flow,
) -> Result<(Next, SessionCookie), StoreError> {
    if flow.finished_at.is_some() {
        return Ok((Next::Finished, SessionCookie::Keep));
    }
    if flow.proof.is_some() {
        if let Some(decided) = proved(tx, scene, flow)? {
            return Ok(decided);
        }
        if let Some(link) = flow.open_link() {
            let why = by_link::why_over(tx, &scene.config.realm.id, link)?;
            return Ok((Next::LinkOver(why), SessionCookie::Keep));
        }
        // The proof is void: the person changed meanwhile, or the window is over. Back to the beginning.
        flow.proof = None;
        flow.user_id = None;
        flow.session_id = None;
    }
    by_cookie(tx, scene, flow)
}

type Decision = (Next, SessionCookie);

/// Goes on from a proof that was made in this flow; `None` when the proof is void.
fn proved(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    flow: &mut Flow,
) -> Result<Option<Decision>, StoreError> {
    let (Some(proof), Some(user)) = (flow.proof.clone(), flow.user_id.clone()) else {
        return Ok(None);
    };
    if proof.at.seconds() < scene.config.realm.not_before.seconds() {
        return Ok(None);
    }
    let subject = Subject {
        realm: scene.config.realm.id.clone(),
        user,
        provenance: match flow.open_link() {
            Some(link) => Provenance::Link {
                link: link.clone(),
                epoch: proof.epoch.clone(),
            },
            None => Provenance::Proof {
                epoch: proof.epoch.clone(),
            },
        },
    };
    let cleared = match clear(tx, &subject)? {
        Ok(cleared) => cleared,
        Err(Outstanding::Actions(waiting)) => {
            return act(tx, scene, flow, (*waiting, Some(&proof)));
        }
        Err(Outstanding::Stale | Outstanding::SessionEnded) => return Ok(None),
        Err(Outstanding::Disabled) => {
            return Ok(Some((
                Next::Stopped("account-disabled"),
                SessionCookie::Keep,
            )));
        }
        Err(Outstanding::Unknown | Outstanding::Locked | Outstanding::RealmDisabled) => {
            return Ok(Some((
                Next::Stopped("account-unavailable"),
                SessionCookie::Keep,
            )));
        }
    };
    if flow.request.is_for_another_than(&cleared.user().id) {
        // OpenID Connect Core 3.1.2.2: no session begins, and the application hears that it was not its person.
        flow.finished_at = Some(cleared.now());
        return Ok(Some((Next::Refused("login_required"), SessionCookie::Keep)));
    }
    let (session, cookie) = match &flow.session_id {
        Some(id) => (session::rows::by_id(tx, id)?, SessionCookie::Keep),
        None => {
            let (session, cookie) = open(tx, scene, flow, (&cleared, &proof))?;
            (Some(session), cookie)
        }
    };
    let Some(session) = session else {
        return Ok(None);
    };
    flow.session_id = Some(session.id.clone());
    let next = in_session(tx, scene, flow, &session)?;
    Ok(Some((next, cookie)))
}

/// A session for whom the gate has cleared: the browser's own with a new secret if it is the same person's, else a
/// new one, and the other person's ends.
fn open(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    flow: &Flow,
    (cleared, proof): (&Cleared<'_>, &FlowProof),
) -> Result<(Session, SessionCookie), StoreError> {
    let realm = &scene.config.realm;
    let before = cookie_session(tx, scene)?;
    let user = cleared.user();
    // The browser is this person's now: what others have proved in it is over.
    let left = before.as_ref().map(|session| &session.user_id);
    flow::rows::forget_others(tx, flow, (&user.id, left))?;
    if let Some(before) = before {
        if before.user_id == user.id
            && before.auth_epoch == user.auth_epoch
            && before.is_live(realm, cleared.now())
        {
            let secret = scene.engine.entropy.token();
            let renewed = Session {
                amr: proof.amr.split(' ').map(str::to_owned).collect(),
                auth_time: proof.at,
                last_seen_at: cleared.now(),
                remember_me: (before.remember_me || flow.remember_me) && realm.settings.remember_me,
                ..before
            };
            session::rows::renew(tx, &renewed, &sha256_base64(secret.as_bytes()))?;
            let kept = kept(tx, scene, &renewed, cleared)?;
            return Ok((renewed, SessionCookie::Set(secret, kept)));
        }
        session::rows::delete(tx, &before.id)?;
    }
    let opening = Opening {
        amr: &proof.amr,
        auth_time: proof.at,
        remember_me: flow.remember_me,
        kind: SessionKind::Online,
        ip_address: scene.ip_address,
        client_id: &scene.client.client_id,
        browser: true,
    };
    let opened = sso::open(tx, cleared, (realm, &scene.engine.entropy), &opening)?;
    let kept = kept(tx, scene, &opened.session, cleared)?;
    let cookie = opened.cookie.map_or(SessionCookie::Keep, |secret| {
        SessionCookie::Set(secret, kept)
    });
    Ok((opened.session, cookie))
}

/// What a browser keeps of a sign-in.
fn kept(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    session: &Session,
    cleared: &Cleared<'_>,
) -> Result<Kept, StoreError> {
    let (engine, now) = (scene.engine, cleared.now());
    let tools = (&*engine.keyring, &engine.entropy);
    let devices = device::remember(tools, scene.device_cookie, cleared.user(), now);
    Ok(Kept {
        remember: remembered::remember(tx, (engine, &scene.config.realm), session, now)?,
        devices: Some(devices),
    })
}

fn cookie_session(tx: &mut Tx<'_>, scene: &Scene<'_>) -> Result<Option<Session>, StoreError> {
    match scene.session_cookie {
        Some(secret) => session::rows::by_cookie(
            tx,
            &scene.config.realm.id,
            &sha256_base64(secret.as_bytes()),
        ),
        None => Ok(None),
    }
}

/// Goes on from the browser's session, if it has one that is good enough.
fn by_cookie(tx: &mut Tx<'_>, scene: &Scene<'_>, flow: &mut Flow) -> Result<Decision, StoreError> {
    let keep = |next| Ok((next, SessionCookie::Keep));
    let now = tx.now()?;
    let tried = flow.tried().map(str::to_owned);
    let ask = |again: Option<&User>| {
        if scene.interactive {
            let again = again.map(|user| user.username.clone());
            Next::SignIn {
                again: again.filter(|name| tried.as_ref().is_none_or(|tried| tried == name)),
            }
        } else {
            Next::Refused("login_required")
        }
    };
    // To whom the application asks for, another person's session is none.
    let live = cookie_session(tx, scene)?.filter(|session| {
        session.is_live(&scene.config.realm, now)
            && !flow.request.is_for_another_than(&session.user_id)
    });
    let Some(session) = live else {
        return keep(ask(None));
    };
    if by_link::address::is_for_somebody_else(tx, flow, &session.user_id)? {
        return keep(ask(None));
    }
    let subject = Subject {
        realm: scene.config.realm.id.clone(),
        user: session.user_id.clone(),
        provenance: Provenance::Session {
            session: session.id.clone(),
            interactive: scene.interactive,
        },
    };
    let too_old = |session: &Session| {
        tried.is_some()
            || flow.request.prompt_login
            || flow
                .request
                .max_age
                .is_some_and(|age| now.seconds_since(session.auth_time) >= age)
    };
    match clear(tx, &subject)? {
        Ok(cleared) if too_old(&session) => keep(ask(Some(cleared.user()))),
        Ok(_) => {
            flow.user_id = Some(session.user_id.clone());
            flow.session_id = Some(session.id.clone());
            keep(in_session(tx, scene, flow, &session)?)
        }
        Err(Outstanding::Actions(waiting)) => {
            if !scene.interactive {
                // OpenID Connect Core 3.1.2.6: signed in, and something has to be done at a page first.
                return keep(Next::Refused(if too_old(&session) {
                    "login_required"
                } else {
                    "interaction_required"
                }));
            }
            if too_old(&session)
                || waiting
                    .actions
                    .iter()
                    .any(|action| action == update_password::NAME)
            {
                // The proof for a new password belongs to this flow, however fresh the cookie is.
                return keep(ask(Some(&waiting.user)));
            }
            flow.user_id = Some(session.user_id.clone());
            match act(tx, scene, flow, (*waiting, None))? {
                Some(decided) => Ok(decided),
                None => keep(ask(None)),
            }
        }
        Err(
            Outstanding::Unknown
            | Outstanding::RealmDisabled
            | Outstanding::Disabled
            | Outstanding::Locked
            | Outstanding::Stale
            | Outstanding::SessionEnded,
        ) => keep(ask(None)),
    }
}

/// The first outstanding action in the realm's order, `UPDATE_PASSWORD` before all; `None` when its window is over.
fn act(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    flow: &mut Flow,
    (waiting, proof): (Waiting, Option<&FlowProof>),
) -> Result<Option<Decision>, StoreError> {
    let now = tx.now()?;
    let priority = |name: &str| {
        let configured = scene
            .config
            .action(name)
            .map_or(i64::MAX, |action| action.priority);
        (name != update_password::NAME, configured)
    };
    let Some(first) = waiting
        .actions
        .iter()
        .min_by_key(|name| priority(name))
        .cloned()
    else {
        return Ok(None);
    };
    let name = &waiting.user.username;
    let mut seconds_left = i64::MAX;
    if first == update_password::NAME {
        let Some(proof) = proof else { return Ok(None) };
        let by_mail_only = waiting
            .rows
            .iter()
            .any(|row| row.action == first && row.reset_proof == ResetProof::Mailbox);
        if by_mail_only && waiting.link.is_none() {
            flow.flash = Some(Flash::error("", "password-by-mail-only").tried_by(name));
            return Ok(None);
        }
        let end = window_end(scene.config, proof);
        let until = waiting
            .link
            .as_ref()
            .map_or(end, |link| end.min(link.until));
        seconds_left = until.seconds_since(now);
        if end <= now {
            let event = Event::new(&scene.config.realm.id, "GATE_EXPIRED")
                .user(&waiting.user.id)
                .client(&scene.client.client_id)
                .from(scene.ip_address);
            events::record(tx, &scene.engine.entropy, now, event)?;
            metrics::counter!("idp_gate_expired_total").increment(1);
            flow.flash = Some(Flash::notice("window-expired").tried_by(name));
            return Ok(None);
        }
    }
    let proving = match waiting.user.email {
        None if [update_profile::NAME, verify_email::NAME].contains(&first.as_str()) => {
            verify_code::mailed_to(tx, &waiting.user.id)?
        }
        None | Some(_) => None,
    };
    Ok(Some((
        Next::Act(Box::new(Act {
            proving,
            action: first,
            waiting,
            seconds_left,
        })),
        SessionCookie::Keep,
    )))
}

/// When the page for a new password ends: five minutes after the proof, unless the realm says otherwise.
pub fn window_end(config: &RealmConfig, proof: &FlowProof) -> Timestamp {
    proof
        .at
        .plus_seconds(config.realm.settings.access_code_lifespan_user_action)
}

/// In a session that stands: consent, then the code.
fn in_session(
    tx: &mut Tx<'_>,
    scene: &Scene<'_>,
    flow: &mut Flow,
    session: &Session,
) -> Result<Next, StoreError> {
    let (config, client) = (scene.config, scene.client);
    let subject = Subject {
        realm: config.realm.id.clone(),
        user: session.user_id.clone(),
        provenance: Provenance::Session {
            session: session.id.clone(),
            interactive: scene.interactive,
        },
    };
    let Ok(cleared) = clear(tx, &subject)? else {
        return Ok(Next::Stopped("account-unavailable"));
    };
    if flow.request.response_mode == ResponseMode::Page {
        flow.finished_at = Some(cleared.now());
        return Ok(Next::Done);
    }
    // Asked again where the code is made: the client may have lost the address since the flow was parked.
    if !client.redirects_to(&flow.request.redirect_uri, &scene.engine.public_url) {
        return Ok(Next::Stopped("redirect-uri"));
    }
    let scope = Scope::stored(&flow.request.scope);
    let missing = consent::missing(tx, (config, client), cleared.user(), (&scope, flow))?;
    if let Some(scopes) = missing {
        return Ok(if scene.interactive {
            Next::Consent { scopes }
        } else {
            Next::Refused("consent_required")
        });
    }
    let now = cleared.now();
    let lifespan = config.realm.settings.access_code_lifespan;
    let issued = code::issue(
        tx,
        cleared,
        &client.id,
        &flow.request,
        (lifespan, &scene.engine.entropy),
    )?;
    flow.finished_at = Some(now);
    Ok(issued.map_or(Next::Stopped("account-unavailable"), Next::Code))
}
