//! One rule for new passwords: how it is judged, named and said.
//!
//! A rule is shown before typing and reported when broken, so it is one type for both. The
//! names and sentences of Keycloak's rules are Keycloak's, because clients of its admin API
//! read `{"error": name, "error_description": sentence}`.

use super::super::{Password, fold, is_common};
use super::{Context, Pattern};

/// A rule, with what it asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// At least so many characters.
    MinimumLength(u32),
    /// At most so many characters.
    MaximumLength(u32),
    /// At least so many digits.
    Digits(u32),
    /// At least so many lower-case letters.
    LowerCase(u32),
    /// At least so many upper-case letters.
    UpperCase(u32),
    /// At least so many characters that are neither letters nor digits.
    SpecialCharacters(u32),
    /// Not the user name.
    NotUsername,
    /// The user name not in it.
    NotContainsUsername,
    /// Not the e-mail address.
    NotEmail,
    /// Of the administrator's form.
    Pattern(Pattern),
    /// Not on the list of common passwords.
    NotCommon,
    /// At least so many characters beside the person's own words and the realm's name.
    NotPersonal(u32),
    /// None of the last so many passwords. Judged by the caller.
    History(u32),
    /// No password used in the last so many days. Judged by the caller.
    HistoryDays(u32),
}

impl Rule {
    /// Whether the candidate meets the rule. The two history rules are always met here.
    pub(super) fn is_met(&self, candidate: &Password, context: &Context<'_>) -> bool {
        let characters = || candidate.expose().chars();
        let at_least = |minimum: u32, wanted: fn(char) -> bool| {
            characters().filter(|character| wanted(*character)).count() >= minimum as usize
        };
        match self {
            Rule::MinimumLength(minimum) => at_least(*minimum, |_| true),
            Rule::MaximumLength(maximum) => characters().count() <= *maximum as usize,
            Rule::Digits(minimum) => at_least(*minimum, char::is_numeric),
            Rule::LowerCase(minimum) => at_least(*minimum, char::is_lowercase),
            Rule::UpperCase(minimum) => at_least(*minimum, char::is_uppercase),
            Rule::SpecialCharacters(minimum) => at_least(*minimum, |c| !c.is_alphanumeric()),
            Rule::NotUsername => *candidate.folded() != *fold(context.username),
            Rule::NotContainsUsername => {
                context.username.is_empty()
                    || !candidate.folded().contains(fold(context.username).as_str())
            }
            Rule::NotEmail => context
                .email
                .is_none_or(|email| *candidate.folded() != *fold(email)),
            Rule::Pattern(pattern) => pattern.matches(candidate.expose()),
            Rule::NotCommon => !is_common(candidate),
            Rule::NotPersonal(minimum) => context.remaining(candidate) >= *minimum as usize,
            Rule::History(_) | Rule::HistoryDays(_) => true,
        }
    }

