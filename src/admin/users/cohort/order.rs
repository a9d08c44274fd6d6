//! An order to change many people: what, to whom, by whom, and who is left out of it.
//!
//! It is stored with its job, so that any node can carry it on. Who is left out is asked anew for every chunk: powers
//! and gates change while a million people are gone through.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::admin::caller;
use crate::admin::powers::Powers;
use crate::admin::users::actions::Plan;
use crate::kernel::{RealmId, RoleId, UserId};
use crate::oidc::catalog::RealmConfig;
use crate::store::events::Event;
use crate::store::{StoreError, Tx};
use crate::user;
use crate::user::audience::Audience;
use crate::user::search;

/// Who gave the order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by")]
pub enum Author {
    /// Whoever has the host.
    Host,
    /// An administrator.
    Administrator {
        /// The name of their realm.
        realm: String,
        /// Their id.
        user: UserId,
        /// The client through which they called.
        client_id: String,
        /// From where.
        ip_address: String,
    },
}

impl Author {
    /// The administrator; `None` for the host.
    pub const fn user(&self) -> Option<&UserId> {
        match self {
            Self::Host => None,
            Self::Administrator { user, .. } => Some(user),
        }
    }
}

/// What is ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
pub enum Task {
    /// Actions set and taken.
    Change(Plan),
    /// Another order undone.
    Undo {
        /// Its job.
        job: String,
        /// What it changed.
        plan: Plan,
    },
}

impl Task {
    /// The word in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Change(_) => "required-actions",
            Self::Undo { .. } => "undo",
        }
    }

    /// What is, or was, set and taken.
    pub const fn plan(&self) -> &Plan {
        match self {
            Self::Change(plan) | Self::Undo { plan, .. } => plan,
        }
    }
}

/// Who is told of an order by a notice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tells {
    /// Whomever it changes, at every address that counts.
    #[default]
    Everybody,
    /// Addresses that were replaced lately, once [`rows::begin_telling`](super::rows::begin_telling) says so: a link is
    /// mailed to everybody as well, and says it.
    FormerAddresses,
}

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// What.
    pub task: Task,
    /// To whom.
    pub audience: Audience,
    /// By whom.
    pub author: Author,
    /// Roles with powers that the author lacked when giving the order: nobody who has one is touched.
    pub beyond: Vec<RoleId>,
    /// Why.
    pub reason: Option<String>,
    /// Who is told.
    #[serde(default)]
    pub tells: Tells,
}

impl Order {
    /// An audit event about the order. An undo takes what was set and sets what was taken.
    pub fn event(&self, realm: &RealmId, kind: &'static str, job: &str) -> Event {
        let (plan, undoes) = match &self.task {
            Task::Change(plan) => (plan, None),
            Task::Undo { plan, job } => (plan, Some(job)),
        };
        let (set, taken) = match undoes {
            None => (&plan.set, &plan.take),
            Some(_) => (&plan.take, &plan.set),
        };
        let mut event = Event::new(realm, kind)
            .detail("job", job)
            .detail("set", set.clone())
            .detail("taken", taken.clone())
            .detail("reason", self.reason.clone().unwrap_or_default());
        if let Some(undone) = undoes {
            event = event.detail("undoes", undone.as_str());
        }
        match &self.author {
            Author::Host => event.detail("command", "host"),
            Author::Administrator {
                realm,
                user,
                client_id,
                ip_address,
            } => event
                .client(client_id)
                .from(ip_address)
                .detail("admin", user.as_str())
                .detail("admin_realm", realm.as_str()),
        }
    }

    /// Whether the author may still give it, and if so, the roles that are beyond them now.
    ///
    /// # Errors
    /// The database fails.
    pub fn still_beyond(
        &self,
        tx: &mut Tx<'_>,
        home: Option<&RealmConfig>,
        config: &RealmConfig,
    ) -> Result<Option<Vec<RoleId>>, StoreError> {
        let Author::Administrator { user, .. } = &self.author else {
            return Ok(Some(Vec::new()));
        };
        let Some(home) = home else { return Ok(None) };
        let stands =
            user::rows::in_realm(tx, &home.realm.id, user)?.is_some_and(|user| user.enabled);
        let powers = caller::powers_of(tx, home, user)?;
        if !stands || !powers.has(&config.realm.name, "manage-users") {
            return Ok(None);
        }
        let mut all: BTreeSet<RoleId> = self.beyond.iter().cloned().collect();
        all.extend(beyond(config, &powers));
        Ok(Some(all.into_iter().collect()))
    }
}

/// The realm's roles that hold a power which is not among these.
pub fn beyond(config: &RealmConfig, powers: &Powers) -> Vec<RoleId> {
    config
        .roles
        .iter()
        .map(|role| role.id.clone())
        .filter(|id| !Powers::closed(config, [id]).within(powers))
        .collect()
}

/// The order's audience without those who are left out of it.
///
/// # Errors
/// The database fails.
pub fn spared(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    order: &Order,
) -> Result<Audience, StoreError> {
    let mut audience = order.audience.clone();
    audience.without_roles.extend(order.beyond.iter().cloned());
    if let Author::Administrator { user, .. } = &order.author
        && !order.audience.names(user)
    {
        audience.without_ids.push(user.clone());
    }
    if !order.task.plan().set.is_empty()
        && let Some(last) = last_administrator(tx, config, &audience)?
    {
        audience.without_ids.push(last);
    }
    Ok(audience)
}

/// An administrator who has to be left out, because otherwise none were left who is not gated.
fn last_administrator(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
    audience: &Audience,
) -> Result<Option<UserId>, StoreError> {
    let free = free_administrators(tx, config)?;
    let mut hit = audience.clone();
    hit.ids = Some(match &audience.ids {
        Some(ids) => ids.iter().filter(|id| free.contains(id)).cloned().collect(),
        None => free.iter().cloned().collect(),
    });
    let hit = search::list(tx, &config.realm.id, &hit, (0, None))?;
    if hit.len() < free.len() {
        return Ok(None);
    }
    Ok(hit
        .into_iter()
        .map(|user| user.id)
        .find(|id| !audience.names(id)))
}

/// The people of this realm who manage its people and are not gated.
fn free_administrators(
    tx: &mut Tx<'_>,
    config: &RealmConfig,
) -> Result<BTreeSet<UserId>, StoreError> {
    let manages =
        |id: &RoleId| Powers::closed(config, [id]).has(&config.realm.name, "manage-users");
    let roles: Vec<RoleId> = config
        .roles
        .iter()
        .map(|role| role.id.clone())
        .filter(manages)
        .collect();
    let wanted = Audience {
        enabled: Some(true),
        roles: Some(roles),
        ..Audience::default()
    };
    let administrators = search::list(tx, &config.realm.id, &wanted, (0, None))?;
    let details = search::details(tx, &administrators)?;
    Ok(administrators
        .into_iter()
        .filter(|user| {
            details
                .get(&user.id)
                .is_some_and(|of| of.waiting.is_empty())
        })
        .map(|user| user.id)
        .collect())
}
