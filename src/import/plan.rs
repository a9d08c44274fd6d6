//! What becomes of the rows of a chunk: the part of the judgement that looks at the database. Writes nothing.
//!
//! A few questions for a whole chunk, none for a single row: who has these names and ids, which roles and groups there
//! are.

use std::collections::{BTreeSet, HashMap};

use super::check::{Person, Rules};
use super::draft::{Problem, RoleName};
use super::seen::Seen;
use super::{IfExists, Options};
use crate::client;
use crate::group::{self, GroupTree};
use crate::kernel::{ClientUuid, RoleId, UserId};
use crate::oidc::provision::default_role_name;
use crate::role;
use crate::store::{StoreError, Tx};
use crate::user::{User, bulk};

/// A row on its way to its verdict.
pub(super) struct Item {
    /// Which row of the file, from 1.
    pub(super) number: i64,
    /// Where it starts.
    pub(super) line: u64,
    /// Who it is about, or why nobody.
    pub(super) person: Result<Box<Person>, Refusal>,
}

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing was to be done.
    Skip(Problem, Option<UserId>),
    /// Something is wrong with it.
    Reject(Problem),
}

/// What becomes of a row that is taken.
pub(super) enum Fate {
    /// A person is made.
    Create,
    /// This person is changed.
    Update(UserId),
}

/// The roles, clients and groups of a realm, as they are in this transaction.
pub(super) struct Directory {
    roles: HashMap<(Option<ClientUuid>, String), RoleId>,
    clients: HashMap<String, ClientUuid>,
    groups: GroupTree,
    /// The role that everybody gets: looked up once for a chunk.
    pub(super) default_role: Option<RoleId>,
}

impl Directory {
    /// Loads what the items name.
    ///
    /// # Errors
    /// The database fails.
    pub(super) fn load(tx: &mut Tx<'_>, rules: &Rules, items: &[Item]) -> Result<Self, StoreError> {
        let realm = &rules.realm;
        let people = || items.iter().filter_map(|item| item.person.as_ref().ok());
        let graph = role::rows::graph(tx, &realm.id)?;
        let default_role = graph
            .named(None, &default_role_name(&realm.name))
            .map(|role| role.id.clone());
        let of_clients = people()
            .flat_map(|person| &person.roles)
            .any(|role| role.client.is_some() || role.name.contains(':'));
        let clients = if of_clients {
            client::rows::names(tx, &realm.id)?
                .into_iter()
                .map(|(id, name, _)| (name, id))
                .collect()
        } else {
            HashMap::new()
        };
        let groups = if people().any(|person| !person.groups.is_empty()) {
            group::rows::tree(tx, &realm.id)?
        } else {
            GroupTree::default()
        };
        let roles = graph
            .iter()
            .map(|role| ((role.client.clone(), role.name.clone()), role.id.clone()))
            .collect();
        Ok(Self {
            roles,
            clients,
            groups,
            default_role,
        })
    }

    /// Where a role belongs, and its name there: `client:name` is a client's role where the realm has none so called.
    pub(super) fn place(&self, role: &RoleName) -> Option<(Option<ClientUuid>, String)> {
        let of_client = |client: &str, name: &str| {
            Some((Some(self.clients.get(client)?.clone()), name.to_owned()))
        };
        match &role.client {
            Some(client) => of_client(client, &role.name),
            None => {
                let own = (None, role.name.clone());
                if self.roles.contains_key(&own) {
                    return Some(own);
                }
                match role.name.split_once(':') {
                    Some((client, name)) => of_client(client, name),
                    None => Some(own),
                }
            }
        }
    }

    pub(super) fn role(&self, role: &RoleName) -> Option<&RoleId> {
        self.roles.get(&self.place(role)?)
    }

    pub(super) fn group(&self, path: &str) -> Option<&crate::kernel::GroupId> {
        self.groups.at(path)
    }

    pub(super) fn add_role(&mut self, place: (Option<ClientUuid>, String), id: RoleId) {
        self.roles.insert(place, id);
    }

    pub(super) fn groups_mut(&mut self) -> &mut GroupTree {
        &mut self.groups
    }
}

/// Decides about every item, in order.
///
/// # Errors
/// The database fails.
pub(super) fn decide(
    tx: &mut Tx<'_>,
    (rules, options): (&Rules, &Options),
    (directory, seen): (&Directory, &Seen),
    items: &[Item],
) -> Result<Vec<Result<Fate, Refusal>>, StoreError> {
    let known = Known::load(tx, rules, options, items)?;
    // What the earlier rows of this chunk have taken.
    let mut here: HashMap<(bool, &str), u64> = HashMap::new();
    let mut fates = Vec::with_capacity(items.len());
    for item in items {
        let person = match &item.person {
            Ok(person) => person,
            Err(refusal) => {
                fates.push(Err(refusal.clone()));
                continue;
            }
        };
        let twin = person
            .claims()
            .find_map(|(field, key)| Some((field, *here.get(&key)?)))
            .or_else(|| {
                let (field, line) = seen.earlier(person)?;
                Some((field, u64::from(line)))
            });
        let fate = match twin {
            Some((field, line)) => Err(Refusal::Reject(Problem::of(
                field,
                format!("is that of the row at line {line}, which was taken"),
            ))),
            None => known
                .fate(person, options)
                .and_then(|fate| named(person, directory, options).map(|()| fate)),
        };
        if fate.is_ok() {
            here.extend(person.claims().map(|(_, key)| (key, item.line)));
        }
        fates.push(fate);
    }
    Ok(fates)
}

