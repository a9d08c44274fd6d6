//! Links in SQL.
//!
//! Every change of a link is one conditional write, and its row count says who was first.

use diesel::prelude::*;

use super::{Link, LinkId, Purpose};
use crate::kernel::{RealmId, RoleId, Timestamp, UserId};
use crate::mail::OutboxId;
use crate::store::schema::{campaigns, links, user_roles};
use crate::store::{StoreError, Tx, corrupt, db};
use crate::user::AuthEpoch;

/// Wrong codes that end a code; the link lives on.
pub const WRONG_CODES: i64 = 5;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = links)]
struct LinkRow {
    id: LinkId,
    realm_id: RealmId,
    user_id: UserId,
    purpose: String,
    sets_password: bool,
    address: Option<String>,
    auth_epoch: AuthEpoch,
    key_version: i64,
    actions: String,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    lifespan: i64,
    campaign_id: Option<String>,
    mail_id: Option<OutboxId>,
    original_id: Option<LinkId>,
    renewals: i64,
    renewed_at: Option<Timestamp>,
    wrong_codes: i64,
    automated: bool,
    created_at: Timestamp,
    sent_at: Option<Timestamp>,
    opened_at: Option<Timestamp>,
    committed_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    superseded_at: Option<Timestamp>,
    expires_at: Timestamp,
}

impl TryFrom<LinkRow> for Link {
    type Error = StoreError;

    fn try_from(row: LinkRow) -> Result<Self, StoreError> {
        let purpose = Purpose::parse(&row.purpose)
            .ok_or_else(|| corrupt("links", "purpose", &row.id, &row.purpose))?;
        let actions = serde_json::from_str(&row.actions)
            .map_err(|cause| corrupt("links", "actions", &row.id, cause))?;
        Ok(Self {
            id: row.id,
            realm_id: row.realm_id,
            user_id: row.user_id,
            purpose,
            sets_password: row.sets_password,
            address: row.address,
            auth_epoch: row.auth_epoch,
            key_version: row.key_version,
            actions,
            client_id: row.client_id,
            redirect_uri: row.redirect_uri,
            lifespan: row.lifespan,
            campaign_id: row.campaign_id,
            mail_id: row.mail_id,
            original_id: row.original_id,
            renewals: row.renewals,
            renewed_at: row.renewed_at,
            wrong_codes: row.wrong_codes,
            automated: row.automated,
            created_at: row.created_at,
            sent_at: row.sent_at,
            opened_at: row.opened_at,
            committed_at: row.committed_at,
            revoked_at: row.revoked_at,
            superseded_at: row.superseded_at,
            good_until: row.expires_at,
        })
    }
}

/// Stores a new link; `address_key` is what a typed address is compared with.
///
/// # Errors
/// The database fails.
pub(super) fn insert(tx: &mut Tx<'_>, link: &Link, address_key: &str) -> Result<(), StoreError> {
    let actions = serde_json::to_string(&link.actions)
        .map_err(|cause| corrupt("links", "actions", &link.id, cause))?;
    let row = LinkRow {
        id: link.id.clone(),
        realm_id: link.realm_id.clone(),
        user_id: link.user_id.clone(),
        purpose: link.purpose.as_str().to_owned(),
        sets_password: link.sets_password,
        address: link.address.clone(),
        auth_epoch: link.auth_epoch.clone(),
        key_version: link.key_version,
        actions,
        client_id: link.client_id.clone(),
        redirect_uri: link.redirect_uri.clone(),
        lifespan: link.lifespan,
        campaign_id: link.campaign_id.clone(),
        mail_id: link.mail_id.clone(),
        original_id: link.original_id.clone(),
        renewals: link.renewals,
        renewed_at: link.renewed_at,
        wrong_codes: link.wrong_codes,
        automated: link.automated,
        created_at: link.created_at,
        sent_at: link.sent_at,
        opened_at: link.opened_at,
        committed_at: link.committed_at,
        revoked_at: link.revoked_at,
        superseded_at: link.superseded_at,
        expires_at: link.good_until,
    };
    db!(tx, |c| diesel::insert_into(links::table)
        .values((&row, links::address_key.eq(address_key)))
        .execute(c))?;
    Ok(())
}

