//! A mailing as it is asked for: every field checked before anybody is written to.

use serde_json::{Map, Value};

use crate::action::assign::assignable;
use crate::admin::call::Context;
use crate::admin::error::AdminError;
use crate::admin::json::{Shape, texts};
use crate::admin::links::{self, Target};
use crate::admin::users::audience;
use crate::admin::users::fields::{flag_of, number_of, text_of};
use crate::campaign::quiet::QuietHours;
use crate::campaign::{Kind, Settings};
use crate::kernel::Timestamp;
use crate::mail::LONGEST_NOTE;
use crate::web::texts::Locale;

/// The fields of the request.
pub const SHAPE: Shape = Shape {
    name: "CampaignRepresentation",
    texts: &[
        "name",
        "kind",
        "message",
        "subject",
        "locale",
        "clientId",
        "redirectUri",
    ],
    flags: &["dryRun"],
    numbers: &[
        "lifespan",
        "ratePerSecond",
        "ratePerMinute",
        "perDomainRatePerMinute",
        "remindAfterDays",
    ],
    lists: &["actions"],
    other: &["audience", "quietHours", "stopAtBounceRate", "startAt"],
};

/// The longest name, in characters.
const LONGEST_NAME: usize = 255;

/// What is asked for.
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What is mailed.
    pub kind: Kind,
    /// Everything else.
    pub settings: Settings,
    /// Whether only to look.
    pub dry_run: bool,
}

/// Reads a request.
///
/// # Errors
/// A field that cannot be.
pub fn read(
    context: &mut Context<'_, '_>,
    sent: &Map<String, Value>,
) -> Result<Wanted, AdminError> {
    let bad = |text: &str| AdminError::Bad(text.to_owned());
    let owned = |name: &str| {
        text_of(sent, name)
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    let kind = text_of(sent, "kind")
        .and_then(Kind::parse)
        .ok_or_else(|| bad("kind is \"password-reset\", \"pre-registration\" or \"actions\""))?;
    let name = owned("name").unwrap_or_else(|| kind.as_str().to_owned());
    if name.chars().count() > LONGEST_NAME {
        return Err(bad("name is longer than 255 characters"));
    }
    let people = sent.get("audience").ok_or_else(|| {
        bad("audience is missing: {} is everybody, {\"neverSignedIn\": true} whoever has not come")
    })?;
    let positive = |name: &'static str| match number_of(sent, name) {
        Some(number) if number < 1 => Err(AdminError::Bad(format!("{name} must be at least 1"))),
        number => Ok(number),
    };
    let locale = owned("locale");
    if locale
        .as_deref()
        .is_some_and(|tag| Locale::from_tag(tag).is_none())
    {
        return Err(bad("locale names a language that mails are not written in"));
    }
    let message = owned("message");
    if message
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST_NOTE)
    {
        return Err(bad("message is longer than 10 KiB"));
    }
    let actions = sent.get("actions").and_then(texts).unwrap_or_default();
    let actions: Vec<String> = assignable(&context.config.actions, &actions)?
        .into_iter()
        .map(str::to_owned)
        .collect();
    let target = Target {
        client_id: owned("clientId"),
        redirect_uri: owned("redirectUri"),
        lifespan: positive("lifespan")?,
    };
    links::check(context, &target)?;
    let settings = Settings {
        audience: audience::of_body(people)?,
        actions,
        message,
        subject: owned("subject"),
        locale,
        lifespan: target.lifespan,
        start_at: sent.get("startAt").map(moment).transpose()?,
        rate_per_second: positive("ratePerSecond")?,
        rate_per_minute: positive("ratePerMinute")?,
        per_domain_rate_per_minute: positive("perDomainRatePerMinute")?,
        quiet_hours: sent.get("quietHours").map(quiet).transpose()?,
        stop_at_bounce_rate: sent.get("stopAtBounceRate").map(rate).transpose()?,
        remind_after_days: positive("remindAfterDays")?,
        client_id: target.client_id,
        redirect_uri: target.redirect_uri,
        ..Settings::default()
    };
    Ok(Wanted {
        name,
        kind,
        settings,
        dry_run: flag_of(sent, "dryRun").unwrap_or(false),
    })
}

/// Milliseconds, as everywhere here, or a time as RFC 3339 writes it.
fn moment(value: &Value) -> Result<Timestamp, AdminError> {
    if let Some(millis) = value.as_i64() {
        return Ok(Timestamp::from_millis(millis));
    }
    value
        .as_str()
        .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
        .map(|at| Timestamp::from_micros(at.timestamp_micros()))
        .ok_or_else(|| {
            AdminError::Bad("startAt is milliseconds or a time as \"2027-01-31T08:00:00Z\"".into())
        })
}

fn quiet(value: &Value) -> Result<QuietHours, AdminError> {
    let hours: QuietHours = serde_json::from_value(value.clone()).map_err(|_| {
        AdminError::Bad(
            "quietHours is {\"from\": \"22:00\", \"to\": \"07:00\", \"timeZone\": \"Europe/Berlin\"}".into(),
        )
    })?;
    hours
        .check()
        .map_err(|error| AdminError::Bad(error.to_string()))?;
    Ok(hours)
}

fn rate(value: &Value) -> Result<f64, AdminError> {
    value
        .as_f64()
        .filter(|rate| *rate > 0.0 && *rate <= 1.0)
        .ok_or_else(|| {
            AdminError::Bad("stopAtBounceRate is a part, as 0.05 for five of a hundred".into())
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_and_rates_are_read_or_refused_with_an_example() {
        let at = moment(&json!("2027-01-31T08:00:00+01:00")).unwrap();
        assert_eq!(at, moment(&json!(at.millis())).unwrap());
        assert!(moment(&json!("tomorrow")).is_err());
        assert_eq!(rate(&json!(0.05)).unwrap().to_string(), "0.05");
        for wrong in [json!(0), json!(1.5), json!("5%"), json!(-1)] {
            assert!(rate(&wrong).is_err(), "{wrong}");
        }
        let hours = json!({ "from": "22:00", "to": "07:00", "timeZone": "Europe/Berlin" });
        assert!(quiet(&hours).is_ok());
        assert!(quiet(&json!({ "from": "22:00" })).is_err());
    }
}
