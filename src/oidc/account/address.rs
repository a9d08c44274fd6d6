//! Changing one's own address: a form on the account, and a link to the new address.
//!
//! ```text
//! GET  account/email        the form; whoever has not signed in within five minutes does so first (threat V157)
//! POST account/email        mails the link, and 303 to the same address
//! ```
//!
//! The address becomes the person's by the link alone (`by_link/address.rs`). Whether it is somebody else's is not
//! looked at here, so nobody learns it (V052). A form that has to be shown again is kept as flows keep theirs.

use actix_web::{HttpRequest, HttpResponse, web};

use super::super::by_link::leading_to;
use super::super::engine::Engine;
use super::super::logout::{self, same};
use super::super::show::Reply;
use super::super::sign_in::foreign;
use super::super::steps::Visit;
use super::super::texts;
use super::{Place, Visitor, place};
use crate::flow::{self, Flash, Flow};
use crate::kernel::{Timestamp, sha256_base64};
use crate::link::new_address::{self, Asked};
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};
use crate::user::name::{NameError, name_key, parse_email};
use crate::web::headers::same_origin;
use crate::web::pages::{ChangeEmail, Field, Href, Link, Message};
use crate::web::texts::Text;

/// The page, below the account.
pub(super) const PAGE: &str = "email";

/// The field of the form.
const FIELD: &str = "email";

/// Seconds for which a sign-in is fresh enough.
const FRESH: i64 = 300;

/// `GET …/account/email`.
pub(in super::super) async fn get(
    request: HttpRequest,
    realm: web::Path<String>,
    engine: web::Data<Engine>,
) -> HttpResponse {
    super::answer(&request, realm.into_inner(), engine, (b"", show)).await
}

/// `POST …/account/email`.
pub(in super::super) async fn post(
    request: HttpRequest,
    realm: web::Path<String>,
    body: web::Bytes,
    engine: web::Data<Engine>,
) -> HttpResponse {
    let realm = realm.into_inner();
    if !same_origin(&request, &engine.public_url) {
        let visit = Visit::read(&request, realm, &body, &engine);
        return foreign(&engine, &visit);
    }
    let response = super::answer(&request, realm, engine.clone(), (&body, submitted)).await;
    engine.mailer.wake();
    response
}

