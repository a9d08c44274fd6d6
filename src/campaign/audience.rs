//! Freezing: writing down whom a mailing is for, portion by portion, when it starts.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::recipients::WAITING;
use super::rows::Campaign;
use crate::kernel::{ImportId, Timestamp, UserId};
use crate::store::schema::{campaign_recipients as rows, credentials, import_rows, users};
use crate::store::{StoreError, Tx, db};
use crate::user::search;

/// So many people are written down in one transaction.
const AT_ONCE: i64 = 1000;

/// Writes down the next people after the mailing's place. Answers the place after them, or `None` where all are
/// written down.
///
/// # Errors
/// The database fails.
pub(super) fn freeze(
    tx: &mut Tx<'_>,
    campaign: &Campaign,
    started: Timestamp,
) -> Result<Option<String>, StoreError> {
    if let Some(import) = &campaign.settings.import {
        return of_import(tx, campaign, import);
    }
    let mut audience = campaign.settings.audience.clone();
    audience.made_until = Some(started);
    let after = (campaign.place.as_str(), AT_ONCE);
    let ids = search::ids(tx, &campaign.realm_id, &audience, after)?;
    write_down(tx, &campaign.id, &ids)?;
    Ok(ids.last().map(|id| id.as_str().to_owned()))
}

/// The people whom an import has made, by the rows of its file; the place is the number of a row.
fn of_import(
    tx: &mut Tx<'_>,
    campaign: &Campaign,
    import: &ImportId,
) -> Result<Option<String>, StoreError> {
    let after: i64 = campaign.place.parse().unwrap_or(0);
    let made: Vec<(i64, Option<UserId>)> = db!(tx, |c| import_rows::table
        .filter(import_rows::job_id.eq(import))
        .filter(import_rows::state.eq("accepted"))
        .filter(import_rows::row_number.gt(after))
        .order(import_rows::row_number)
        .limit(AT_ONCE)
        .select((import_rows::row_number, import_rows::user_id))
        .load(c))?;
    let last = made.last().map(|(number, _)| number.to_string());
    let ids: Vec<UserId> = made.into_iter().filter_map(|(_, id)| id).collect();
    let without: Vec<UserId> = db!(tx, |c| users::table
        .filter(users::id.eq_any(&ids))
        .filter(users::realm_id.eq(&campaign.realm_id))
        .filter(not(exists(
            credentials::table
                .filter(credentials::user_id.eq(users::id))
                .filter(credentials::kind.eq("password")),
        )))
        .select(users::id)
        .load(c))?;
    write_down(tx, &campaign.id, &without)?;
    Ok(last)
}

fn write_down(tx: &mut Tx<'_>, campaign: &str, ids: &[UserId]) -> Result<(), StoreError> {
    db!(tx, |c| users::table
        .filter(users::id.eq_any(ids))
        .select((
            campaign.into_sql::<Text>(),
            users::id,
            users::username,
            WAITING.into_sql::<Text>(),
        ))
        .insert_into(rows::table)
        .into_columns((
            rows::campaign_id,
            rows::user_id,
            rows::username,
            rows::state,
        ))
        .execute(c))?;
    Ok(())
}
