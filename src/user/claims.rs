//! Addresses as names to sign in by, for a whole realm at once.
//!
//! While a realm lets people share addresses, nobody signs in by one, and one person's user name may be another's
//! address. When that ends, every address becomes its person's name again, or it does not end (threat V122). Called by
//! the admin API.

use diesel::dsl::{count_star, exists, not};
use diesel::prelude::*;

use crate::kernel::RealmId;
use crate::store::schema::{login_names, users};
use crate::store::{StoreError, Tx, db};

/// Makes every address of the realm its person's name, or none where some cannot be: answers these, as they are
/// compared.
///
/// # Errors
/// The database fails; a unique violation where somebody takes one of the names meanwhile.
pub fn claim_addresses(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Vec<String>, StoreError> {
    let shared = shared(tx, realm)?;
    if !shared.is_empty() {
        return Ok(shared);
    }
    db!(tx, |c| users::table
        .filter(users::realm_id.eq(realm))
        .filter(users::service_client.is_null())
        .filter(users::email_key.is_not_null())
        .filter(not(exists(
            login_names::table
                .filter(login_names::realm_id.eq(realm))
                .filter(login_names::name_key.nullable().eq(users::email_key))
        )))
        .select((
            users::realm_id,
            users::email_key.assume_not_null(),
            users::id
        ))
        .insert_into(login_names::table)
        .into_columns((
            login_names::realm_id,
            login_names::name_key,
            login_names::user_id
        ))
        .execute(c))?;
    Ok(Vec::new())
}

/// The keys of the addresses that two people have, or that one has and another signs in by.
fn shared(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Vec<String>, StoreError> {
    let twice: Vec<Option<String>> = db!(tx, |c| users::table
        .filter(users::realm_id.eq(realm))
        .filter(users::service_client.is_null())
        .filter(users::email_key.is_not_null())
        .group_by(users::email_key)
        .having(count_star().gt(1))
        .select(users::email_key)
        .load(c))?;
    let names: Vec<String> = db!(tx, |c| users::table
        .inner_join(
            login_names::table.on(login_names::name_key
                .nullable()
                .eq(users::email_key)
                .and(login_names::realm_id.eq(users::realm_id)))
        )
        .filter(users::realm_id.eq(realm))
        .filter(users::service_client.is_null())
        .filter(login_names::user_id.ne(users::id))
        .select(login_names::name_key)
        .load(c))?;
    let mut all: Vec<String> = twice.into_iter().flatten().chain(names).collect();
    all.sort();
    all.dedup();
    Ok(all)
}
