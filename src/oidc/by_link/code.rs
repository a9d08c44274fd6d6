//! The page for the code that stands in the same mail as the link.

use super::super::engine::Engine;
use super::super::show::Reply;
use super::super::steps::Visit;
use super::Place;
use crate::link;
use crate::link::token::Presented;
use crate::session::throttle::{self, PER_ADDRESS, Turn};
use crate::store::{StoreError, Tx};
use crate::web::pages::LinkCode;
use crate::web::texts::Text;

/// The page.
pub(super) fn page(engine: &Engine, visit: &Visit, place: &Place) -> Reply {
    let page = LinkCode {
        action: place.url(),
        error: match visit.query.get("said") {
            Some("wrong") => Some(Text::key("link-code-wrong")),
            _ => None,
        },
    };
    place.face.page(engine, &page, None)
}

/// What was typed: the right code leads to the link's page, and everything else is answered alike.
pub(super) fn submitted(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    place: &Place,
) -> Result<Reply, StoreError> {
    let wrong = Reply::see_other(format!("{}?said=wrong", place.url()));
    let realm = &place.config.realm.id;
    let now = tx.now()?;
    let from = format!("link-code-from/{realm}/{}", visit.peer.network());
    if let Turn::Shut(_) = throttle::take(tx, &from, PER_ADDRESS, now)? {
        return Ok(wrong);
    }
    let typed = (visit.form.text("username"), visit.form.text("code"));
    let token = link::code::token_for(tx, &engine.keyring, realm, typed)?;
    match token.as_deref().and_then(Presented::parse) {
        Some(token) => {
            throttle::forgive(tx, &from)?;
            place.lead_to(engine, visit, &token)
        }
        None => Ok(wrong),
    }
}
