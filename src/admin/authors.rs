//! Who may stop what somebody else has ordered: its author, and whoever holds the author's powers over the realm, so
//! that nobody keeps a leak open which a superior is closing (threat V137).

use super::approval::holds_all;
use super::call::Context;
use super::caller;
use super::error::AdminError;
use crate::kernel::UserId;
use crate::realm;
use crate::user;

/// Refuses callers who lack a power that the author has over the path's realm; `None` is whoever has the host, who has
/// them all. What somebody has ordered who is not there any more, everybody who manages people may stop.
///
/// # Errors
/// The caller may not.
pub fn may_stop(context: &mut Context<'_, '_>, author: Option<&UserId>) -> Result<(), AdminError> {
    let may = match author {
        None => holds_all(context),
        Some(author) if *author == context.caller.user => true,
        Some(author) => has_powers_of(context, author)?,
    };
    if may {
        Ok(())
    } else {
        Err(AdminError::Forbidden)
    }
}

fn has_powers_of(context: &mut Context<'_, '_>, author: &UserId) -> Result<bool, AdminError> {
    let Some(user) = user::rows::by_id(context.tx, author)? else {
        return Ok(true);
    };
    let home = match realm::rows::by_id(context.tx, &user.realm_id)? {
        Some(realm) => context.engine.catalog.current(context.tx, &realm.name)?,
        None => None,
    };
    let Some(home) = home else { return Ok(true) };
    let powers = caller::powers_of(context.tx, &home, author)?;
    let here = powers.over(&context.config.realm.name);
    Ok(here.within(&context.caller.powers))
}