/// The link of that id, in whatever realm: the caller compares the realm.
///
/// # Errors
/// The database fails.
pub fn by_id(tx: &mut Tx<'_>, id: &LinkId) -> Result<Option<Link>, StoreError> {
    let row: Option<LinkRow> = db!(tx, |c| links::table
        .filter(links::id.eq(id))
        .select(LinkRow::as_select())
        .first(c)
        .optional())?;
    row.map(Link::try_from).transpose()
}

/// The person's links, newest first.
///
/// # Errors
/// The database fails.
pub fn of_user(tx: &mut Tx<'_>, user: &UserId) -> Result<Vec<Link>, StoreError> {
    let rows: Vec<LinkRow> = db!(tx, |c| links::table
        .filter(links::user_id.eq(user))
        .order((links::created_at.desc(), links::id.desc()))
        .select(LinkRow::as_select())
        .load(c))?;
    rows.into_iter().map(Link::try_from).collect()
}

/// The link of that purpose that a mail carries.
///
/// # Errors
/// The database fails.
pub(super) fn in_mail(
    tx: &mut Tx<'_>,
    mail: &OutboxId,
    purpose: Purpose,
) -> Result<Option<LinkId>, StoreError> {
    db!(tx, |c| links::table
        .filter(links::mail_id.eq(mail))
        .filter(links::purpose.eq(purpose.as_str()))
        .select(links::id)
        .first(c)
        .optional())
}

/// The realm's links by what a person types as address, newest first, whose time is not over and whose code was not
/// guessed at too often. Those in notices have no code that anybody was told.
///
/// # Errors
/// The database fails.
pub(super) fn with_code(
    tx: &mut Tx<'_>,
    (realm, address_key): (&RealmId, &str),
    now: Timestamp,
) -> Result<Vec<Link>, StoreError> {
    let rows: Vec<LinkRow> = db!(tx, |c| links::table
        .filter(links::realm_id.eq(realm))
        .filter(links::address_key.eq(address_key))
        .filter(links::purpose.ne(Purpose::NotMe.as_str()))
        .filter(links::wrong_codes.lt(WRONG_CODES))
        .filter(links::expires_at.gt(now))
        .filter(links::committed_at.is_null())
        .filter(links::revoked_at.is_null())
        .filter(links::superseded_at.is_null())
        .order(links::created_at.desc())
        .limit(8)
        .select(LinkRow::as_select())
        .load(c))?;
    rows.into_iter().map(Link::try_from).collect()
}

/// Counts a typed code before it is looked at, so that parallel guesses get no more than [`WRONG_CODES`]. `false`:
/// there was no try left.
///
/// # Errors
/// The database fails.
pub(super) fn count_code(tx: &mut Tx<'_>, id: &LinkId) -> Result<bool, StoreError> {
    let counted = db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(id))
            .filter(links::wrong_codes.lt(WRONG_CODES))
    )
    .set(links::wrong_codes.eq(links::wrong_codes + 1))
    .execute(c))?;
    Ok(counted == 1)
}

/// Gives a counted try back: the code was right.
///
/// # Errors
/// The database fails.
pub(super) fn forgive_code(tx: &mut Tx<'_>, id: &LinkId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(id))
            .filter(links::wrong_codes.gt(0))
    )
    .set(links::wrong_codes.eq(links::wrong_codes - 1))
    .execute(c))?;
    Ok(())
}

