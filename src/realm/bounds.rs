//! The numbers among the settings of realms and clients that something here reads: what each may be.
//!
//! The admin API refuses a number out of its bounds by name. What lies in the database all the same, from before the
//! bounds or by hand, is read as the least of them: a lifetime that nobody can read is never "for ever". A client that
//! has such a one has the realm's.

use serde_json::{Map, Value, json};

/// The largest number that Keycloak has a place for, and so what an exported realm can hold: 68 years.
const INT: i64 = 2_147_483_647;
/// RFC 6749 section 4.1.2 recommends that an authorization code lives for ten minutes at most.
const LONGEST_CODE: i64 = 600;
/// The longest that a parked flow waits for its person.
const DAY: i64 = 86_400;

/// What a number may be.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// The field or attribute.
    name: &'static str,
    least: i64,
    most: i64,
    /// A number outside of the range with a meaning of its own, and that meaning.
    besides: Option<(i64, &'static str)>,
    unit: &'static str,
}

/// Fields of a realm.
const FIELDS: [Bound; 15] = [
    seconds("accessTokenLifespan", 1, INT),
    seconds("ssoSessionIdleTimeout", 1, INT),
    seconds("ssoSessionMaxLifespan", 1, INT),
    seconds("ssoSessionIdleTimeoutRememberMe", 1, INT).or(0, "30 days"),
    seconds("ssoSessionMaxLifespanRememberMe", 1, INT).or(0, "30 days"),
    seconds("offlineSessionIdleTimeout", 1, INT),
    seconds("accessCodeLifespan", 1, LONGEST_CODE),
    seconds("accessCodeLifespanUserAction", 1, DAY),
    seconds("accessCodeLifespanLogin", 60, DAY),
    seconds("actionTokenGeneratedByAdminLifespan", 1, INT),
    seconds("actionTokenGeneratedByUserLifespan", 1, INT),
    Bound {
        unit: "",
        ..seconds("failureFactor", 1, INT)
    },
    seconds("waitIncrementSeconds", 0, INT),
    seconds("maxFailureWaitSeconds", 0, INT),
    seconds("maxDeltaTimeSeconds", 0, INT),
];

/// Attributes of a realm.
const ATTRIBUTES: [Bound; 3] = [
    seconds("temporaryPasswordLifespan", 60, INT).or(0, "never"),
    seconds("preRegistrationLifespan", 60, INT),
    seconds("notMeLifespan", 60, INT),
];

/// The `notBefore` of a realm or a client: seconds since 1970.
pub const NOT_BEFORE: Bound = seconds("notBefore", 0, INT);

/// How long audit events are kept. What is stored here and is no number of seconds leaves the default, for the least
/// would delete them.
const EVENTS: Bound = seconds("eventsExpiration", 1, INT).or(0, "90 days");

/// How long a client's access tokens live. Keycloak's console writes -1 where the client has no time of its own.
pub const OF_CLIENT: Bound =
    seconds("access.token.lifespan", 1, INT).or(-1, "as long as the realm says");

const fn seconds(name: &'static str, least: i64, most: i64) -> Bound {
    Bound {
        name,
        least,
        most,
        besides: None,
        unit: " of seconds",
    }
}

impl Bound {
    const fn or(mut self, number: i64, meaning: &'static str) -> Self {
        self.besides = Some((number, meaning));
        self
    }

    /// The number, where it is one and may be.
    ///
    /// # Errors
    /// What it may be, as a sentence for the caller.
    pub fn check(&self, value: &Value) -> Result<i64, String> {
        let number = match value {
            Value::Number(number) => number.as_i64().and_then(|number| self.admit(number)),
            Value::String(text) => self.of_text(text),
            _ => None,
        };
        number.ok_or_else(|| self.sentence())
    }

    /// The number of a stored text, where it is one and may be.
    pub fn of_text(&self, text: &str) -> Option<i64> {
        self.admit(text.trim().parse().ok()?)
    }

    fn admit(&self, number: i64) -> Option<i64> {
        let has_a_meaning = self.besides.is_some_and(|(besides, _)| besides == number);
        ((self.least..=self.most).contains(&number) || has_a_meaning).then_some(number)
    }

    fn sentence(&self) -> String {
        let Self {
            name,
            least,
            most,
            unit,
            ..
        } = self;
        let range = format!("{name} must be a whole number{unit} from {least} to {most}");
        match self.besides {
            Some((number, meaning)) => format!("{range}, or {number} ({meaning})"),
            None => range,
        }
    }
}

