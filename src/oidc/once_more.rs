//! A form that comes after its flow has gone on without it: the second one of a double click, whose answer is the one
//! that the browser shows, while the first one's is lost, and the cookies in it.
//!
//! A form with a password in it is a sign-in: what was asked for is parked once more, as if the application had sent
//! the browser again, and name and password are judged there as always. So whoever knows the cookie from before a step
//! of privilege, and has perhaps planted it (threat V107), gets nothing that the password would not have given them.
//!
//! Called by what answers the forms of `login-actions/`.

use std::sync::Arc;

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::show::{Face, Reply};
use super::sign_in;
use super::steps::Visit;
use crate::flow::{Flow, rows};
use crate::kernel::sha256_base64;
use crate::store::{StoreError, Tx};
use crate::user;
use crate::web::cookie::Cookies;

/// For how long a form may come once more after the browser got another cookie, in seconds.
const SOON: i64 = 30;

/// The answer to a form: the one that it has, or what its name and password come to where its flow has gone on.
pub(super) async fn judged(
    engine: Arc<Engine>,
    visit: Visit,
    reply: Reply,
) -> Result<Reply, StoreError> {
    if !reply.overtaken {
        return Ok(reply);
    }
    let shared = Arc::clone(&engine);
    let parked = engine
        .store
        .run(move |store| store.tx(|tx| park(tx, &shared, &visit)))
        .await?;
    match parked {
        Some(visit) => sign_in::authenticate(engine, visit).await,
        None => Ok(reply),
    }
}

/// Parks the request of the form's flow once more; answers the visit that signs in there.
fn park(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Option<Visit>, StoreError> {
    let Some(config) = engine.catalog.current(tx, &visit.realm)? else {
        return Ok(None);
    };
    let cookies = Cookies::new(config.realm.cookie_tag(), engine.secure_cookies());
    let token = visit.form.text("flow");
    let (Some(browser), Some(handle)) = (visit.browser.id(&cookies), Flow::handle_of(token)) else {
        return Ok(None);
    };
    let digest = sha256_base64(browser.as_bytes());
    let now = tx.now()?;
    let new = visit.form.has("password-new");
    let named = visit.form.text("username").trim();
    let found = match rows::of_browser(tx, &config.realm.id, handle, &digest)? {
        // Somebody has come further by a copy of the same page: who names himself is judged by what he typed.
        Some(flow) => Some(flow).filter(|flow| {
            !new && !named.is_empty() && (flow.user_id.is_some() || flow.finished_at.is_some())
        }),
        None => rows::of_former(tx, &config.realm.id, handle, &digest)?,
    };
    // What came by a link ends with the link, and says by itself how to go on.
    let Some(flow) = found.filter(|flow| {
        flow.link_id.is_none() && now < flow.expires_at && flow.has_accepted(&engine.keyring, token)
    }) else {
        return Ok(None);
    };
    let person = match &flow.user_id {
        Some(id) if new => user::rows::by_id(tx, id)?,
        Some(_) | None => None,
    };
    let (username, password) = match &person {
        Some(person) => (person.username.as_str(), "password-new"),
        None => (named, "password"),
    };
    let password = visit.form.text(password);
    if username.is_empty() || password.is_empty() {
        return Ok(None);
    }
    let since = now.plus_seconds(-SOON);
    if flow.browser_digest != digest && !rows::take_once_more(tx, (&flow.id, &digest), since)? {
        return Ok(None);
    }
    let lifespan = flow.expires_at.seconds_since(flow.created_at);
    let again = Flow {
        id: engine.entropy.short_id(),
        browser_digest: digest,
        step: 0,
        user_id: None,
        proof: None,
        remember_me: false,
        session_id: None,
        consented: false,
        flash: None,
        finished_at: None,
        created_at: now,
        expires_at: now.plus_seconds(lifespan),
        ..flow
    };
    rows::insert(tx, &again)?;
    let form = visit.form.clone();
    let form = form
        .with("username", username)
        .with("password", password)
        .with("flow", &again.form_token(&engine.keyring));
    Ok(Some(Visit {
        form,
        ..visit.clone()
    }))
}

/// The page for a browser that names a flow which is not its own any more.
pub(super) fn late(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (config, face): (&RealmConfig, &Face),
    (handle, digest): (Option<&str>, &str),
) -> Result<Reply, StoreError> {
    let realm = &config.realm.id;
    let known = match handle {
        Some(handle) => match rows::of_browser(tx, realm, handle, digest)? {
            Some(flow) => Some(flow),
            None => rows::of_former(tx, realm, handle, digest)?,
        },
        None => None,
    };
    let client = match known {
        Some(flow) => config.client_by_id(tx, &flow.client_id)?,
        None => None,
    };
    let home = client.and_then(|client| client.home(&engine.public_url));
    Ok(overtaken(engine, (config, face), home.as_deref()))
}

/// The page for a form that came too late.
pub(super) fn overtaken(
    engine: &Engine,
    (config, face): (&RealmConfig, &Face),
    application: Option<&str>,
) -> Reply {
    let mut reply = face.expired(engine, config, application);
    reply.overtaken = true;
    reply
}
