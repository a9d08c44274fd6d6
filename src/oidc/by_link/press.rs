//! The button of a link's page: notes that a person came, and parks a flow whose proof is the link.

use std::sync::Arc;

use super::super::engine::Engine;
use super::super::show::Reply;
use super::super::steps::{self, Stage, Visit};
use super::{Place, not_me, over_key};
use crate::client::Client;
use crate::flow::{AuthorizationRequest, BY_LINK, Flow, FlowProof, ResponseMode, rows};
use crate::kernel::{Timestamp, sha256_base64};
use crate::link::{self, Link, Purpose, Renewed, State};
use crate::store::dialect::{Lock, lock_user};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::User;

/// A press this many seconds after the mail was taken is a machine's.
const MACHINE: i64 = 10;

/// The client whose flow it is where the link names none: our own page, and no app to continue to.
pub(in super::super) const ACCOUNT: &str = "account";

/// The button: opens the link. A new press starts the minutes of the gate anew.
pub(super) fn open(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, handle): (&Place, &str),
) -> Result<Reply, StoreError> {
    let (link, user) = match locked(tx, engine, visit, (place, handle))? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    note_press(tx, engine, visit, &link)?;
    if link.purpose == Purpose::NotMe {
        return not_me::close(tx, engine, visit, (place, &link, &user));
    }
    let config = &place.config;
    let named = match &link.client_id {
        Some(client_id) => config.client(tx, client_id)?,
        None => None,
    };
    let named = named.filter(|client| client.enabled);
    let to = target(engine, place, named.as_deref(), &link);
    let client = match named {
        Some(client) => Some(client),
        None => config.client(tx, ACCOUNT)?,
    };
    let Some(client) = client else {
        return Ok(place.over(engine, "client-disabled"));
    };
    let mut stage = park(tx, engine, visit, (place, client, &link, &user, to))?;
    if link.purpose == Purpose::Actions && link.actions.is_empty() {
        return super::done::nothing(tx, engine, (visit, &mut stage), (&link, &user));
    }
    if link.purpose.is_about_an_address() {
        return super::address::begin(tx, engine, visit, (&mut stage, &link, &user));
    }
    let browser = steps::rebind(tx, engine, &mut stage.flow)?;
    let with = (engine, &stage.config, &stage.client);
    let decided = steps::decide(
        tx,
        with,
        &visit.browser,
        (&visit.peer, true),
        &mut stage.flow,
    )?;
    steps::finish(tx, engine, &mut stage, decided, browser)
}

/// The live link behind a handle, with its person locked for writing; else the page that says what it is.
fn locked(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, handle): (&Place, &str),
) -> Result<Result<(Link, User), Reply>, StoreError> {
    let (link, ..) = match place.find(tx, engine, visit, handle)? {
        Ok(found) => found,
        Err(key) => return Ok(Err(place.over(engine, key))),
    };
    lock_user(tx, &link.user_id, Lock::Update)?;
    match place.find(tx, engine, visit, handle)? {
        Ok((link, user, state)) if state.is_live() => Ok(Ok((link, user))),
        // Said before anything is typed, at the page's own address.
        Ok((link, _, State::Expired)) => {
            note_refusal(tx, engine, visit, (&link, State::Expired))?;
            Ok(Err(place.back_to(handle, None)))
        }
        Ok((link, _, state)) => {
            note_refusal(tx, engine, visit, (&link, state))?;
            Ok(Err(match link.purpose {
                Purpose::NotMe => not_me::over(engine, place, state),
                _ => place.over(engine, over_key(state)),
            }))
        }
        Err(key) => Ok(Err(place.over(engine, key))),
    }
}

impl Place {
    /// Back to the link's page, with a word about what was asked there.
    fn back_to(&self, handle: &str, renewed: Option<&str>) -> Reply {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("h", handle);
        if let Some(word) = renewed {
            query.append_pair("renewed", word);
        }
        Reply::see_other(format!("{}?{}", self.url(), query.finish())).cookies(&self.cookies)
    }
}

fn note_refusal(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (link, state): (&Link, State),
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let event = Event::new(&link.realm_id, "LINK_REJECTED")
        .user(&link.user_id)
        .from(&visit.peer.ip_address)
        .error(state.as_str())
        .detail("link", link.id.as_str())
        .detail("purpose", link.purpose.as_str());
    metrics::counter!("idp_link_redeemed_total", "kind" => link.purpose.as_str(), "result" => state.as_str())
        .increment(1);
    events::record(tx, &engine.entropy, now, event)
}

