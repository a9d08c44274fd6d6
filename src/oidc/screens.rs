//! The pages of a flow, filled from what the dispatcher decided and what the flow kept from the last submit.

use super::by_link;
use super::catalog::RealmConfig;
use super::engine::Engine;
use super::forgotten;
use super::next::Act;
use super::show::{Face, Reply};
use super::texts;
use crate::action::kinds::{terms, update_password, update_profile, verify_email};
use crate::client::Client;
use crate::flow::{Flash, Flow};
use crate::password::{PasswordPolicy, suggest};
use crate::user::name::masked;
use crate::web::pages::{
    App, AskEmail, Asking, Consent, Email, Field, Href, Login, Terms, UpdatePassword,
    UpdateProfile, VerifyEmail,
};
use crate::web::texts::Text;

type Set<'a> = (&'a Engine, &'a RealmConfig, &'a Client, &'a Face);

fn app(client: &Client) -> App {
    let link = |attribute: &str| client.attribute(attribute).and_then(Href::to);
    App {
        name: client.display_name().to_owned(),
        policy: link("policyUri"),
        terms: link("tosUri"),
    }
}

fn first_error(flash: &Flash, field: &str) -> Option<Text> {
    flash
        .errors
        .iter()
        .find(|error| error.field == field)
        .and_then(texts::error)
}

/// The sign-in page; `again` names the account that has to prove itself once more.
pub(super) fn sign_in(
    (engine, config, client, face): Set<'_>,
    flow: &Flow,
    again: Option<String>,
    action: String,
) -> Reply {
    let flash = flow.flash.clone().unwrap_or_default();
    let settings = &config.realm.settings;
    let asking = match again {
        Some(account) => Asking::Again { account },
        None => Asking::Anyone {
            username: if flash.username.is_empty() {
                flow.request.login_hint.clone().unwrap_or_default()
            } else {
                flash.username.clone()
            },
            remember_me: settings.remember_me.then_some(flow.remember_me),
        },
    };
    let page = Login {
        action,
        flow: flow.form_token(&engine.keyring),
        asking,
        app: Some(client)
            .filter(|client| client.client_id != by_link::ACCOUNT)
            .map(app),
        error: first_error(&flash, ""),
        notice: flash.notice.as_deref().and_then(texts::kept),
        forgot_password: Some(settings)
            .filter(|settings| settings.reset_password_allowed)
            .and_then(|_| {
                Href::to(&forgotten::url(
                    config,
                    Some(&client.client_id),
                    Some(&flow.id),
                ))
            }),
    };
    face.page(engine, &page, Some(flow))
}

/// The consent page.
pub(super) fn consent(
    (engine, config, client, face): Set<'_>,
    flow: &Flow,
    scopes: &[String],
    action: String,
) -> Reply {
    // In the order of their names, so that the page reads the same each time.
    let named = |name: &String| config.scopes.values().find(|scope| scope.name == *name);
    let sentences = scopes.iter().filter_map(named).map(texts::scope).collect();
    let page = Consent {
        action,
        flow: flow.form_token(&engine.keyring),
        app: app(client),
        scopes: sentences,
    };
    face.page(engine, &page, Some(flow))
}

