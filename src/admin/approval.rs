//! Which powers the tokens of a client may carry here.
//!
//! Whoever decides where a client's codes go holds what its tokens hold. So a client that was made or changed by
//! somebody who lacks powers of the realm is worth the powers of that somebody here, whoever signs in at it (threat
//! V136): the attribute [`ATTRIBUTE`] says them, and no request does. It only ever becomes less, until somebody who has
//! more sends it empty, and thereby says that the client as it stands is fine. Service accounts are beside this: who
//! may change their client already has their powers.

use serde_json::{Map, Value};

use super::call::Context;
use super::powers::Powers;
use super::users::cohort::order;
use crate::client::{Client, ClientSettings};

/// The client attribute with the powers that its tokens may carry; absent where it was always in the hands of people
/// who have them all.
pub const ATTRIBUTE: &str = "admin.powers";

/// The clients by which administrators come here.
const OF_ADMINISTRATORS: [&str; 2] = ["admin-cli", "security-admin-console"];

/// Whether the caller has every power over the path's realm.
pub fn holds_all(context: &Context<'_, '_>) -> bool {
    let powers = &context.caller.powers;
    powers.masters_all() || order::beyond(&context.config, powers).is_empty()
}

/// Whether the caller may change a client: those of administrators are changed by who has every power.
pub fn may_change(context: &Context<'_, '_>, client: &Client) -> bool {
    !OF_ADMINISTRATORS.contains(&client.client_id.as_str()) || holds_all(context)
}

/// What of these powers a token of the client carries.
pub fn carried(client: &Client, powers: Powers) -> Powers {
    let Some(text) = client.settings.attributes.get(ATTRIBUTE) else {
        return powers;
    };
    let cut = powers.both(&Powers::read(text));
    if cut != powers {
        tracing::info!(
            client_id = client.client_id,
            attribute = ATTRIBUTE,
            "a token carries less than its holder has: its client was last changed by somebody with fewer powers"
        );
    }
    cut
}

/// Notes whose hands a client is in, now that the caller makes or changes it.
pub fn note(
    context: &Context<'_, '_>,
    before: Option<&ClientSettings>,
    after: &mut ClientSettings,
    sent: &Map<String, Value>,
) {
    let mine = (!holds_all(context)).then(|| context.caller.powers.clone());
    let known = before
        .filter(|_| !is_approved(sent))
        .and_then(|before| before.attributes.get(ATTRIBUTE))
        .map(|text| Powers::read(text));
    let left = match (known, mine) {
        (Some(known), Some(mine)) => Some(known.both(&mine)),
        (one, other) => one.or(other),
    };
    match left {
        Some(powers) => after.attributes.insert(ATTRIBUTE.into(), powers.text()),
        None => after.attributes.remove(ATTRIBUTE),
    };
}

/// Whether the attribute was sent empty.
fn is_approved(sent: &Map<String, Value>) -> bool {
    let attribute = sent
        .get("attributes")
        .and_then(|attributes| attributes.get(ATTRIBUTE));
    attribute.is_some_and(|value| value.is_null() || value.as_str() == Some(""))
}
