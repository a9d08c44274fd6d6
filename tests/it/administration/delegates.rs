//! Whoever manages a part never comes to manage more: random walks of delegates, judged by what the roles in the
//! database contain.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::kernel::{ClientUuid, RoleId, UserId};
use vestibule::oidc::provision::MANAGEMENT_ROLES;
use vestibule::role::{Role, RoleGraph};
use vestibule::{client, realm, role, user};

use super::{Answer, call, token};
use crate::support::app::{TestApp, User};
use crate::support::database::{on_both, soak};
use crate::support::dice::Dice;

/// The password that delegates set wherever they can.
const TAKEN: &str = "a password that the delegate knows";
/// The secret that they give to clients.
const SECRET: &str = "a-secret-that-the-delegate-knows-0123456789";

/// The realm's roles and clients as they are now.
struct Facts {
    roles: Vec<Role>,
    graph: RoleGraph,
    clients: Vec<(ClientUuid, String)>,
}

async fn facts(app: &TestApp) -> Facts {
    app.tx(|tx| {
        let realm = realm::rows::by_name(tx, "t1")?.expect("the realm");
        let graph = role::rows::graph(tx, &realm.id)?;
        // In an order of their own, so that a seed walks the same way again.
        let mut roles: Vec<Role> = graph.iter().cloned().collect();
        let mut clients: Vec<(ClientUuid, String)> = client::rows::names(tx, &realm.id)?
            .into_iter()
            .map(|(id, client_id, _)| (id, client_id))
            .collect();
        clients.sort_by_key(|(_, client_id)| client_id.clone());
        let of = |role: &Role| {
            clients
                .iter()
                .position(|(id, _)| Some(id) == role.client.as_ref())
        };
        roles.sort_by_key(|role| (of(role), role.name.clone()));
        Ok(Facts {
            roles,
            graph,
            clients,
        })
    })
    .await
}

/// The management roles that these people hold in any way: found by the roles' client, not by the product's own rule.
async fn powers(app: &TestApp, people: &[UserId]) -> BTreeSet<String> {
    let known = facts(app).await;
    let people = people.to_vec();
    let mapped: Vec<RoleId> = app
        .tx(move |tx| {
            let mut mapped = Vec::new();
            for id in &people {
                mapped.extend(role::rows::of_user(tx, id)?);
            }
            Ok(mapped)
        })
        .await;
    let keeper = known
        .clients
        .iter()
        .find(|(_, id)| id == "realm-management");
    let keeper = keeper.map(|(id, _)| id.clone());
    let held = known.graph.closure(mapped.iter());
    let held = held.into_iter().filter_map(|id| known.graph.get(id));
    held.filter(|role| role.client.is_some() && role.client == keeper && role.name != "realm-admin")
        .map(|role| role.name.clone())
        .collect()
}

/// A delegate on a walk.
struct Walk<'a> {
    app: &'a TestApp,
    delegate: User,
    token: String,
    /// Everybody whose password the delegate has set.
    people: Vec<UserId>,
    /// Every client whose secret they know.
    clients: Vec<ClientUuid>,
    /// Whom they may try to take over or raise.
    targets: Vec<UserId>,
    number: u64,
    trail: Vec<String>,
}

