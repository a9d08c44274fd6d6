//! The doctor's test mail: the same way out as every mail of the realm, and the server's answer to it.

use actix_web::rt::SystemRunner;

use super::Finding;
use super::smtp::NO_STARTTLS;
use crate::cli::{Failure, boot};
use crate::config::Config;
use crate::mail::Failure as Refusal;
use crate::user::name::parse_email;
use crate::web::texts::Locale;

const MAIL: &str = "mail";

pub(super) fn send(
    config: &Config,
    (realm, address): (&str, &str),
    runtime: &SystemRunner,
) -> Result<Finding, Failure> {
    let address = parse_email(address)
        .map_err(|error| Failure::usage(format!("--mail {address:?} {error}")))?;
    boot::existing_store(config)?;
    let engine = boot::engine(config, config.public_url.base().to_owned())?;
    let realm = boot::realm(&engine.store, realm)?;
    let sent = runtime.block_on(
        engine
            .mailer
            .try_settings(&realm, &address, Locale::ENGLISH),
    );
    Ok(match sent {
        Ok(()) => Finding::ok(
            MAIL,
            format!("the server of realm {} has taken a test mail", realm.name),
        ),
        Err(Refusal::Server(trouble, why)) => {
            let of_realm = !realm.settings.smtp_server.is_empty();
            let fix = if !of_realm && why.contains("STARTTLS") {
                NO_STARTTLS
            } else {
                "mend the realm's smtpServer, or VESTIBULE_SMTP_URL and VESTIBULE_MAIL_FROM where it has none"
            };
            Finding::wrong(
                MAIL,
                format!(
                    "no mail of realm {} can leave ({trouble}): {why}",
                    realm.name
                ),
                fix,
            )
        }
        Err(Refusal::Later(why)) => Finding::warning(
            MAIL,
            format!("the server refuses for now: {why}"),
            "such mails are tried again by themselves; try this one again later",
        ),
        Err(Refusal::Refused(why)) => Finding::wrong(
            MAIL,
            format!("the server refuses for good: {why}"),
            "look whether the address exists and the sender is allowed",
        ),
        Err(Refusal::Unknown(why)) => Finding::warning(
            MAIL,
            format!("the server did not say what became of the mail: {why}"),
            "look whether it arrived, and at the server's log",
        ),
        Err(Refusal::NotPermitted) => Finding::wrong(MAIL, "the mail was not sent", "try it again"),
    })
}
