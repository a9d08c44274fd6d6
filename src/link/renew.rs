//! A link after it was sent: renewed because its time is over, or taken back.

use super::create::{queue, store, unsent, words};
use super::{Link, LinkId, NewLink, Purpose, Sender, State, rows, with_user};
use crate::kernel::{RealmId, RoleId, UserId};
use crate::mail::Tools;
use crate::realm::Realm;
use crate::store::dialect::{Lock, lock_user};
use crate::store::{StoreError, Tx};

/// Renewals of one original, and seconds between two of them.
const RENEWALS: (i64, i64) = (3, 600);

/// What became of the wish for a fresh link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// It is on its way to the same address.
    Mailed,
    /// There was one a moment ago.
    TooSoon,
    /// There were enough, or the link was not ended by time alone.
    Never,
}

/// Mails a fresh link in the place of one whose time is over, to the same address: at most one in ten minutes and
/// three for one original. What was taken back, used or replaced is not renewed, what stood in a notice neither, and no
/// forgotten password's link once the realm lets nobody ask for one.
///
/// # Errors
/// The database fails.
pub fn renew(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, id): (&Realm, &LinkId),
) -> Result<Renewed, StoreError> {
    let Some(old) = rows::by_id(tx, id)?.filter(|link| link.realm_id == realm.id) else {
        return Ok(Renewed::Never);
    };
    lock_user(tx, &old.user_id, Lock::Update)?;
    let Some((old, user)) = with_user(tx, &realm.id, &old.id)? else {
        return Ok(Renewed::Never);
    };
    let now = tx.now()?;
    let original = match &old.original_id {
        Some(id) => rows::by_id(tx, id)?,
        None => Some(old.clone()),
    };
    let (Some(original), Some(address)) = (original, old.address.clone()) else {
        return Ok(Renewed::Never);
    };
    let expired = |link: &Link| link.state(&user, now) == State::Expired;
    if !expired(&old)
        || !expired(&original)
        || !old.proves_mailbox()
        || old.purpose == Purpose::NotMe
        || original.renewals >= RENEWALS.0
        || (old.purpose == Purpose::ForgottenPassword && !realm.settings.reset_password_allowed)
        || rows::campaign_is_cancelled(tx, &old)?
    {
        return Ok(Renewed::Never);
    }
    if !rows::count_renewal(tx, &original.id, RENEWALS)? {
        return Ok(Renewed::TooSoon);
    }
    let new = NewLink {
        actions: old.actions.clone(),
        new_address: (old.purpose == Purpose::UpdateEmail).then(|| address.clone()),
        client_id: old.client_id.clone(),
        redirect_uri: old.redirect_uri.clone(),
        lifespan: Some(old.lifespan),
        campaign: old.campaign_id.clone(),
        ..NewLink::of(realm, &user.id, old.purpose, Sender::Person)
    };
    let mut link = unsent(tx, tools, &new, (&user, Some(address.clone())))?;
    link.good_until = now.plus_seconds(link.lifespan.saturating_mul(2));
    link.original_id = Some(original.id);
    store(tx, tools, &new, (&user, &link))?;
    let mail = queue(tx, (tools, realm), (&user, &link, &address), &words(&new))?;
    rows::set_mail(tx, &link.id, &mail)?;
    Ok(Renewed::Mailed)
}

/// Takes a link of a person back; `false`: it is none of his, or ended already.
///
/// # Errors
/// The database fails.
pub fn revoke(tx: &mut Tx<'_>, user: &UserId, id: &LinkId) -> Result<bool, StoreError> {
    lock_user(tx, user, Lock::Update)?;
    let now = tx.now()?;
    rows::revoke(tx, (user, id), now)
}

/// Takes back what a campaign has sent and nobody has used, apart from the links of people who have one of these
/// roles; answers how many.
///
/// # Errors
/// The database fails.
pub fn revoke_campaign(
    tx: &mut Tx<'_>,
    (realm, campaign): (&RealmId, &str),
    spared: &[RoleId],
) -> Result<usize, StoreError> {
    let now = tx.now()?;
    rows::revoke_campaign(tx, (realm, campaign), spared, now)
}
