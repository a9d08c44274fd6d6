//! `TERMS_AND_CONDITIONS`: the person accepts the realm's terms.

use crate::action::RequiredAction;

/// The action.
pub struct TermsAndConditions;

/// Its name.
pub const NAME: &str = "TERMS_AND_CONDITIONS";

impl RequiredAction for TermsAndConditions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["terms_and_conditions", "termsAndConditions"]
    }
}
