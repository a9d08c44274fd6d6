//! Ends everything that anybody holds: what a restored backup must not bring back (threat V184, reliability R-21).
//!
//! A backup revives sessions, refresh tokens and codes that were ended since it was made. Each person gets another
//! epoch, which nothing from before carries, and each realm a `notBefore` of now. In portions, so that no statement
//! lasts; interrupted, it is simply done again. Called by `vestibule admin revoke-everything`.

use diesel::prelude::*;

use crate::kernel::{Entropy, UserId};
use crate::realm;
use crate::store::schema::{codes, email_codes, flows, sessions, users};
use crate::store::{Store, StoreError, Tx, db};

/// People, or rows, of one transaction.
const PORTION: i64 = 2000;

/// Ends everything; answers how many people there are.
///
/// # Errors
/// The database fails.
pub fn end_everything(store: &Store, entropy: &Entropy) -> Result<usize, StoreError> {
    store.tx(end_tokens)?;
    let mut people: usize = 0;
    let mut last = UserId::new(String::new());
    loop {
        let after = last.clone();
        let some = store.tx(|tx| end_people(tx, entropy, &after))?;
        people = people.saturating_add(some.len());
        match some.into_iter().next_back() {
            Some(id) => last = id,
            None => break,
        }
    }
    while store.tx(end_sessions)? > 0 {}
    // What is left hangs on no session: flows on their way, and codes in the mail.
    store.tx(|tx| {
        db!(tx, |c| diesel::delete(flows::table).execute(c))?;
        db!(tx, |c| diesel::delete(codes::table).execute(c))?;
        db!(tx, |c| diesel::delete(email_codes::table).execute(c))?;
        Ok::<_, StoreError>(())
    })?;
    Ok(people)
}

/// Tokens from before now work at no endpoint of any realm.
fn end_tokens(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let now = tx.now()?;
    for mut realm in realm::rows::all(tx)? {
        realm.not_before = realm.not_before.max(now);
        realm::rows::update(tx, &realm)?;
        realm::rows::touch(tx, &realm.id)?;
    }
    Ok(())
}

/// Gives the next people an epoch that was never anybody's; one value does for all of them, for it is compared within
/// one person's row alone.
fn end_people(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    after: &UserId,
) -> Result<Vec<UserId>, StoreError> {
    let ids: Vec<UserId> = db!(tx, |c| users::table
        .filter(users::id.gt(after))
        .order(users::id)
        .select(users::id)
        .limit(PORTION)
        .load(c))?;
    let epoch = entropy.random_uuid();
    if let Some(last) = ids.last() {
        db!(tx, |c| diesel::update(
            users::table
                .filter(users::id.gt(after))
                .filter(users::id.le(last))
        )
        .set((
            users::auth_epoch.eq(&epoch),
            users::gate_version.eq(users::gate_version + 1)
        ))
        .execute(c))?;
    }
    Ok(ids)
}

fn end_sessions(tx: &mut Tx<'_>) -> Result<usize, StoreError> {
    let ids: Vec<String> = db!(tx, |c| sessions::table
        .select(sessions::id)
        .limit(PORTION)
        .load(c))?;
    db!(tx, |c| diesel::delete(
        sessions::table.filter(sessions::id.eq_any(&ids))
    )
    .execute(c))
}
