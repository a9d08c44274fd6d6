//! The gate's look at a user and his realm, in one query: it is asked before every token.

use diesel::prelude::*;

use super::User;
use super::rows::UserRow;
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::schema::{realms, users};
use crate::store::{StoreError, Tx, db};

/// What the gate reads of the realm beside the user.
#[derive(Debug, Clone, Copy)]
pub struct RealmFacts {
    /// Whether anything of it answers.
    pub enabled: bool,
    /// Whether it wants proved addresses.
    pub verifies_email: bool,
    /// Tokens from before are refused.
    pub not_before: Timestamp,
    /// The version of its configuration.
    pub version: i64,
}

/// The realm's user of that id with what the gate reads of the realm, in one look.
///
/// # Errors
/// The database fails.
pub fn with_realm(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &UserId,
) -> Result<Option<(User, RealmFacts)>, StoreError> {
    let row: Option<(UserRow, (bool, bool, Timestamp, i64))> = db!(tx, |c| users::table
        .inner_join(realms::table)
        .filter(users::id.eq(id))
        .filter(users::realm_id.eq(realm))
        .select((
            UserRow::as_select(),
            (
                realms::enabled,
                realms::verify_email,
                realms::not_before,
                realms::version
            )
        ))
        .first(c)
        .optional())?;
    row.map(|(row, (enabled, verifies_email, not_before, version))| {
        let facts = RealmFacts {
            enabled,
            verifies_email,
            not_before,
            version,
        };
        Ok((User::try_from(row)?, facts))
    })
    .transpose()
}
