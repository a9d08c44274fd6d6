//! `VERIFY_EMAIL`: the person proves the address by a code that was mailed to it.

use crate::action::{Facts, RequiredAction};

/// The action.
pub struct VerifyEmail;

/// Its name.
pub const NAME: &str = "VERIFY_EMAIL";

impl RequiredAction for VerifyEmail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["verifyEmail"]
    }

    /// Also where nobody set it: the realm's `verifyEmail` asks it of everyone with an unproved address.
    fn outstanding(&self, facts: &Facts) -> bool {
        let demanded =
            facts.realm_verifies_email && !facts.user.email_verified && facts.user.email.is_some();
        demanded || facts.met(NAME).is_some()
    }
}
