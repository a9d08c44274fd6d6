//! The required actions that this server can carry out, one file each.

pub mod terms;
pub mod update_password;
pub mod update_profile;
pub mod verify_email;

use super::RequiredAction;

/// The list. Order is that of pages where a realm does not say otherwise; `UPDATE_PASSWORD` is first in any realm.
pub static ALL: [&dyn RequiredAction; 4] = [
    &update_password::UpdatePassword,
    &terms::TermsAndConditions,
    &update_profile::UpdateProfile,
    &verify_email::VerifyEmail,
];

/// The names of all actions, for messages that say which there are.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|kind| kind.name()).collect()
}