fn show(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Reply, StoreError> {
    let place = match place(tx, engine, visit)? {
        Ok(place) => place,
        Err(reply) => return Ok(reply),
    };
    let kept = visit.query.get("tab_id");
    let Some(visitor) = place.visitor(tx, visit)? else {
        return sign_in(tx, (engine, visit), &place, kept);
    };
    if !place.may_change_address(tx, engine, &visitor.user)? {
        let text = Text::key("email-fixed");
        return Ok(message(engine, &place, ("change-email-title", text)));
    }
    let pending = new_address::pending(tx, &visitor.user)?;
    if let Some(address) = pending.as_ref().filter(|_| visit.query.has("sent")) {
        let text = match &visitor.user.email {
            Some(present) => Text::key("change-email-sent").with("present", present.as_str()),
            None => Text::key("change-email-sent-first"),
        };
        let text = text.with("address", address.as_str());
        return Ok(message(engine, &place, ("change-email-sent-title", text)));
    }
    if !is_fresh(&visitor, tx.now()?) {
        return sign_in(tx, (engine, visit), &place, kept);
    }
    let flash = recall(tx, (visit, &place), &visitor)?;
    let wrong = flash.errors.iter().find(|error| error.field == FIELD);
    let page = ChangeEmail {
        action: place.url(PAGE),
        flow: logout::form_token(engine, &visitor.secret),
        account: visitor.user.username,
        present: visitor.user.email,
        pending,
        email: Field {
            value: flash.fields.get(FIELD).cloned().unwrap_or_default(),
            error: wrong.and_then(texts::error),
        },
        back: Href::to(&place.url("")),
    };
    Ok(place.face.page(engine, &page, None))
}

fn message(engine: &Engine, place: &Place, (heading, body): (&'static str, Text)) -> Reply {
    let page = Message {
        heading: Text::key(heading),
        body,
        link: Href::to(&place.url("")).map(|href| Link {
            text: Text::key("account-back"),
            href,
        }),
    };
    place.face.page(engine, &page, None)
}

fn is_fresh(visitor: &Visitor, now: Timestamp) -> bool {
    now.seconds_since(visitor.session.auth_time) < FRESH
}

/// The form, with what was typed into it before.
fn form_url(place: &Place, kept: Option<&str>) -> String {
    let Some(kept) = kept else {
        return place.url(PAGE);
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("tab_id", kept)
        .finish();
    format!("{}?{query}", place.url(PAGE))
}

/// To the form by way of a sign-in that is fresh enough.
fn sign_in(
    tx: &mut Tx<'_>,
    with: (&Engine, &Visit),
    place: &Place,
    kept: Option<&str>,
) -> Result<Reply, StoreError> {
    let mut request = leading_to(form_url(place, kept));
    request.max_age = Some(FRESH);
    place.sign_in(tx, with, request)
}

fn submitted(tx: &mut Tx<'_>, engine: &Engine, visit: &Visit) -> Result<Reply, StoreError> {
    let place = match place(tx, engine, visit)? {
        Ok(place) => place,
        Err(reply) => return Ok(reply),
    };
    let again = Reply::see_other(place.url(PAGE));
    let Some(visitor) = place.visitor(tx, visit)? else {
        return Ok(again);
    };
    // Asked again under the person's lock: what the gate says now holds until the link is stored.
    lock_user(tx, &visitor.user.id, Lock::Update)?;
    let Some(visitor) = place.visitor(tx, visit)? else {
        return Ok(again);
    };
    let token = logout::form_token(engine, &visitor.secret);
    if !same(visit.form.text("flow"), &token) {
        return Ok(place.face.expired(engine, &place.config, None));
    }
    if !place.may_change_address(tx, engine, &visitor.user)? {
        return Ok(again);
    }
    let now = tx.now()?;
    let flash = if is_fresh(&visitor, now) {
        let asked = match wanted(visit, &visitor) {
            Ok(address) => {
                let network = visit.peer.network();
                let whose = (&place.config.realm, &visitor.user, network.as_str());
                let new = (address.as_str(), place.face.locale);
                new_address::ask(tx, engine.mailer.tools(), whose, new)?
            }
            Err(key) => return keep(tx, (engine, visit), (&place, &visitor), error(key)),
        };
        match asked {
            Asked::Mailed => return Ok(Reply::see_other(format!("{}?sent=1", place.url(PAGE)))),
            Asked::TooMany { again_at } => later(again_at.seconds_since(now)),
            Asked::Refused(_) => return Ok(again),
        }
    } else {
        // Typed for too long: the sign-in comes first, and what was typed is there afterwards.
        Flash::default()
    };
    keep(tx, (engine, visit), (&place, &visitor), flash)
}

fn error(key: &str) -> Flash {
    Flash::error(FIELD, key)
}

/// That there were too many mails, and in how many minutes there may be another.
fn later(seconds: i64) -> Flash {
    let mut flash = error("change-email-later");
    for error in &mut flash.errors {
        error.value = Some(minutes(seconds).to_string());
    }
    flash
}

/// Seconds as minutes that are over by then, at least one.
fn minutes(seconds: i64) -> i64 {
    seconds.max(1).saturating_add(59) / 60
}

/// The address that was typed, if it can be asked for; else the key of what is wrong with it.
fn wanted(visit: &Visit, visitor: &Visitor) -> Result<String, &'static str> {
    let address = match parse_email(visit.form.text(FIELD)) {
        Ok(address) => address,
        Err(NameError::Empty) => return Err("field-missing"),
        Err(NameError::TooLong | NameError::Characters | NameError::NotAnAddress) => {
            return Err("email-invalid");
        }
    };
    let present = visitor.user.email.as_deref().map(name_key);
    if present == Some(name_key(&address)) {
        return Err("change-email-same");
    }
    Ok(address)
}

/// Back to the form, which says what is wrong and holds what was typed: kept in a flow of this browser, so that no
/// address stands in a URL.
fn keep(
    tx: &mut Tx<'_>,
    (engine, visit): (&Engine, &Visit),
    (place, visitor): (&Place, &Visitor),
    mut flash: Flash,
) -> Result<Reply, StoreError> {
    let now = tx.now()?;
    let typed = visit.form.text(FIELD).trim().chars();
    let typed = typed.filter(|c| !c.is_control()).take(255).collect();
    flash.fields.insert(FIELD.to_owned(), typed);
    let browser = visit
        .browser
        .id(&place.cookies)
        .unwrap_or_else(|| engine.entropy.token());
    let settings = &place.config.realm.settings;
    let flow = Flow {
        id: engine.entropy.short_id(),
        realm_id: place.config.realm.id.clone(),
        client_id: place.client.id.clone(),
        browser_digest: sha256_base64(browser.as_bytes()),
        request: leading_to(place.url(PAGE)),
        step: 0,
        user_id: Some(visitor.user.id.clone()),
        proof: None,
        remember_me: false,
        session_id: None,
        link_id: None,
        consented: false,
        flash: Some(flash),
        finished_at: None,
        created_at: now,
        expires_at: now.plus_seconds(settings.access_code_lifespan_login.clamp(60, 86_400)),
    };
    flow::rows::insert(tx, &flow)?;
    let mut reply = Reply::see_other(form_url(place, Some(&flow.id)));
    reply.browser = Some(browser);
    Ok(reply.cookies(&place.cookies))
}

/// What [`keep`] has kept for this person in this browser.
fn recall(
    tx: &mut Tx<'_>,
    (visit, place): (&Visit, &Place),
    visitor: &Visitor,
) -> Result<Flash, StoreError> {
    let (Some(id), Some(browser)) = (visit.query.get("tab_id"), visit.browser.id(&place.cookies))
    else {
        return Ok(Flash::default());
    };
    let now = tx.now()?;
    let digest = sha256_base64(browser.as_bytes());
    let flow = flow::rows::of_browser(tx, &place.config.realm.id, id, &digest)?;
    Ok(flow
        .filter(|flow| now < flow.expires_at && flow.user_id.as_ref() == Some(&visitor.user.id))
        .and_then(|flow| flow.flash)
        .unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_minutes_that_are_enough() {
        let told: Vec<i64> = [-5, 0, 1, 59, 60, 61, 3600].map(minutes).to_vec();
        assert_eq!(told, [1, 1, 1, 1, 1, 2, 60]);
        assert_eq!(later(61).errors[0].value.as_deref(), Some("2"));
    }
}