/// Notes the first press of the button by a person; `false`: it was pressed before. A machine's press counts until a
/// person's comes.
///
/// # Errors
/// The database fails.
pub fn note_opened(
    tx: &mut Tx<'_>,
    id: &LinkId,
    (now, automated): (Timestamp, bool),
) -> Result<bool, StoreError> {
    let opened = db!(tx, |c| diesel::update(
        links::table.filter(links::id.eq(id)).filter(
            links::opened_at.is_null().or(links::automated
                .eq(!automated)
                .and(links::automated.eq(true)))
        )
    )
    .set((links::opened_at.eq(now), links::automated.eq(automated)))
    .execute(c))?;
    Ok(opened == 1)
}

/// Ends a link because it has done what it is for. One statement asks for everything that could have ended it, its
/// time included; `false`: it was ended, and the caller changes nothing. The caller holds the user's lock and passes
/// the epoch that it read under it.
///
/// # Errors
/// The database fails.
pub fn commit(
    tx: &mut Tx<'_>,
    id: &LinkId,
    whose: (&UserId, &AuthEpoch),
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    set_committed(tx, id, whose, Some(now))
}

/// Holds a link that lives until the transaction ends, so that nobody ends it in between; `false`: it was ended. Asks
/// for what [`commit`] asks for; the caller holds the user's lock and passes the epoch that it read under it.
///
/// # Errors
/// The database fails.
pub fn hold(
    tx: &mut Tx<'_>,
    id: &LinkId,
    whose: (&UserId, &AuthEpoch),
) -> Result<bool, StoreError> {
    set_committed(tx, id, whose, None)
}

/// Writes when a link that lives was committed; `None` changes nothing and locks its row. `false`: it does not live.
fn set_committed(
    tx: &mut Tx<'_>,
    id: &LinkId,
    (user, epoch): (&UserId, &AuthEpoch),
    committed_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let written = db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(id))
            .filter(links::user_id.eq(user))
            .filter(links::auth_epoch.eq(epoch))
            .filter(links::committed_at.is_null())
            .filter(links::revoked_at.is_null())
            .filter(links::superseded_at.is_null())
            .filter(links::expires_at.gt(now))
    )
    .set(links::committed_at.eq(committed_at))
    .execute(c))?;
    Ok(written == 1)
}

/// Stores what is left to do on a link without a credential: one of its actions was done.
///
/// # Errors
/// The database fails.
pub fn set_actions(tx: &mut Tx<'_>, id: &LinkId, actions: &[String]) -> Result<(), StoreError> {
    let text =
        serde_json::to_string(actions).map_err(|cause| corrupt("links", "actions", id, cause))?;
    db!(tx, |c| diesel::update(
        links::table.filter(links::id.eq(id))
    )
    .set(links::actions.eq(&text))
    .execute(c))?;
    Ok(())
}

/// Ends the person's links whose place the newer one takes: every one that sets a password where it does, else those
/// of its purpose.
///
/// # Errors
/// The database fails.
pub(super) fn supersede(
    tx: &mut Tx<'_>,
    newer: &Link,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let of_its_purpose = links::purpose.eq(newer.purpose.as_str());
    db!(tx, |c| diesel::update(
        links::table
            .filter(links::user_id.eq(&newer.user_id))
            .filter(links::id.ne(&newer.id))
            .filter(links::sets_password.eq(newer.sets_password))
            .filter(of_its_purpose.or(links::sets_password.eq(true)))
            .filter(links::committed_at.is_null())
            .filter(links::revoked_at.is_null())
            .filter(links::superseded_at.is_null())
    )
    .set(links::superseded_at.eq(now))
    .execute(c))
}

/// Takes a link back; `false`: it was ended before, or is none of that person.
///
/// # Errors
/// The database fails.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    (user, id): (&UserId, &LinkId),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoked = db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(id))
            .filter(links::user_id.eq(user))
            .filter(links::committed_at.is_null())
            .filter(links::revoked_at.is_null())
    )
    .set(links::revoked_at.eq(now))
    .execute(c))?;
    Ok(revoked == 1)
}