fn note_press(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    link: &Link,
) -> Result<(), StoreError> {
    let now = tx.now()?;
    let mailed = link.sent_at.filter(|_| link.proves_mailbox());
    let automated = mailed.is_some_and(|sent| now.seconds_since(sent) < MACHINE);
    if !link::rows::note_opened(tx, &link.id, (now, automated))? {
        return Ok(());
    }
    let mut event = Event::new(&link.realm_id, "LINK_OPENED")
        .user(&link.user_id)
        .from(&visit.peer.ip_address)
        .detail("link", link.id.as_str())
        .detail("purpose", link.purpose.as_str())
        .detail("automated", automated);
    if let Some(campaign) = &link.campaign_id {
        event = event.detail("campaign", campaign.as_str());
    }
    events::record(tx, &engine.entropy, now, event)
}

type Parking<'a> = (&'a Place, Arc<Client>, &'a Link, &'a User, String);

/// A flow that ends by leading to `to`; its proof, where the link is one, is the link.
fn park(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, client, link, user, to): Parking<'_>,
) -> Result<Stage, StoreError> {
    let now = tx.now()?;
    let id = visit
        .browser
        .id(&place.cookies)
        .unwrap_or_else(|| engine.entropy.token());
    let settings = &place.config.realm.settings;
    let waits = settings
        .access_code_lifespan_login
        .max(settings.access_code_lifespan_user_action);
    let proves = !link.purpose.is_about_an_address();
    let flow = Flow {
        id: engine.entropy.short_id(),
        realm_id: place.config.realm.id.clone(),
        client_id: client.id.clone(),
        browser_digest: sha256_base64(id.as_bytes()),
        request: leading_to(to),
        step: 0,
        user_id: proves.then(|| user.id.clone()),
        proof: proves.then(|| proof(user, now)),
        remember_me: false,
        session_id: None,
        link_id: Some(link.id.clone()),
        consented: false,
        flash: None,
        finished_at: None,
        created_at: now,
        expires_at: now.plus_seconds(waits),
    };
    rows::insert(tx, &flow)?;
    Ok(Stage {
        config: Arc::clone(&place.config),
        client,
        face: place.face.clone(),
        cookies: place.cookies.clone(),
        flow,
    })
}

fn proof(user: &User, now: Timestamp) -> FlowProof {
    FlowProof {
        at: now,
        amr: BY_LINK.to_owned(),
        epoch: user.auth_epoch.clone(),
    }
}

/// A request that no application made: the flow ends by leading to `to`.
pub(in super::super) fn leading_to(to: String) -> AuthorizationRequest {
    AuthorizationRequest {
        redirect_uri: to,
        scope: String::new(),
        state: None,
        nonce: None,
        code_challenge: None,
        response_mode: ResponseMode::Page,
        prompt_login: false,
        prompt_consent: false,
        max_age: None,
        login_hint: None,
        ui_locales: None,
        hinted_user: None,
        kc_action: false,
    }
}

/// Where a link leads in the end: a fresh sign-in at the application's own door (OpenID Connect Core section 4), else
/// the link's address in it, else its home, else the account.
fn target(engine: &Engine, place: &Place, client: Option<&Client>, link: &Link) -> String {
    let account = || format!("{}/account/", place.config.issuer);
    let Some(client) = client else {
        return account();
    };
    let to = link.redirect_uri.as_deref();
    let registered = to.filter(|uri| client.redirects_to(uri, &engine.public_url));
    let door = client
        .attribute("initiate.login.uri")
        .and_then(|door| url::Url::parse(door).ok())
        .filter(|door| matches!(door.scheme(), "https" | "http"));
    if let Some(mut door) = door {
        door.query_pairs_mut()
            .append_pair("iss", &place.config.issuer);
        if let Some(uri) = registered {
            door.query_pairs_mut().append_pair("target_link_uri", uri);
        }
        return door.to_string();
    }
    registered
        .map(str::to_owned)
        .or_else(|| client.home(&engine.public_url))
        .unwrap_or_else(account)
}

/// The expired page's one button: a fresh link to the same address.
pub(super) fn renew(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, handle): (&Place, &str),
) -> Result<Reply, StoreError> {
    let (link, ..) = match place.find(tx, engine, visit, handle)? {
        Ok(found) => found,
        Err(key) => return Ok(place.over(engine, key)),
    };
    let realm = &place.config.realm;
    if !engine.mailer.is_configured(realm) {
        return Ok(place.back_to(handle, Some("never")));
    }
    let word = match link::renew(tx, engine.mailer.tools(), (realm, &link.id))? {
        Renewed::Mailed => "mailed",
        Renewed::TooSoon => "soon",
        Renewed::Never => "never",
    };
    Ok(place.back_to(handle, Some(word)))
}
