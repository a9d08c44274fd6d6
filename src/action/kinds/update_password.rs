//! `UPDATE_PASSWORD`: the forced reset. The person sets a new password; everything older ends.

use crate::action::RequiredAction;

/// The action.
pub struct UpdatePassword;

/// Its name.
pub const NAME: &str = "UPDATE_PASSWORD";

impl RequiredAction for UpdatePassword {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["UPDATE-PASSWORD", "updatePassword"]
    }
}
