//! The app's one page: the board of berths, and everything the app was told about whoever
//! looks at it.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Data};
use serde::Serialize;
use serde_json::Value;

use super::{
    Harbour,
    claims::{self, Claim, Decoded},
    visit_id,
    visits::{Happening, SignedIn, Visit},
};
use crate::demo::pages;

#[derive(Serialize)]
struct Home<'a> {
    issuer: &'a str,
    happening: Option<Happening>,
    guest: Option<Guest>,
}

/// The person who is signed in, as far as the app knows.
#[derive(Serialize)]
struct Guest {
    name: String,
    subject: String,
    scopes: Vec<String>,
    lifetime: Option<String>,
    refreshes: u32,
    can_refresh: bool,
    id_token: Option<Decoded>,
    access_token: Option<Decoded>,
    userinfo: Option<Vec<Claim>>,
}

pub(super) async fn show(harbour: Data<Harbour>, request: HttpRequest) -> HttpResponse {
    let now = |visit: &mut Visit| (visit.signed_in.clone(), visit.happening.clone());
    let (signed_in, happening) = harbour
        .visits
        .with(visit_id(&request).as_deref(), now)
        .unwrap_or_default();
    let view = Home {
        issuer: harbour.relying_party.issuer(),
        happening,
        guest: signed_in.as_ref().map(Guest::of),
    };
    pages::page(StatusCode::OK, "home.html", &view)
}

impl Guest {
    fn of(signed_in: &SignedIn) -> Self {
        let tokens = &signed_in.tokens;
        let id_token = claims::decode(&tokens.id_token.to_string());
        let from_id_token = |name: &str| {
            let claims = &id_token.as_ref()?.claims;
            claims
                .iter()
                .find(|claim| claim.name == name)
                .map(|claim| claim.value.clone())
        };
        let from_userinfo = |name: &str| {
            let text = signed_in.userinfo.as_ref()?.get(name)?.as_str()?;
            Some(text.to_owned())
        };
        let name = ["given_name", "name", "preferred_username", "email"]
            .into_iter()
            .find_map(|name| from_userinfo(name).or_else(|| from_id_token(name)));
        Self {
            name: name.unwrap_or_else(|| "captain".to_owned()),
            subject: from_id_token("sub").unwrap_or_default(),
            scopes: tokens.scopes.clone(),
            lifetime: tokens
                .expires_in
                .map(|lifetime| lasting(lifetime.as_secs())),
            refreshes: signed_in.refreshes,
            can_refresh: tokens.refresh_token.is_some(),
            access_token: claims::decode(tokens.access_token.secret()),
            userinfo: signed_in
                .userinfo
                .as_ref()
                .and_then(Value::as_object)
                .map(claims::rows),
            id_token,
        }
    }
}

/// `5 min`, `90 s`, `12 h`: the largest unit that says it exactly.
fn lasting(seconds: u64) -> String {
    match seconds {
        0 => "0 s".to_owned(),
        s if s.is_multiple_of(86_400) => format!("{} d", s / 86_400),
        s if s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_said_exactly() {
        let said = [0, 1, 60, 90, 300, 3600, 43_200, 86_400].map(lasting);
        assert_eq!(
            said,
            ["0 s", "1 s", "1 min", "90 s", "5 min", "1 h", "12 h", "1 d"]
        );
    }
}
