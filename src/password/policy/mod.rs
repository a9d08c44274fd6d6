//! What a new password must be: the realm's `passwordPolicy`, or the built-in policy.
//!
//! Where the realm's policy (Keycloak's syntax) is set, it rules, for everybody. Where it is
//! empty, passwords that people choose for themselves meet the built-in policy (NIST SP
//! 800-63B-4 section 3.1.1.2, OWASP ASVS 5.0 section 6.2), and those set by an administrator,
//! a script or an import are not judged, as existing scripts expect.
//!
//! A policy is a list of [`Rule`]s: the page shows them before typing, the check walks them,
//! and what it answers are the rules that were broken. History needs stored hashes and is the
//! caller's: see [`PasswordPolicy::history`]. Called by the gate, links, the account console,
//! the admin API and imports.

mod context;
mod parse;
mod pattern;
mod rule;

pub use context::Context;
pub use parse::PolicyError;
pub use pattern::Pattern;
pub use rule::Rule;

use super::Password;

/// Characters a password needs when it is the only factor (S120).
const MINIMUM_ALONE: u32 = 15;
/// Characters a password needs beside a second factor (S120).
const MINIMUM_BESIDE_SECOND_FACTOR: u32 = 8;
/// Characters that must remain once the person's own words are taken out (S073).
const MINIMUM_REMAINING: u32 = 8;

/// A realm's password policy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PasswordPolicy {
    clauses: Vec<Clause>,
}

/// Who chose the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The person, on a page.
    Person,
    /// An administrator, a script, or an import.
    Administrator,
}

/// One part of a policy string.
#[derive(Debug, Clone, PartialEq)]
enum Clause {
    /// Judges a candidate.
    Rule(Rule),
    /// `forceExpiredPasswordChange`: days until the password must be changed.
    ExpiresAfterDays(u32),
    /// `maxAuthAge`: seconds a sign-in is good for a change of credentials.
    MaximumAuthenticationAge(u32),
    /// `recoveryCodesWarningThreshold`: codes left when the person is warned.
    RecoveryCodesWarning(u32),
    /// `hashAlgorithm` or `hashIterations`, which this server decides itself.
    Hashing(&'static str),
}

impl PasswordPolicy {
    /// The rules for display before typing, and those [`PasswordPolicy::check`] walks (history
    /// is shown here and checked by the caller).
    pub fn rules(&self, second_factor: bool) -> Vec<Rule> {
        if self.clauses.is_empty() {
            return built_in(second_factor);
        }
        self.own_rules().cloned().collect()
    }

    /// Judges a candidate. The error holds every broken rule, in the policy's order.
    /// `second_factor` says whether the person also signs in with another factor.
    pub fn check(
        &self,
        candidate: &Password,
        context: &Context<'_>,
        origin: Origin,
        second_factor: bool,
    ) -> Result<(), Vec<Rule>> {
        if self.clauses.is_empty() && origin == Origin::Administrator {
            return Ok(());
        }
        let mut broken = self.rules(second_factor);
        broken.retain(|rule| !rule.is_met(candidate, context));
        if broken.is_empty() {
            Ok(())
        } else {
            Err(broken)
        }
    }

    /// How many of the last passwords, the current one included, must not be used again; 0
    /// where the policy does not say. A broken one is reported as [`Rule::History`].
    pub fn history(&self) -> u32 {
        self.find(|clause| match clause {
            Clause::Rule(Rule::History(passwords)) => Some(*passwords),
            _ => None,
        })
        .unwrap_or(0)
    }

    /// How many days back a password must not be used again; a broken one is reported as
    /// [`Rule::HistoryDays`].
    pub fn history_days(&self) -> Option<u32> {
        self.find(|clause| match clause {
            Clause::Rule(Rule::HistoryDays(days)) => Some(*days),
            _ => None,
        })
    }

    /// After how many days a password must be changed.
    pub fn expires_after_days(&self) -> Option<u32> {
        self.find(|clause| match clause {
            Clause::ExpiresAfterDays(days) => Some(*days),
            _ => None,
        })
    }

    /// How old a sign-in may be, in seconds, for a change of credentials.
    pub fn maximum_authentication_age(&self) -> Option<u32> {
        self.find(|clause| match clause {
            Clause::MaximumAuthenticationAge(seconds) => Some(*seconds),
            _ => None,
        })
    }

    /// How few recovery codes are left when the person is warned.
    pub fn recovery_codes_warning(&self) -> Option<u32> {
        self.find(|clause| match clause {
            Clause::RecoveryCodesWarning(codes) => Some(*codes),
            _ => None,
        })
    }

    /// What an administrator should know about this policy: parts that do harm or do nothing.
    pub fn warnings(&self) -> Vec<String> {
        self.clauses.iter().filter_map(Clause::warning).collect()
    }

    fn own_rules(&self) -> impl Iterator<Item = &Rule> {
        self.clauses.iter().filter_map(|clause| match clause {
            Clause::Rule(rule) => Some(rule),
            _ => None,
        })
    }