impl Walk<'_> {
    /// Everybody whom the delegate is, or can be.
    async fn reach(&self) -> Vec<UserId> {
        let clients = self.clients.clone();
        let accounts = self.app.tx(move |tx| {
            let mut accounts = Vec::new();
            for id in &clients {
                accounts.extend(user::rows::service_account(tx, id)?.map(|account| account.id));
            }
            Ok(accounts)
        });
        let mut reach = accounts.await;
        reach.extend(self.people.iter().cloned());
        reach.push(self.delegate.id.clone());
        reach
    }

    async fn send(&mut self, method: Method, path: &str, body: Value) -> Answer {
        let path = format!("/realms/t1{path}");
        let body = (!body.is_null()).then_some(&body);
        let mut answer = call(self.app, &self.token, (&method, &path), body).await;
        if answer.status == 401 {
            // A new password of their own has ended the token.
            self.token = token(self.app, "t1", &self.delegate.username, TAKEN).await;
            answer = call(self.app, &self.token, (&method, &path), body).await;
        }
        assert!(answer.status < 500, "{method} {path}: {answer:?}");
        self.trail.push(format!(
            "{} {method} {path} {}",
            answer.status,
            body.map(Value::to_string).unwrap_or_default()
        ));
        answer
    }

    fn fresh(&mut self) -> String {
        self.number += 1;
        format!("{}-{}", self.delegate.username, self.number)
    }

    /// One call, of any kind that could raise somebody; whether it was allowed.
    async fn step(&mut self, dice: &mut Dice) -> bool {
        let known = facts(self.app).await;
        let management = known
            .clients
            .iter()
            .find(|(_, id)| id == "realm-management");
        let management = management.expect("realm-management").0.clone();
        let role = dice.one_of(&known.roles).expect("a role").clone();
        let powers: Vec<&Role> = known
            .roles
            .iter()
            .filter(|role| role.client.as_ref() == Some(&management))
            .collect();
        let power = (*dice.one_of(&powers).expect("a power")).clone();
        let whom = dice.one_of(&self.targets).expect("somebody").clone();
        // Not the one through which delegates sign in: without it the walks would end.
        let others = known.clients.iter().filter(|(_, id)| id != "admin-cli");
        let others: Vec<&(ClientUuid, String)> = others.collect();
        let (client, _) = (*dice.one_of(&others).expect("a client")).clone();
        let named = |role: &Role| json!([{ "id": role.id.as_str(), "name": role.name }]);
        let name = self.fresh();
        let done = |answer: &Answer| answer.status < 300;
        match dice.up_to(17) {
            0 => {
                let path = match &role.client {
                    None => format!("/users/{whom}/role-mappings/realm"),
                    Some(of) => format!("/users/{whom}/role-mappings/clients/{of}"),
                };
                done(&self.send(Method::POST, &path, named(&role)).await)
            }
            1 => {
                let path = format!("/users/{whom}/role-mappings/clients/{management}");
                done(&self.send(Method::POST, &path, named(&power)).await)
            }
            2 => {
                let path = format!("/roles-by-id/{}/composites", role.id);
                done(&self.send(Method::POST, &path, named(&power)).await)
            }
            3 => {
                let inner = dice.one_of(&known.roles).expect("a role");
                let path = format!("/roles-by-id/{}/composites", role.id);
                done(&self.send(Method::POST, &path, named(inner)).await)
            }
            4 => {
                let path = format!("/roles-by-id/{}", role.id);
                let names = [name.as_str(), "manage-realm", "realm-admin", "admin"];
                let name = *dice.one_of(&names).expect("a name");
                done(&self.send(Method::PUT, &path, json!({ "name": name })).await)
            }
            5 => {
                let inside = json!({ "client": { "realm-management": [power.name] } });
                let body = json!({ "name": name, "composites": inside });
                done(&self.send(Method::POST, "/roles", body).await)
            }
            6 => {
                let path = format!("/clients/{management}/roles");
                let inside = json!({ "client": { "realm-management": [power.name] } });
                let body = json!({ "name": name, "composites": inside });
                done(&self.send(Method::POST, &path, body).await)
            }
            7 => {
                let path = format!("/roles-by-id/{}", power.id);
                done(&self.send(Method::DELETE, &path, Value::Null).await)
            }
            8 => {
                let body = json!({ "type": "password", "value": TAKEN, "temporary": false });
                let path = format!("/users/{whom}/reset-password");
                let allowed = done(&self.send(Method::PUT, &path, body).await);
                self.people.extend(allowed.then_some(whom));
                allowed
            }
            9 => {
                let password = json!({ "type": "password", "value": TAKEN });
                let body =
                    json!({ "email": format!("{name}@people.example"), "credentials": [password] });
                let allowed = done(
                    &self
                        .send(Method::PUT, &format!("/users/{whom}"), body)
                        .await,
                );
                self.people.extend(allowed.then_some(whom));
                allowed
            }
            10 => {
                let password = json!({ "type": "password", "value": TAKEN });
                let body = json!({ "username": name, "credentials": [password] });
                let answer = self.send(Method::POST, "/users", body).await;
                let id = done(&answer).then(|| UserId::new(answer.made()));
                self.targets.extend(id.clone());
                self.people.extend(id);
                done(&answer)
            }
            11 => {
                let body =
                    json!({ "clientId": name, "serviceAccountsEnabled": true, "secret": SECRET });
                let answer = self.send(Method::POST, "/clients", body).await;
                let id = done(&answer).then(|| ClientUuid::new(answer.made()));
                self.clients.extend(id);
                done(&answer)
            }
            12 => {
                let body = json!({
                    "publicClient": false, "serviceAccountsEnabled": true, "secret": SECRET,
                });
                let allowed = done(
                    &self
                        .send(Method::PUT, &format!("/clients/{client}"), body)
                        .await,
                );
                self.clients.extend(allowed.then_some(client));
                allowed
            }
            13 => {
                let names = [name.as_str(), "realm-management", "t1-realm", "admin-cli"];
                let body = json!({ "clientId": dice.one_of(&names).expect("a name") });
                done(
                    &self
                        .send(Method::PUT, &format!("/clients/{client}"), body)
                        .await,
                )
            }
            14 | 15 => {
                let method =
                    [Method::GET, Method::POST][usize::try_from(dice.up_to(2)).unwrap()].clone();
                let path = format!("/clients/{client}/client-secret");
                let allowed = done(&self.send(method, &path, Value::Null).await);
                self.clients.extend(allowed.then_some(client));
                allowed
            }
            _ => {
                let path = match &role.client {
                    None => format!("/users/{whom}/role-mappings/realm"),
                    Some(of) => format!("/users/{whom}/role-mappings/clients/{of}"),
                };
                done(&self.send(Method::DELETE, &path, named(&role)).await)
            }
        }
    }
}

