//! Templates in SQL. Whoever changes one raises the realm's version in the same transaction, by which every node learns
//! of it.

use diesel::prelude::*;

use super::{Place, Source};
use crate::kernel::{ClientUuid, RealmId, Timestamp};
use crate::store::schema::mail_templates as table;
use crate::store::{StoreError, Tx, db};

/// A stored template.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where it is used.
    pub place: Place,
    /// How it is written.
    pub source: Source,
    /// When it was stored.
    pub changed_at: Timestamp,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    realm_id: RealmId,
    purpose: String,
    client_uuid: Option<ClientUuid>,
    /// The client's id, or the realm's: a primary key has no nulls.
    container_id: String,
    /// A tag, or empty for every language.
    locale: String,
    subject: String,
    text: String,
    html: String,
    changed_at: Timestamp,
}

impl From<Row> for Stored {
    fn from(row: Row) -> Self {
        Self {
            place: Place {
                purpose: row.purpose,
                client: row.client_uuid,
                locale: Some(row.locale).filter(|tag| !tag.is_empty()),
            },
            source: Source {
                subject: row.subject,
                text: row.text,
                html: row.html,
            },
            changed_at: row.changed_at,
        }
    }
}

fn container(realm: &RealmId, place: &Place) -> String {
    let client = place.client.as_ref().map(ClientUuid::as_str);
    client.unwrap_or_else(|| realm.as_str()).to_owned()
}

fn tag(place: &Place) -> &str {
    place.locale.as_deref().unwrap_or_default()
}

/// Every template of the realm, by purpose, those of the realm as a whole first.
///
/// # Errors
/// The database fails.
pub fn all(tx: &mut Tx<'_>, realm: &RealmId) -> Result<Vec<Stored>, StoreError> {
    let rows: Vec<Row> = db!(tx, |c| table::table
        .filter(table::realm_id.eq(realm))
        .order((table::purpose, table::container_id, table::locale))
        .select(Row::as_select())
        .load(c))?;
    let mut all: Vec<Stored> = rows.into_iter().map(Stored::from).collect();
    all.sort_by_key(|one| (one.place.purpose.clone(), one.place.client.is_some()));
    Ok(all)
}

/// The template of exactly that place.
///
/// # Errors
/// The database fails.
pub fn find(tx: &mut Tx<'_>, realm: &RealmId, place: &Place) -> Result<Option<Stored>, StoreError> {
    let row: Option<Row> = db!(tx, |c| table::table
        .filter(table::realm_id.eq(realm))
        .filter(table::purpose.eq(&place.purpose))
        .filter(table::container_id.eq(container(realm, place)))
        .filter(table::locale.eq(tag(place)))
        .select(Row::as_select())
        .first(c)
        .optional())?;
    Ok(row.map(Stored::from))
}

/// How many the realm has.
///
/// # Errors
/// The database fails.
pub fn count(tx: &mut Tx<'_>, realm: &RealmId) -> Result<i64, StoreError> {
    db!(tx, |c| table::table
        .filter(table::realm_id.eq(realm))
        .count()
        .get_result(c))
}

/// Stores a template in the place of the one that was there.
///
/// # Errors
/// The database fails.
pub fn put(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    (place, source): (&Place, &Source),
) -> Result<(), StoreError> {
    let row = Row {
        realm_id: realm.clone(),
        purpose: place.purpose.clone(),
        client_uuid: place.client.clone(),
        container_id: container(realm, place),
        locale: tag(place).to_owned(),
        subject: source.subject.clone(),
        text: source.text.clone(),
        html: source.html.clone(),
        changed_at: tx.now()?,
    };
    db!(tx, |c| diesel::insert_into(table::table)
        .values(&row)
        .on_conflict((
            table::realm_id,
            table::purpose,
            table::container_id,
            table::locale,
        ))
        .do_update()
        .set((
            table::subject.eq(&row.subject),
            table::text.eq(&row.text),
            table::html.eq(&row.html),
            table::changed_at.eq(row.changed_at),
        ))
        .execute(c))?;
    Ok(())
}

/// Deletes the template of exactly that place; `false`: there was none.
///
/// # Errors
/// The database fails.
pub fn delete(tx: &mut Tx<'_>, realm: &RealmId, place: &Place) -> Result<bool, StoreError> {
    let deleted = db!(tx, |c| diesel::delete(
        table::table
            .filter(table::realm_id.eq(realm))
            .filter(table::purpose.eq(&place.purpose))
            .filter(table::container_id.eq(container(realm, place)))
            .filter(table::locale.eq(tag(place)))
    )
    .execute(c))?;
    Ok(deleted == 1)
}