/// Takes back the person's links of that purpose which were mailed to other addresses than these.
///
/// # Errors
/// The database fails.
pub(super) fn revoke_elsewhere(
    tx: &mut Tx<'_>,
    (user, purpose): (&UserId, Purpose),
    addresses: &[String],
) -> Result<(), StoreError> {
    let now = tx.now()?;
    db!(tx, |c| diesel::update(
        links::table
            .filter(links::user_id.eq(user))
            .filter(links::purpose.eq(purpose.as_str()))
            .filter(links::address.ne_all(addresses))
            .filter(links::committed_at.is_null())
            .filter(links::revoked_at.is_null())
    )
    .set(links::revoked_at.eq(now))
    .execute(c))?;
    Ok(())
}

/// Takes back every link of a campaign that is not committed, but for people who have one of these roles; answers how
/// many.
///
/// # Errors
/// The database fails.
pub(super) fn revoke_campaign(
    tx: &mut Tx<'_>,
    (realm, campaign): (&RealmId, &str),
    spared: &[RoleId],
    now: Timestamp,
) -> Result<usize, StoreError> {
    db!(tx, |c| diesel::update(
        links::table
            .filter(links::realm_id.eq(realm))
            .filter(links::campaign_id.eq(campaign))
            .filter(links::committed_at.is_null())
            .filter(links::revoked_at.is_null())
            .filter(
                links::user_id.ne_all(
                    user_roles::table
                        .filter(user_roles::role_id.eq_any(spared))
                        .select(user_roles::user_id)
                )
            )
    )
    .set(links::revoked_at.eq(now))
    .execute(c))
}

/// Names the mail by which the link's life is counted.
///
/// # Errors
/// The database fails.
pub(super) fn set_mail(tx: &mut Tx<'_>, id: &LinkId, mail: &OutboxId) -> Result<(), StoreError> {
    db!(tx, |c| diesel::update(
        links::table.filter(links::id.eq(id))
    )
    .set(links::mail_id.eq(mail))
    .execute(c))?;
    Ok(())
}

/// Starts the life of a link that was handed over by that mail. A further mail of a link that lives changes nothing;
/// the mail of which its life hangs, sent again, starts it anew.
///
/// # Errors
/// The database fails.
pub(super) fn start_life(tx: &mut Tx<'_>, link: &Link, mail: &OutboxId) -> Result<(), StoreError> {
    let now = tx.now()?;
    db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(&link.id))
            .filter(links::mail_id.eq(mail).or(links::sent_at.is_null()))
    )
    .set((
        links::sent_at.eq(now),
        links::expires_at.eq(now.plus_seconds(link.lifespan)),
    ))
    .execute(c))?;
    Ok(())
}

/// Counts a renewal at the original: at most `most`, and `apart` seconds from one to the next.
///
/// # Errors
/// The database fails.
pub(super) fn count_renewal(
    tx: &mut Tx<'_>,
    original: &LinkId,
    (most, apart): (i64, i64),
) -> Result<bool, StoreError> {
    let now = tx.now()?;
    let counted = db!(tx, |c| diesel::update(
        links::table
            .filter(links::id.eq(original))
            .filter(links::renewals.lt(most))
            .filter(
                links::renewed_at
                    .is_null()
                    .or(links::renewed_at.le(now.plus_seconds(-apart)))
            )
    )
    .set((
        links::renewals.eq(links::renewals + 1),
        links::renewed_at.eq(now),
    ))
    .execute(c))?;
    Ok(counted == 1)
}

/// Whether the link is part of a campaign that was stopped for good: nobody gets a fresh one from it.
///
/// # Errors
/// The database fails.
pub fn campaign_is_cancelled(tx: &mut Tx<'_>, link: &Link) -> Result<bool, StoreError> {
    let Some(campaign) = &link.campaign_id else {
        return Ok(false);
    };
    let state: Option<String> = db!(tx, |c| campaigns::table
        .filter(campaigns::id.eq(campaign))
        .select(campaigns::state)
        .first(c)
        .optional())?;
    Ok(state.as_deref() == Some("cancelled"))
}
