//! Reads Keycloak's `passwordPolicy` string: `length(8) and digits(1) and notUsername`.
//!
//! Names and defaults are Keycloak's. Its admin console writes `undefined` where a policy
//! takes no value. What this server cannot honour is an error, never dropped silently.

use super::{Clause, PasswordPolicy, Pattern, Rule};
use crate::password::MAXIMUM_CHARACTERS;

/// Every policy name, for the suggestion where one is misspelt.
const NAMES: [&str; 18] = [
    "digits",
    "forceExpiredPasswordChange",
    "hashAlgorithm",
    "hashIterations",
    "length",
    "lowerCase",
    "maxAuthAge",
    "maxLength",
    "notContainsUsername",
    "notEmail",
    "notUsername",
    "passwordAge",
    "passwordBlacklist",
    "passwordHistory",
    "recoveryCodesWarningThreshold",
    "regexPattern",
    "specialChars",
    "upperCase",
];

/// Why a policy string is refused. Each text begins as Keycloak's does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A name that is none of Keycloak's.
    #[error("Password policy not found: {name}; did you mean {nearest}?")]
    Unknown {
        /// The name as written.
        name: String,
        /// The known name that is closest.
        nearest: &'static str,
    },
    /// A value that the policy cannot have.
    #[error("Invalid config for {name}: {reason}")]
    Config {
        /// The policy.
        name: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl PasswordPolicy {
    /// Parses a realm's policy string. An empty one is the built-in policy.
    pub fn parse(text: &str) -> Result<PasswordPolicy, PolicyError> {
        let clauses = clauses(text)
            .iter()
            .map(|clause| parse_clause(clause))
            .collect::<Result<_, _>>()?;
        Ok(PasswordPolicy { clauses })
    }
}

/// Splits at ` and `, but not within the value of a clause: a regular expression may hold it.
fn clauses(text: &str) -> Vec<String> {
    let mut clauses: Vec<String> = Vec::new();
    for piece in text.split(" and ") {
        match clauses.last_mut() {
            Some(open) if is_open(open) || !begins_clause(piece) => {
                open.push_str(" and ");
                open.push_str(piece);
            }
            _ => clauses.push(piece.to_owned()),
        }
    }
    clauses.retain(|clause| !clause.trim().is_empty());
    clauses
}

fn is_open(clause: &str) -> bool {
    clause.contains('(') && !clause.trim_end().ends_with(')')
}

fn begins_clause(piece: &str) -> bool {
    let name = piece
        .trim()
        .split('(')
        .next()
        .unwrap_or_default()
        .trim_end();
    !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

fn parse_clause(clause: &str) -> Result<Clause, PolicyError> {
    let clause = clause.trim();
    let (name, value) = match clause.split_once('(') {
        Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')').unwrap_or(rest)),
        None => (clause, "undefined"),
    };
    let value = Some(value).filter(|value| *value != "undefined");
    let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
        return Err(PolicyError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name),
        });
    };
    let number = |default| number(name, value, default);
    Ok(match name {
        "length" => Clause::Rule(Rule::MinimumLength(length(name, number(8)?)?)),
        "maxLength" => Clause::Rule(Rule::MaximumLength(number(64)?)),
        "digits" => Clause::Rule(Rule::Digits(number(1)?)),
        "lowerCase" => Clause::Rule(Rule::LowerCase(number(1)?)),
        "upperCase" => Clause::Rule(Rule::UpperCase(number(1)?)),
        "specialChars" => Clause::Rule(Rule::SpecialCharacters(number(1)?)),
        "notUsername" => Clause::Rule(Rule::NotUsername),
        "notContainsUsername" => Clause::Rule(Rule::NotContainsUsername),
        "notEmail" => Clause::Rule(Rule::NotEmail),
        "passwordBlacklist" => Clause::Rule(Rule::NotCommon),
        "passwordHistory" => Clause::Rule(Rule::History(number(3)?)),
        "passwordAge" => Clause::Rule(Rule::HistoryDays(number(30)?)),
        "regexPattern" => Pattern::parse(value.unwrap_or_default())
            .map(|pattern| Clause::Rule(Rule::Pattern(pattern)))
            .map_err(|reason| PolicyError::Config { name, reason })?,
        "forceExpiredPasswordChange" => Clause::ExpiresAfterDays(number(365)?),
        "maxAuthAge" => Clause::MaximumAuthenticationAge(number(300)?),
        "recoveryCodesWarningThreshold" => Clause::RecoveryCodesWarning(number(4)?),
        "hashIterations" => number(0).map(|_| Clause::Hashing(name))?,
        // `hashAlgorithm`, whose value this server does not use.
        _ => Clause::Hashing(name),
    })
}

