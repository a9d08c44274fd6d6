//! `UPDATE_PROFILE`: the person completes or corrects the names. A set address is not changed here (threat V187).

use crate::action::RequiredAction;

/// The action.
pub struct UpdateProfile;

/// Its name.
pub const NAME: &str = "UPDATE_PROFILE";

impl RequiredAction for UpdateProfile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["updateProfile"]
    }
}