    /// The rule's name in a policy string. `notPersonal` is of the built-in policy alone.
    pub fn policy_name(&self) -> &'static str {
        match self {
            Rule::MinimumLength(_) => "length",
            Rule::MaximumLength(_) => "maxLength",
            Rule::Digits(_) => "digits",
            Rule::LowerCase(_) => "lowerCase",
            Rule::UpperCase(_) => "upperCase",
            Rule::SpecialCharacters(_) => "specialChars",
            Rule::NotUsername => "notUsername",
            Rule::NotContainsUsername => "notContainsUsername",
            Rule::NotEmail => "notEmail",
            Rule::Pattern(_) => "regexPattern",
            Rule::NotCommon => "passwordBlacklist",
            Rule::NotPersonal(_) => "notPersonal",
            Rule::History(_) => "passwordHistory",
            Rule::HistoryDays(_) => "passwordAge",
        }
    }

    /// Keycloak's message key for the broken rule: the `error` of the admin API and the
    /// `reason` of events.
    pub fn keycloak_name(&self) -> &'static str {
        match self {
            Rule::MinimumLength(_) => "invalidPasswordMinLengthMessage",
            Rule::MaximumLength(_) => "invalidPasswordMaxLengthMessage",
            Rule::Digits(_) => "invalidPasswordMinDigitsMessage",
            Rule::LowerCase(_) => "invalidPasswordMinLowerCaseCharsMessage",
            Rule::UpperCase(_) => "invalidPasswordMinUpperCaseCharsMessage",
            Rule::SpecialCharacters(_) => "invalidPasswordMinSpecialCharsMessage",
            Rule::NotUsername => "invalidPasswordNotUsernameMessage",
            Rule::NotContainsUsername => "invalidPasswordNotContainsUsernameMessage",
            Rule::NotEmail => "invalidPasswordNotEmailMessage",
            Rule::Pattern(_) => "invalidPasswordRegexPatternMessage",
            Rule::NotCommon => "invalidPasswordBlacklistedMessage",
            Rule::NotPersonal(_) | Rule::HistoryDays(_) => "invalidPasswordGenericMessage",
            Rule::History(_) => "invalidPasswordHistoryMessage",
        }
    }

    /// What fills the placeholders of the message, in order.
    pub fn parameters(&self) -> Vec<String> {
        match self {
            Rule::MinimumLength(number)
            | Rule::MaximumLength(number)
            | Rule::Digits(number)
            | Rule::LowerCase(number)
            | Rule::UpperCase(number)
            | Rule::SpecialCharacters(number)
            | Rule::NotPersonal(number)
            | Rule::History(number)
            | Rule::HistoryDays(number) => vec![number.to_string()],
            Rule::Pattern(pattern) => vec![pattern.source().to_owned()],
            Rule::NotUsername | Rule::NotContainsUsername | Rule::NotEmail | Rule::NotCommon => {
                Vec::new()
            }
        }
    }

    /// The sentence for the broken rule in English: the admin API's `error_description`.
    pub fn english(&self) -> String {
        let broken = match self {
            Rule::MinimumLength(number) => format!("minimum length {number}"),
            Rule::MaximumLength(number) => format!("maximum length {number}"),
            Rule::Digits(number) => format!("must contain at least {number} numerical digits"),
            Rule::LowerCase(number) => {
                format!("must contain at least {number} lower case characters")
            }
            Rule::UpperCase(number) => {
                format!("must contain at least {number} upper case characters")
            }
            Rule::SpecialCharacters(number) => {
                format!("must contain at least {number} special characters")
            }
            Rule::NotUsername => "must not be equal to the username".to_owned(),
            Rule::NotContainsUsername => "Can not contain the username".to_owned(),
            Rule::NotEmail => "must not be equal to the email".to_owned(),
            Rule::Pattern(_) => "fails to match regex pattern(s)".to_owned(),
            Rule::NotCommon => "password is blacklisted".to_owned(),
            Rule::NotPersonal(number) => format!(
                "must contain at least {number} characters besides your names, your address and the name of the realm"
            ),
            Rule::History(number) => {
                format!("must not be equal to any of last {number} passwords")
            }
            Rule::HistoryDays(number) => {
                format!("must not be a password of the last {number} days")
            }
        };
        format!("Invalid password: {broken}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOBBY: Context<'_> = Context {
        username: "bobby",
        email: Some("bob2@example.org"),
        first_name: None,
        last_name: None,
        realm: "acme",
    };

    fn met(rule: &Rule, typed: &str) -> bool {
        rule.is_met(&Password::parse(typed).unwrap(), &BOBBY)
    }

    #[test]
    fn broken_rules_are_reported_in_keycloaks_words() {
        let pattern = Pattern::parse("^x.*$").unwrap();
        for (rule, broken, kept, name, english) in [
            (
                Rule::MinimumLength(8),
                "abc",
                "abcdefgh",
                "MinLength",
                "minimum length 8.",
            ),
            (
                Rule::MaximumLength(5),
                "abcdefgh",
                "abcde",
                "MaxLength",
                "maximum length 5.",
            ),
            (
                Rule::Digits(2),
                "abc1",
                "a1b2",
                "MinDigits",
                "must contain at least 2 numerical digits.",
            ),
            (
                Rule::LowerCase(1),
                "ABC",
                "ABc",
                "MinLowerCaseChars",
                "must contain at least 1 lower case characters.",
            ),
            (
                Rule::UpperCase(1),
                "abc",
                "ab\u{c9}",
                "MinUpperCaseChars",
                "must contain at least 1 upper case characters.",
            ),
            (
                Rule::SpecialCharacters(1),
                "abc1\u{e9}",
                "a b",
                "MinSpecialChars",
                "must contain at least 1 special characters.",
            ),
            (
                Rule::NotUsername,
                "Bobby",
                "bobby1",
                "NotUsername",
                "must not be equal to the username.",
            ),
            (
                Rule::NotContainsUsername,
                "xBOBBYx",
                "robert",
                "NotContainsUsername",
                "Can not contain the username.",
            ),
            (
                Rule::NotEmail,
                "bob2@Example.org",
                "bob2",
                "NotEmail",
                "must not be equal to the email.",
            ),
            (
                Rule::Pattern(pattern),
                "abc",
                "xyz",
                "RegexPattern",
                "fails to match regex pattern(s).",
            ),
            (
                Rule::NotCommon,
                "Password1",
                "tulip-fjord",
                "Blacklisted",
                "password is blacklisted.",
            ),
        ] {
            assert!(!met(&rule, broken), "{rule:?}");
            assert!(met(&rule, kept), "{rule:?}");
            assert_eq!(
                rule.keycloak_name(),
                format!("invalidPassword{name}Message")
            );
            assert_eq!(rule.english(), format!("Invalid password: {english}"));
        }
    }

    #[test]
    fn parameters_fill_the_message() {
        assert_eq!(Rule::MinimumLength(8).parameters(), ["8"]);
        assert_eq!(
            Rule::Pattern(Pattern::parse("a+").unwrap()).parameters(),
            ["a+"]
        );
        assert!(Rule::NotEmail.parameters().is_empty());
    }

    #[test]
    fn rules_about_facts_the_person_lacks_are_met() {
        let nobody = Context {
            username: "",
            email: None,
            ..BOBBY
        };
        let candidate = Password::parse("anything").unwrap();
        assert!(Rule::NotContainsUsername.is_met(&candidate, &nobody));
        assert!(Rule::NotEmail.is_met(&candidate, &nobody));
    }
}