/// Puts the composites back, so that what one delegate may do is nothing that the next one finds.
async fn put_back(app: &TestApp, before: Vec<(RoleId, RoleId)>) {
    app.tx(move |tx| {
        let realm = realm::rows::by_name(tx, "t1")?.expect("the realm");
        let graph = role::rows::graph(tx, &realm.id)?;
        for (outer, inner) in inside(&graph) {
            if !before.contains(&(outer.clone(), inner.clone())) {
                role::rows::remove_composite(tx, &outer, &inner)?;
            }
        }
        realm::rows::touch(tx, &realm.id)
    })
    .await;
}

fn inside(graph: &RoleGraph) -> Vec<(RoleId, RoleId)> {
    let outer = graph.iter().map(|role| role.id.clone());
    outer
        .flat_map(|id| {
            let inner: Vec<RoleId> = graph.children(&id).map(|role| role.id.clone()).collect();
            inner.into_iter().map(move |inner| (id.clone(), inner))
        })
        .collect()
}

on_both!(a_delegate_never_comes_to_hold_what_they_did_not_have);
/// V136: walks of up to twelve calls with one or two management roles, against people, roles, clients and service
/// accounts. Counted as held is what the delegate holds, whoever's password they have set, and every service account
/// whose secret they have seen or given. 24 walks, or 400 with `VESTIBULE_SOAK=1`.
async fn a_delegate_never_comes_to_hold_what_they_did_not_have(app: TestApp) {
    let boss = app
        .user("boss")
        .client_role("realm-management", "realm-admin")
        .await;
    let helper = app
        .user("helper")
        .client_role("realm-management", "view-users")
        .await;
    let account = app
        .tx(|tx| {
            let realm = realm::rows::by_name(tx, "t1")?.expect("the realm");
            let client = client::rows::by_client_id(tx, &realm.id, "svc")?.expect("svc");
            let account = user::rows::service_account(tx, &client.id)?.expect("its account");
            let graph = role::rows::graph(tx, &realm.id)?;
            let keeper = client::rows::by_client_id(tx, &realm.id, "realm-management")?.unwrap();
            let power = graph
                .named(Some(&keeper.id), "manage-realm")
                .expect("the role");
            role::rows::assign(tx, &account.id, &power.id)?;
            Ok(account.id)
        })
        .await;
    let start = inside(&facts(&app).await.graph);
    let (mut allowed, mut refused) = (0, 0);
    for seed in 1..=(if soak() { 400 } else { 24 }) {
        let mut dice = Dice::new(seed);
        let mut roles = vec![
            ["manage-users", "manage-clients", "manage-realm"][usize::try_from(seed % 3).unwrap()],
        ];
        if dice.up_to(2) == 1 {
            roles.push(dice.one_of(&MANAGEMENT_ROLES).copied().expect("a role"));
        }
        let (delegate, token) = super::manager(&app, &format!("delegate{seed}"), &roles).await;
        let plain = app.user(&format!("plain{seed}")).await;
        let had = powers(&app, std::slice::from_ref(&delegate.id)).await;
        let mut walk = Walk {
            app: &app,
            targets: vec![
                delegate.id.clone(),
                plain.id.clone(),
                plain.id,
                boss.id.clone(),
                helper.id.clone(),
                account.clone(),
            ],
            delegate,
            token,
            people: Vec::new(),
            clients: Vec::new(),
            number: 0,
            trail: Vec::new(),
        };
        for _ in 0..=dice.up_to(12) {
            match walk.step(&mut dice).await {
                true => allowed += 1,
                false => refused += 1,
            }
            let reach = walk.reach().await;
            let holds = powers(&app, &reach).await;
            let gained: Vec<&String> = holds.difference(&had).collect();
            assert!(
                gained.is_empty(),
                "seed {seed}: {gained:?} by {:#?}",
                walk.trail
            );
        }
        put_back(&app, start.clone()).await;
    }
    assert!(
        allowed > 10 && refused > 40,
        "{allowed} allowed, {refused} refused"
    );
    // And the judge sees what there is to be seen.
    let of = async |id: &UserId| powers(&app, std::slice::from_ref(id)).await;
    assert!(of(&boss.id).await.contains("manage-realm"));
    assert_eq!(of(&account).await, ["manage-realm".to_owned()].into());
}
