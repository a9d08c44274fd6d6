//! What whoever began an import over HTTP may still do, asked anew for every chunk of it: an administrator who is
//! switched off or loses powers imports nobody from then on, and a role that has become a power meanwhile is handed
//! out by those alone who hold it (threats V137, V145).

use std::sync::Arc;

use super::caller;
use super::powers::Powers;
use crate::import::jobs::Job;
use crate::import::run::Rights;
use crate::kernel::{RoleId, UserId};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::engine::Engine;
use crate::realm;
use crate::store::{StoreError, Tx};
use crate::user;

/// The judge of those who began imports.
pub fn of(engine: Arc<Engine>) -> Rights {
    Arc::new(move |tx: &mut Tx<'_>, job: &Job| still_mine(tx, &engine, job))
}

/// The roles that the job's author may hand out now; `None` where they may not import.
fn still_mine(
    tx: &mut Tx<'_>,
    engine: &Engine,
    job: &Job,
) -> Result<Option<Vec<RoleId>>, StoreError> {
    let author = UserId::new(job.author.as_str());
    let Some(author) = user::rows::by_id(tx, &author)?.filter(|user| user.enabled) else {
        return Ok(None);
    };
    let home = realm::rows::by_id(tx, &author.realm_id)?;
    let target = realm::rows::by_id(tx, &job.realm_id)?;
    let (Some(home), Some(target)) = (home.filter(|realm| realm.enabled), target) else {
        return Ok(None);
    };
    let home = engine.catalog.current(tx, &home.name)?;
    let target = engine.catalog.current(tx, &target.name)?;
    let (Some(home), Some(target)) = (home, target) else {
        return Ok(None);
    };
    if let Some(client) = &author.service_client {
        let client = home.client_by_id(tx, client)?;
        if !client.is_some_and(|client| client.enabled) {
            return Ok(None);
        }
    }
    let powers = caller::powers_of(tx, &home, &author.id)?;
    let name = &target.realm.name;
    let may = powers.has(name, "manage-users")
        && (!job.options.create_missing || powers.has(name, "manage-realm"));
    Ok(may.then(|| handed_out(&target, &powers, job.options.roles.as_deref())))
}

/// The roles within these powers. One that holds any was also within the author's powers when the import began, as
/// far as their token carried them then; one that holds none may be newer than that.
fn handed_out(config: &RealmConfig, powers: &Powers, then: Option<&[RoleId]>) -> Vec<RoleId> {
    let mine = |id: &RoleId| {
        let holds = Powers::closed(config, [id]);
        let was_mine = then.is_none_or(|then| then.contains(id));
        holds.is_empty() || was_mine && holds.within(powers)
    };
    let ids = config.roles.iter().map(|role| role.id.clone());
    ids.filter(mine).collect()
}