    /// The last clause that answers, as Keycloak lets the last of duplicates win.
    fn find<T>(&self, answer: impl Fn(&Clause) -> Option<T>) -> Option<T> {
        self.clauses.iter().rev().find_map(answer)
    }
}

fn built_in(second_factor: bool) -> Vec<Rule> {
    let minimum = if second_factor {
        MINIMUM_BESIDE_SECOND_FACTOR
    } else {
        MINIMUM_ALONE
    };
    vec![
        Rule::MinimumLength(minimum),
        Rule::NotCommon,
        Rule::NotPersonal(MINIMUM_REMAINING),
    ]
}

impl Clause {
    fn warning(&self) -> Option<String> {
        match self {
            Clause::Rule(
                rule @ (Rule::Digits(_)
                | Rule::LowerCase(_)
                | Rule::UpperCase(_)
                | Rule::SpecialCharacters(_)),
            ) => Some(format!(
                "{} makes passwords harder to remember, not harder to guess; a longer minimum length helps more.",
                rule.policy_name()
            )),
            Clause::Rule(Rule::MinimumLength(minimum)) if *minimum < MINIMUM_BESIDE_SECOND_FACTOR => {
                Some(format!("length({minimum}) is short: 8 is the least, 15 without a second factor."))
            }
            Clause::Rule(Rule::MaximumLength(maximum)) if *maximum < 64 => {
                Some(format!("maxLength({maximum}) refuses good passphrases: 64 is the least maximum."))
            }
            Clause::Rule(Rule::NotCommon) => Some(
                "passwordBlacklist uses the built-in list of common passwords; the named file is not read."
                    .to_owned(),
            ),
            Clause::ExpiresAfterDays(days) => Some(format!(
                "forceExpiredPasswordChange({days}) leads to weaker passwords; force a reset when there is a reason."
            )),
            Clause::Hashing(name) => {
                Some(format!("{name} has no effect: the server's own Argon2id settings are used."))
            }
            Clause::Rule(_)
            | Clause::MaximumAuthenticationAge(_)
            | Clause::RecoveryCodesWarning(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEDWIG: Context<'_> = Context {
        username: "hedwig.rosen",
        email: Some("h.rosenberg@example.org"),
        first_name: Some("Hedwig"),
        last_name: Some("Rosen"),
        realm: "harbour",
    };

    fn judge(policy: &str, typed: &str, origin: Origin, second_factor: bool) -> Vec<Rule> {
        let policy = PasswordPolicy::parse(policy).unwrap();
        let candidate = Password::parse(typed).unwrap();
        policy
            .check(&candidate, &HEDWIG, origin, second_factor)
            .err()
            .unwrap_or_default()
    }

    fn chosen(typed: &str) -> Vec<Rule> {
        judge("", typed, Origin::Person, false)
    }

    #[test]
    fn people_choose_fifteen_characters_or_eight_beside_a_second_factor() {
        assert_eq!(chosen("tulip-fjord-93"), [Rule::MinimumLength(15)]);
        assert_eq!(chosen("tulip-fjord-931"), []);
        assert_eq!(
            judge("", "tul-931", Origin::Person, true),
            [Rule::MinimumLength(8), Rule::NotPersonal(8)]
        );
        assert_eq!(judge("", "tul-9314", Origin::Person, true), []);
        let fifteen_characters = "\u{1F511}\u{e9}".repeat(7) + "x";
        assert_eq!(chosen(&fifteen_characters), []);
    }

    #[test]
    fn common_passwords_and_those_made_of_the_persons_own_words_are_refused() {
        assert_eq!(chosen("1qaz2wsx3edc4rfv"), [Rule::NotCommon]);
        for personal in [
            "HedwigRosen2026",
            "hedwig.rosen.harbour",
            "h.rosenberg@123456",
            "harbour-harbour-harbour",
            "vestibule-123456",
            "rosen hedwig rosen hedwig",
        ] {
            assert_eq!(chosen(personal), [Rule::NotPersonal(8)], "{personal}");
        }
        assert_eq!(chosen("hedwig likes herons"), []);
    }

    #[test]
    fn without_a_policy_administrators_are_not_judged() {
        assert_eq!(judge("", "x", Origin::Administrator, false), []);
        assert_eq!(judge("  ", "x", Origin::Administrator, false), []);
        assert_eq!(
            judge("length(8)", "x", Origin::Administrator, false),
            [Rule::MinimumLength(8)]
        );
    }

    #[test]
    fn a_set_policy_rules_alone_and_reports_all_that_is_broken() {
        assert_eq!(judge("length(8)", "password", Origin::Person, false), []);
        let policy = "length(8) and digits(1) and upperCase and notUsername(undefined)";
        assert_eq!(
            judge(policy, "abc", Origin::Person, false),
            [Rule::MinimumLength(8), Rule::Digits(1), Rule::UpperCase(1)]
        );
    }

    #[test]
    fn what_is_not_judged_here_can_be_read() {
        let policy = PasswordPolicy::parse(
            "passwordHistory(3) and passwordAge(30) and forceExpiredPasswordChange(365) and \
             maxAuthAge(300) and recoveryCodesWarningThreshold(4) and hashIterations(7) and \
             hashAlgorithm(argon2)",
        )
        .unwrap();
        assert_eq!(policy.history(), 3);
        assert_eq!(policy.history_days(), Some(30));
        assert_eq!(policy.expires_after_days(), Some(365));
        assert_eq!(policy.maximum_authentication_age(), Some(300));
        assert_eq!(policy.recovery_codes_warning(), Some(4));
        assert_eq!(
            policy.rules(false),
            [Rule::History(3), Rule::HistoryDays(30)]
        );
        assert_eq!(PasswordPolicy::default().history(), 0);
    }

    #[test]
    fn harmful_and_idle_parts_are_named() {
        let policy = PasswordPolicy::parse(
            "length(6) and digits(1) and forceExpiredPasswordChange(90) and hashIterations(1) and \
             passwordBlacklist(x.txt) and maxLength(20) and notUsername",
        )
        .unwrap();
        let warnings = policy.warnings();
        assert_eq!(warnings.len(), 6, "{warnings:#?}");
        assert!(
            PasswordPolicy::parse("length(15) and notEmail")
                .unwrap()
                .warnings()
                .is_empty()
        );
    }
}