/// Checks what was sent of a realm.
///
/// # Errors
/// What the first number out of its bounds may be.
pub fn check(sent: &Map<String, Value>) -> Result<(), String> {
    let attributes = sent.get("attributes").and_then(Value::as_object);
    let fields = FIELDS.iter().chain([&NOT_BEFORE, &EVENTS]);
    let fields = fields.filter_map(|bound| Some((bound, sent.get(bound.name)?)));
    let attributes = ATTRIBUTES
        .iter()
        .filter_map(|bound| Some((bound, attributes?.get(bound.name)?)))
        .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    for (bound, value) in fields.chain(attributes) {
        bound.check(value)?;
    }
    Ok(())
}

/// Puts the least in the place of stored numbers that cannot be.
pub fn mend(settings: &mut Map<String, Value>) {
    let mend = |bound: &Bound, value: &mut Value, as_text: bool| {
        if bound.check(value).is_err() {
            *value = if as_text {
                json!(bound.least.to_string())
            } else {
                json!(bound.least)
            };
        }
    };
    for bound in &FIELDS {
        if let Some(value) = settings.get_mut(bound.name) {
            mend(bound, value, false);
        }
    }
    let attributes = settings
        .get_mut("attributes")
        .and_then(Value::as_object_mut);
    if let Some(attributes) = attributes {
        for bound in &ATTRIBUTES {
            let value = attributes.get_mut(bound.name);
            if let Some(value) = value.filter(|value| value.as_str() != Some("")) {
                mend(bound, value, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realm::RealmSettings;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_a_fresh_realm_has_is_within_the_bounds() {
        let fresh = RealmSettings::default_json().unwrap();
        check(&fresh).unwrap();
        for bound in FIELDS {
            assert!(fresh.contains_key(bound.name), "{}", bound.name);
        }
        // As Keycloak exports a realm.
        let exported = include_str!("../../tests/it/import/files/harbour.json");
        check(&serde_json::from_str(exported).unwrap()).unwrap();
        let mut mended = fresh.clone();
        mend(&mut mended);
        assert_eq!(mended, fresh);
    }

    #[test]
    fn a_number_out_of_its_bounds_is_refused_with_what_it_may_be() {
        for (sent, says) in [
            (
                json!({ "accessTokenLifespan": 0 }),
                "accessTokenLifespan must be a whole number of seconds from 1 to 2147483647",
            ),
            (
                json!({ "accessTokenLifespan": 2_147_483_648_i64 }),
                "accessTokenLifespan must be a whole number of seconds from 1 to 2147483647",
            ),
            (
                json!({ "accessCodeLifespan": 601 }),
                "accessCodeLifespan must be a whole number of seconds from 1 to 600",
            ),
            (
                json!({ "failureFactor": 0 }),
                "failureFactor must be a whole number from 1 to 2147483647",
            ),
            (
                json!({ "ssoSessionMaxLifespanRememberMe": -1 }),
                "ssoSessionMaxLifespanRememberMe must be a whole number of seconds from 1 to 2147483647, or 0 \
                 (30 days)",
            ),
            (
                json!({ "attributes": { "temporaryPasswordLifespan": "-5" } }),
                "temporaryPasswordLifespan must be a whole number of seconds from 60 to 2147483647, or 0 (never)",
            ),
        ] {
            assert_eq!(check(&map(sent)).unwrap_err(), says);
        }
        for text in ["abc", "99999999999999999999", "1.5", "14d"] {
            let sent = json!({ "attributes": { "temporaryPasswordLifespan": text } });
            assert!(check(&map(sent)).is_err(), "{text}");
        }
        for text in ["0", " 86400 ", ""] {
            let sent = json!({ "attributes": { "temporaryPasswordLifespan": text } });
            check(&map(sent)).unwrap();
        }
    }

    #[test]
    fn stored_nonsense_is_the_least_and_never_for_ever() {
        for text in ["-5", "abc", "99999999999999999999"] {
            let mut stored = map(json!({
                "accessTokenLifespan": -5,
                "accessCodeLifespanUserAction": 0,
                "attributes": { "temporaryPasswordLifespan": text, "preRegistrationLifespan": "3600" },
            }));
            mend(&mut stored);
            assert_eq!(
                Value::Object(stored),
                json!({
                    "accessTokenLifespan": 1,
                    "accessCodeLifespanUserAction": 1,
                    "attributes": { "temporaryPasswordLifespan": "60", "preRegistrationLifespan": "3600" },
                })
            );
        }
    }

    #[test]
    fn a_client_with_nonsense_has_no_lifespan_of_its_own() {
        assert_eq!(OF_CLIENT.of_text("7"), Some(7));
        assert_eq!(OF_CLIENT.of_text("-1"), Some(-1));
        for text in ["abc", "0", "-5", "99999999999999999999", "4000000000"] {
            assert_eq!(OF_CLIENT.of_text(text), None, "{text}");
        }
    }
}