/// The page of an action.
pub(super) fn action(
    (engine, config, client, face): Set<'_>,
    flow: &Flow,
    act: &Act,
    action: String,
) -> Reply {
    let flash = flow.flash.clone().unwrap_or_default();
    let token = flow.form_token(&engine.keyring);
    let user = &act.waiting.user;
    let _ = client;
    match act.action.as_str() {
        update_password::NAME => {
            let policy = policy_of(config);
            let link = act.waiting.link.as_ref();
            let first = link.is_some_and(|link| link.first_password);
            let page = UpdatePassword {
                action,
                flow: token,
                account: user.username.clone(),
                first,
                // Who has just pressed a link's button knows why, and a phone has room for the fields instead.
                reason: link.is_none().then(|| Text::key("update-password-reason")),
                rules: policy
                    .rules(false)
                    .iter()
                    .map(texts::rule)
                    .chain((!first).then(|| Text::key("rule-same-as-old")))
                    .collect(),
                minutes_left: minutes(act.seconds_left),
                suggestion: Some(suggest(|out: &mut [u8]| engine.entropy.fill(out))),
                new_errors: flash
                    .errors
                    .iter()
                    .filter(|error| error.field == "password-new")
                    .filter_map(texts::error)
                    .collect(),
                confirm_error: first_error(&flash, "password-confirm"),
                hint: flash.hint.as_deref().and_then(texts::kept),
            };
            face.page(engine, &page, Some(flow))
        }
        terms::NAME => {
            let text = config
                .realm
                .settings
                .attributes
                .get("termsText")
                .cloned()
                .unwrap_or_default();
            let text = if text.trim().is_empty() {
                engine.texts.say(
                    face.locale,
                    &Text::key("terms-none").with("realm", config.realm.display_name()),
                )
            } else {
                text
            };
            face.page(engine, &Terms::new(action, token, &text), Some(flow))
        }
        update_profile::NAME | verify_email::NAME if act.proving.is_some() => {
            let page = VerifyEmail {
                action,
                flow: token,
                address: act.proving.clone().unwrap_or_default(),
                other: true,
                error: first_error(&flash, "code"),
                notice: flash.notice.as_deref().and_then(texts::kept),
            };
            face.page(engine, &page, Some(flow))
        }
        update_profile::NAME => {
            let field = |name: &str, stored: Option<&str>| Field {
                value: flash
                    .fields
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| stored.unwrap_or_default().to_owned()),
                error: first_error(&flash, name),
            };
            let page = UpdateProfile {
                action,
                flow: token,
                reason: Some(Text::key("update-profile-reason")),
                first_name: field("firstName", user.first_name.as_deref()),
                last_name: field("lastName", user.last_name.as_deref()),
                email: match &user.email {
                    Some(address) => Email::Fixed {
                        address: address.clone(),
                    },
                    None if engine.mailer.is_configured(&config.realm) => {
                        Email::Asked(field("email", None))
                    }
                    None => Email::Absent,
                },
            };
            face.page(engine, &page, Some(flow))
        }
        verify_email::NAME if !engine.mailer.is_configured(&config.realm) => {
            let realm = config.realm.display_name();
            let body = Text::key("verify-email-no-mail").with("realm", realm);
            face.message_of(engine, "verify-email-title", body)
        }
        verify_email::NAME if user.email.is_none() => {
            let page = AskEmail {
                action,
                flow: token,
                email: Field {
                    value: flash.fields.get("email").cloned().unwrap_or_default(),
                    error: first_error(&flash, "email"),
                },
            };
            face.page(engine, &page, Some(flow))
        }
        verify_email::NAME => {
            let page = VerifyEmail {
                action,
                flow: token,
                address: user.email.as_deref().map(masked).unwrap_or_default(),
                other: false,
                error: first_error(&flash, "code"),
                notice: flash.notice.as_deref().and_then(texts::kept),
            };
            let mut reply = face.page(engine, &page, Some(flow));
            reply.mail_code = Some(Box::new((user.clone(), face.locale)));
            reply
        }
        // An action of a newer version: this node can keep the gate shut and do no more.
        _ => face.message(engine, "error-title", "unexpected-error"),
    }
}

/// The realm's password policy; one that does not parse counts as the built-in one, which is the stricter.
pub(super) fn policy_of(config: &RealmConfig) -> PasswordPolicy {
    let text = config
        .realm
        .settings
        .password_policy
        .as_deref()
        .unwrap_or_default();
    PasswordPolicy::parse(text).unwrap_or_default()
}

/// Seconds as minutes to read, to the nearest one: a window that has just opened has five. Below a minute none.
fn minutes(seconds: i64) -> u32 {
    match seconds {
        ..60 => 0,
        _ => u32::try_from(seconds.saturating_add(30) / 60).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn a_window_that_has_just_opened_has_all_its_minutes() {
        for (seconds, read) in [
            (300, 5),
            (299, 5),
            (270, 5),
            (269, 4),
            (90, 2),
            (89, 1),
            (60, 1),
            (59, 0),
            (0, 0),
            (-1, 0),
            (i64::MAX, u32::MAX),
        ] {
            assert_eq!(minutes(seconds), read, "{seconds}");
        }
    }
}
