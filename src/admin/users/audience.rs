//! An audience as callers say it: in the query string of a list, or as the `filter` and `audience` of a body.

use serde_json::{Map, Value};

use super::fields::{flag_of, text_of};
use crate::admin::ask::Ask;
use crate::admin::error::AdminError;
use crate::admin::json::{Shape, texts};
use crate::kernel::UserId;
use crate::user::audience::{Audience, MailState};
use crate::user::search::Status;

/// The fields of an audience in a body.
const FIELDS: Shape = Shape {
    name: "UserFilter",
    texts: &[
        "search",
        "username",
        "email",
        "firstName",
        "lastName",
        "pendingAction",
        "status",
        "mailState",
        "q",
    ],
    flags: &[
        "exact",
        "enabled",
        "emailVerified",
        "neverSignedIn",
        "hasPassword",
    ],
    numbers: &[],
    lists: &["ids", "usernames"],
    other: &["attributes"],
};

/// The audience of a query string: `search` rules out the fields by name, as in Keycloak.
///
/// # Errors
/// `status`, `mailState` or `pendingAction` names nothing.
pub fn of_query(ask: &Ask) -> Result<Audience, AdminError> {
    let owned = |name: &str| ask.text(name).map(str::to_owned);
    let mut audience = Audience {
        enabled: ask.flag("enabled"),
        email_verified: ask.flag("emailVerified"),
        never_signed_in: ask.switch("neverSignedIn")?,
        has_password: ask.switch("hasPassword")?,
        pending_action: owned("pendingAction")
            .map(|name| read_action(&name))
            .transpose()?,
        status: ask.text("status").map(read_status).transpose()?,
        mail_state: ask.text("mailState").map(read_mail_state).transpose()?,
        exact: ask.flag("exact").unwrap_or(false),
        ..Audience::default()
    };
    match ask.text("search").map(str::trim) {
        Some(search) if search.starts_with("id:") => {
            let ids = search.trim_start_matches("id:").split_whitespace();
            audience.ids = Some(ids.map(UserId::new).collect());
        }
        Some(search) => audience.search = Some(search.to_owned()),
        None => {
            audience.username = owned("username");
            audience.email = owned("email");
            audience.first_name = owned("firstName");
            audience.last_name = owned("lastName");
            audience.attributes = attributes_of(ask.text("q").unwrap_or_default());
        }
    }
    Ok(audience)
}

/// The audience of a body.
///
/// # Errors
/// A field that an audience has not, of a wrong type, or with a word that means nothing.
pub fn of_body(sent: &Value) -> Result<Audience, AdminError> {
    let sent: Map<String, Value> = FIELDS.read(sent.clone())?;
    let owned = |name: &str| {
        text_of(&sent, name)
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    let mut attributes = attributes_of(text_of(&sent, "q").unwrap_or_default());
    if let Some(named) = sent.get("attributes") {
        let pairs = super::fields::attributes(named)?
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)));
        attributes.extend(pairs);
    }
    Ok(Audience {
        search: owned("search"),
        username: owned("username"),
        email: owned("email"),
        first_name: owned("firstName"),
        last_name: owned("lastName"),
        exact: flag_of(&sent, "exact").unwrap_or(false),
        enabled: flag_of(&sent, "enabled"),
        email_verified: flag_of(&sent, "emailVerified"),
        never_signed_in: flag_of(&sent, "neverSignedIn"),
        has_password: flag_of(&sent, "hasPassword"),
        pending_action: owned("pendingAction")
            .map(|name| read_action(&name))
            .transpose()?,
        status: text_of(&sent, "status").map(read_status).transpose()?,
        mail_state: text_of(&sent, "mailState")
            .map(read_mail_state)
            .transpose()?,
        ids: sent
            .get("ids")
            .and_then(texts)
            .map(|ids| ids.into_iter().map(UserId::new).collect()),
        usernames: sent.get("usernames").and_then(texts),
        attributes,
        ..Audience::default()
    })
}

fn read_status(text: &str) -> Result<Status, AdminError> {
    Status::parse(text).ok_or_else(|| AdminError::Bad(format!("Unknown status {text:.64}")))
}

fn read_mail_state(text: &str) -> Result<MailState, AdminError> {
    MailState::parse(text).ok_or_else(|| {
        AdminError::Bad(format!(
            "Unknown mailState {text:.64}: one of {}",
            MailState::words().join(", ")
        ))
    })
}

fn read_action(name: &str) -> Result<String, AdminError> {
    crate::action::canonical(name)
        .map(str::to_owned)
        .ok_or_else(|| {
            let known: Vec<&str> = crate::action::kinds::ALL
                .iter()
                .map(|kind| kind.name())
                .collect();
            AdminError::Bad(format!(
                "Unknown pendingAction {name:.64}: one of {}",
                known.join(", ")
            ))
        })
}

/// An action's one spelling; a name that nothing here knows may still wait on somebody.
pub fn canonical_or_same(name: &str) -> String {
    crate::action::canonical(name).map_or_else(|| name.to_owned(), str::to_owned)
}

/// The pairs of `q=name:value name:"several words"`.
fn attributes_of(q: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = q.trim();
    while let Some((name, after)) = rest.split_once(':') {
        let name = name.rsplit(char::is_whitespace).next().unwrap_or(name);
        let quoted = after
            .strip_prefix('"')
            .and_then(|inner| inner.split_once('"'));
        let (value, after) =
            quoted.unwrap_or_else(|| after.split_once(char::is_whitespace).unwrap_or((after, "")));
        if !name.is_empty() && !value.is_empty() {
            pairs.push((name.to_owned(), value.to_owned()));
        }
        rest = after.trim_start();
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_asked_for_by_name_and_value() {
        let pairs = |q: &str| attributes_of(q);
        let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
        assert_eq!(
            pairs("dept:it tier:\"gold class\""),
            [pair("dept", "it"), pair("tier", "gold class")]
        );
        assert_eq!(pairs("tier:gold class"), [pair("tier", "gold")]);
        assert!(pairs("dept").is_empty());
        assert_eq!(pairs("a: b:c"), [pair("b", "c")]);
    }
}