/// Whether the roles and groups are there, or may be made, and may be handed out.
fn named(person: &Person, directory: &Directory, options: &Options) -> Result<(), Refusal> {
    let reject = |field: &str, reason: String| Err(Refusal::Reject(Problem::of(field, reason)));
    for path in &person.groups {
        if directory.group(path).is_none() && !options.create_missing {
            return reject(
                "groups",
                format!(
                    "there is no group {path:.255}: make it first, or import with createMissing (--create-missing)"
                ),
            );
        }
    }
    for role in &person.roles {
        let Some(place) = directory.place(role) else {
            return reject("roles", format!("there is no client for the role {role}"));
        };
        match directory.role(role) {
            Some(id) => {
                let withheld = options
                    .roles
                    .as_ref()
                    .is_some_and(|allowed| !allowed.contains(id));
                if withheld {
                    return reject(
                        "roles",
                        format!("whoever started this import may not hand out the role {role}"),
                    );
                }
            }
            // Roles of clients guard what the clients do; only those of the realm are made on the way.
            None if options.create_missing && place.0.is_none() => {}
            None => {
                return reject(
                    "roles",
                    format!(
                        "there is no role {role}: make it first, or import with createMissing (--create-missing; realm roles alone)"
                    ),
                );
            }
        }
    }
    Ok(())
}

/// Who is there already.
struct Known {
    /// By the keys of their names.
    owners: HashMap<String, UserId>,
    /// By the ids that rows ask for, in whatever realm; and whom rows would change.
    people: HashMap<UserId, User>,
    /// Whose powers whoever started the import lacks.
    above: BTreeSet<UserId>,
    realm: crate::kernel::RealmId,
}

impl Known {
    fn load(
        tx: &mut Tx<'_>,
        rules: &Rules,
        options: &Options,
        items: &[Item],
    ) -> Result<Self, StoreError> {
        let people = || items.iter().filter_map(|item| item.person.as_ref().ok());
        let keys: BTreeSet<&str> = people()
            .flat_map(|person| person.claims())
            .filter_map(|(_, (is_id, key))| (!is_id).then_some(key))
            .collect();
        let keys: Vec<&str> = keys.into_iter().collect();
        let owners = bulk::owners(tx, &rules.realm.id, &keys)?;
        let mut ids: BTreeSet<&UserId> = people().filter_map(|person| person.id.as_ref()).collect();
        if options.if_exists == IfExists::Update {
            ids.extend(owners.values());
        }
        let ids: Vec<&UserId> = ids.into_iter().collect();
        let found = bulk::by_ids(tx, &ids)?;
        let above = match &options.roles {
            Some(allowed) if options.if_exists == IfExists::Update => bulk::roles_of(tx, &ids)?
                .into_iter()
                .filter(|(_, roles)| roles.iter().any(|role| !allowed.contains(role)))
                .map(|(user, _)| user)
                .collect(),
            Some(_) | None => BTreeSet::new(),
        };
        Ok(Self {
            owners,
            people: found,
            above,
            realm: rules.realm.id.clone(),
        })
    }

    fn fate(&self, person: &Person, options: &Options) -> Result<Fate, Refusal> {
        let mut found: Option<(&'static str, &UserId)> = None;
        for (field, (is_id, key)) in person.claims() {
            let owner = if is_id {
                let id = person.id.as_ref();
                let Some(user) = id.and_then(|id| self.people.get(id)) else {
                    continue;
                };
                if user.realm_id != self.realm {
                    return Err(Refusal::Reject(Problem::of(
                        "id",
                        "is that of somebody in another realm of this server: leave it out for a new one",
                    )));
                }
                Some(&user.id)
            } else {
                self.owners.get(key)
            };
            match (owner, found) {
                (None, _) => {}
                (Some(owner), None) => found = Some((field, owner)),
                (Some(owner), Some((_, other))) if owner == other => {}
                (Some(_), Some((first, _))) => {
                    return Err(Refusal::Reject(Problem::of(
                        field,
                        format!("is that of somebody else than the {first}"),
                    )));
                }
            }
        }
        let Some((field, owner)) = found else {
            return Ok(Fate::Create);
        };
        let exists = || Problem::of(field, format!("User exists with same {field}"));
        match options.if_exists {
            IfExists::Fail => Err(Refusal::Reject(exists())),
            IfExists::Skip => Err(Refusal::Skip(exists(), Some(owner.clone()))),
            IfExists::Update => self.update(person, owner),
        }
    }

    fn update(&self, person: &Person, owner: &UserId) -> Result<Fate, Refusal> {
        let reject = |field: &str, reason: &str| Err(Refusal::Reject(Problem::of(field, reason)));
        let service = self
            .people
            .get(owner)
            .is_some_and(|user| user.service_client.is_some());
        if service {
            return reject(
                "username",
                "is that of a service account, which changes with its client",
            );
        }
        if person.id.as_ref().is_some_and(|id| id != owner) {
            return reject(
                "id",
                "is not that of the person with this name, and ids never change",
            );
        }
        if self.above.contains(owner) {
            return reject(
                "username",
                "is that of somebody whose rights whoever started this import lacks",
            );
        }
        Ok(Fate::Update(owner.clone()))
    }
}
