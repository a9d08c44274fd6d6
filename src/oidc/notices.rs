//! Notices by mail.

use super::catalog::RealmConfig;
use super::engine::Engine;
use crate::store::{StoreError, Tx};
use crate::user::User;

pub(super) fn password_changed(
    _: &mut Tx<'_>,
    _: &Engine,
    _: &RealmConfig,
    _: &User,
) -> Result<(), StoreError> {
    Ok(())
}