/// Keycloak takes any `int`; a negative one asks for nothing.
fn number(name: &'static str, value: Option<&str>, default: u32) -> Result<u32, PolicyError> {
    let Some(value) = value else {
        return Ok(default);
    };
    let number: i32 = value.trim().parse().map_err(|_| PolicyError::Config {
        name,
        reason: "Not a valid number".to_owned(),
    })?;
    Ok(u32::try_from(number).unwrap_or(0))
}

/// A minimum that no password can reach would lock everybody out.
fn length(name: &'static str, minimum: u32) -> Result<u32, PolicyError> {
    if minimum as usize > MAXIMUM_CHARACTERS {
        let reason = format!("No password is longer than {MAXIMUM_CHARACTERS} characters");
        return Err(PolicyError::Config { name, reason });
    }
    Ok(minimum)
}

fn nearest(name: &str) -> &'static str {
    let name = name.to_lowercase();
    NAMES
        .into_iter()
        .min_by_key(|known| strsim::damerau_levenshtein(&name, &known.to_lowercase()))
        .unwrap_or("length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(policy: &str) -> Vec<Rule> {
        PasswordPolicy::parse(policy)
            .unwrap()
            .own_rules()
            .cloned()
            .collect()
    }

    fn refusal(policy: &str) -> String {
        PasswordPolicy::parse(policy).unwrap_err().to_string()
    }

    #[test]
    fn values_defaults_and_undefined_are_read_as_keycloak_reads_them() {
        assert_eq!(
            rules(
                "length(12) and digits and notUsername and hashIterations(7) and passwordHistory(3)"
            ),
            [
                Rule::MinimumLength(12),
                Rule::Digits(1),
                Rule::NotUsername,
                Rule::History(3)
            ]
        );
        assert_eq!(
            rules(
                "length and maxLength and specialChars(undefined) and notEmail(undefined) and notContainsUsername(undefined)"
            ),
            [
                Rule::MinimumLength(8),
                Rule::MaximumLength(64),
                Rule::SpecialCharacters(1),
                Rule::NotEmail,
                Rule::NotContainsUsername
            ]
        );
        assert_eq!(
            rules(" lowerCase( 2 )  and  upperCase(3) "),
            [Rule::LowerCase(2), Rule::UpperCase(3)]
        );
        assert_eq!(
            rules("hashIterations(-1) and hashAlgorithm(pbkdf2-sha512)"),
            []
        );
    }

    #[test]
    fn an_empty_string_has_no_clauses() {
        for policy in ["", "   "] {
            assert_eq!(PasswordPolicy::parse(policy), Ok(PasswordPolicy::default()));
        }
    }

    #[test]
    fn a_pattern_may_hold_and_and_parentheses() {
        let pattern = |source: &str| Rule::Pattern(Pattern::parse(source).unwrap());
        assert_eq!(
            rules("regexPattern(^(a|b) and (c)$) and digits(1)"),
            [pattern("^(a|b) and (c)$"), Rule::Digits(1)]
        );
        assert_eq!(
            rules("regexPattern(a) and regexPattern([)]b)"),
            [pattern("a"), pattern("[)]b")]
        );
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        assert_eq!(
            refusal("bogus(1)").split(';').next(),
            Some("Password policy not found: bogus")
        );
        assert_eq!(
            refusal("length(8) and digit(1)"),
            "Password policy not found: digit; did you mean digits?"
        );
        assert_eq!(
            refusal("Uppercase(1)"),
            "Password policy not found: Uppercase; did you mean upperCase?"
        );
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        assert_eq!(
            refusal("length(abc)"),
            "Invalid config for length: Not a valid number"
        );
        assert_eq!(
            refusal("digits()"),
            "Invalid config for digits: Not a valid number"
        );
        assert_eq!(
            refusal("hashIterations(x)"),
            "Invalid config for hashIterations: Not a valid number"
        );
        assert_eq!(
            refusal("length(1025)"),
            "Invalid config for length: No password is longer than 1024 characters"
        );
        assert!(refusal("regexPattern([a)").starts_with("Invalid config for regexPattern: "));
    }

    #[test]
    fn every_known_name_parses() {
        for name in NAMES {
            assert!(PasswordPolicy::parse(name).is_ok(), "{name}");
        }
    }
}
