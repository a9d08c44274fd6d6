//! The admin REST API in Keycloak's shapes: realms, clients, people, roles, required actions, and the gate explained.
//!
//! Every call is one transaction in which the caller's token is judged by the gate, the caller's powers are read from
//! the database, the work is done and its audit event is written. There is no route here without a token.

pub mod approval;
pub mod ask;
pub mod authors;
pub mod call;
pub mod caller;
pub mod campaigns;
pub mod client_checks;
pub mod client_scopes;
pub mod client_secrets;
pub mod clients;
pub mod composites;
pub mod error;
pub mod groups;
pub mod import_options;
pub mod import_rights;
pub mod imports;
pub mod json;
pub mod links;
pub mod mail_templates;
pub mod mails;
pub mod powers;
pub mod realms;
pub mod representation;
pub mod required_actions;
pub mod roles;
pub mod smtp;
pub mod users;
pub mod watch;

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::{HttpResponse, Resource, Route, web};

use self::call::{Handler, Prepare, body_limit, on, on_with_password};
use self::error::AdminError;
use self::users::{change, cohort, gate, password, sessions};

/// One route: a test walks the table with no token, a gated one, and one of another realm.
pub struct Entry {
    /// The method.
    pub method: Method,
    /// The path's pattern below `/admin/realms`.
    pub path: String,
    work: Work,
}

enum Work {
    Plain(Handler),
    /// Checks, then a hash, then the work.
    Password(Prepare, Handler),
    /// Takes a file of people, as it arrives.
    Import,
    /// Waits for a mail server.
    TryMail,
}

/// The API's routes, being put together.
struct Table(Vec<Entry>);

impl Table {
    fn on(mut self, method: Method, path: &str, work: Work) -> Self {
        self.0.push(Entry {
            method,
            path: path.to_owned(),
            work,
        });
        self
    }

    fn get(self, path: &str, handler: Handler) -> Self {
        self.on(Method::GET, path, Work::Plain(handler))
    }

    fn post(self, path: &str, handler: Handler) -> Self {
        self.on(Method::POST, path, Work::Plain(handler))
    }

    fn put(self, path: &str, handler: Handler) -> Self {
        self.on(Method::PUT, path, Work::Plain(handler))
    }

    fn delete(self, path: &str, handler: Handler) -> Self {
        self.on(Method::DELETE, path, Work::Plain(handler))
    }

    /// A route that may set a password, which is hashed between the two.
    fn password(self, method: Method, path: &str, prepare: Prepare, handler: Handler) -> Self {
        self.on(method, path, Work::Password(prepare, handler))
    }
}

/// Every route of the API but `/admin/serverinfo`; the first that fits a path takes it.
pub fn table() -> Vec<Entry> {
    let table = of_campaigns(of_people(of_clients(of_realms(Table(Vec::new())))));
    let table = of_mail_templates(table);
    let table = of_groups(of_imports(table));
    let table = of_roles(of_roles_by_id(table), "/{realm}");
    of_roles(table, "/{realm}/clients/{client}").0
}

/// Mounts everything below `/admin`.
pub fn routes(config: &mut web::ServiceConfig) {
    let realms = web::scope("/admin/realms").app_data(body_limit());
    let realms = by_path(table())
        .into_iter()
        .fold(realms, |scope, (path, entries)| {
            let resource = web::resource(path).default_service(web::to(no_such_path));
            scope.service(
                entries
                    .into_iter()
                    .map(route)
                    .fold(resource, Resource::route),
            )
        });
    let server_info = web::resource("/admin/serverinfo")
        .app_data(body_limit())
        .route(on(Method::GET, realms::server_info))
        .default_service(web::to(no_such_path));
    config
        .service(server_info)
        .service(realms.default_service(web::to(no_such_path)));
}

fn route(entry: Entry) -> Route {
    match entry.work {
        Work::Plain(handler) => on(entry.method, handler),
        Work::Password(prepare, handler) => on_with_password(entry.method, prepare, handler),
        Work::Import => web::method(entry.method).to(imports::post),
        Work::TryMail => web::method(entry.method).to(smtp::test),
    }
}

/// The entries of each path together, a segment that is written out before one that can be anything: each path's
/// pattern is compiled for every worker, and tried until one fits.
fn by_path(table: Vec<Entry>) -> Vec<(String, Vec<Entry>)> {
    let mut paths: BTreeMap<Vec<(bool, String)>, Vec<Entry>> = BTreeMap::new();
    for entry in table {
        let segments = entry.path.split('/');
        let key = segments.map(|segment| (segment.starts_with('{'), segment.to_owned()));
        paths.entry(key.collect()).or_default().push(entry);
    }
    let together = paths.into_values().map(|entries| {
        let path = entries
            .first()
            .map_or_else(String::new, |entry| entry.path.clone());
        (path, entries)
    });
    together.collect()
}

async fn no_such_path() -> HttpResponse {
    AdminError::NotFound("HTTP 404 Not Found").response()
}

fn of_realms(table: Table) -> Table {
    let actions = "/{realm}/authentication/required-actions";
    let action = format!("{actions}/{{alias}}");
    table
        .get("", realms::list)
        .post("", realms::create)
        .get("/{realm}", realms::get)
        .put("/{realm}", realms::update)
        .delete("/{realm}", realms::delete)
        .get(actions, required_actions::list)
        .get(&action, required_actions::get)
        .put(&action, required_actions::update)
        .post(&format!("{action}/raise-priority"), required_actions::raise)
        .post(&format!("{action}/lower-priority"), required_actions::lower)
        .get(
            "/{realm}/authentication/unregistered-required-actions",
            required_actions::unregistered,
        )
        .get("/{realm}/client-scopes", client_scopes::list)
        .get("/{realm}/client-scopes/{scope}", client_scopes::get)
        .get(
            "/{realm}/default-default-client-scopes",
            client_scopes::realm_default,
        )
        .get(
            "/{realm}/default-optional-client-scopes",
            client_scopes::realm_optional,
        )
        .get("/{realm}/keys", watch::keys)
        .get("/{realm}/events", watch::events)
        .get("/{realm}/events/config", watch::events_config)
        .get(
            "/{realm}/attack-detection/brute-force/users/{user}",
            watch::failures,
        )
        .delete(
            "/{realm}/attack-detection/brute-force/users/{user}",
            watch::forgive,
        )
        .delete("/{realm}/sessions/{session}", sessions::delete)
        .on(Method::POST, "/{realm}/testSMTPConnection", Work::TryMail)
}

fn of_groups(table: Table) -> Table {
    let group = "/{realm}/groups/{group}";
    let of_user = "/{realm}/users/{user}/groups";
    let one = format!("{of_user}/{{group}}");
    table
        .get("/{realm}/groups", groups::list)
        .post("/{realm}/groups", groups::create)
        .get(group, groups::get)
        .get(&format!("{group}/children"), groups::list)
        .post(&format!("{group}/children"), groups::create)
        .get(of_user, groups::of_user)
        .get(&format!("{of_user}/count"), groups::count_of_user)
        .put(&one, groups::join)
        .delete(&one, groups::leave)
}

fn of_imports(table: Table) -> Table {
    let import = "/{realm}/user-imports/{import}";
    table
        .get("/{realm}/user-imports", imports::list)
        .on(Method::POST, "/{realm}/user-imports", Work::Import)
        .get(import, imports::get)
        .get(&format!("{import}/rows"), imports::rows)
        .post(&format!("{import}/cancel"), imports::cancel)
}

fn of_clients(table: Table) -> Table {
    let client = "/{realm}/clients/{client}";
    let at = |path: &str| format!("{client}/{path}");
    table
        .get("/{realm}/clients", clients::list)
        .post("/{realm}/clients", clients::create)
        .get(client, clients::get)
        .put(client, clients::update)
        .delete(client, clients::delete)
        .get(&at("client-secret"), client_secrets::show)
        .post(&at("client-secret"), client_secrets::renew)
        .get(&at("service-account-user"), client_secrets::service_account)
        .get(&at("default-client-scopes"), client_secrets::default_scopes)
        .get(
            &at("optional-client-scopes"),
            client_secrets::optional_scopes,
        )
        .put(
            &at("default-client-scopes/{scope}"),
            client_secrets::add_default,
        )
        .put(
            &at("optional-client-scopes/{scope}"),
            client_secrets::add_optional,
        )
        .delete(
            &at("default-client-scopes/{scope}"),
            client_secrets::remove_default,
        )
        .delete(
            &at("optional-client-scopes/{scope}"),
            client_secrets::remove_optional,
        )
}

fn of_people(table: Table) -> Table {
    let user = "/{realm}/users/{user}";
    let at = |path: &str| format!("{user}/{path}");
    let table = table
        .get("/{realm}/users", users::list)
        .get("/{realm}/users/count", users::count)
        .post("/{realm}/users/required-actions", cohort::post)
        .post(
            "/{realm}/users/{user}/pre-registration",
            links::pre_register,
        )
        .get("/{realm}/users/{user}/links", links::list)
        .delete("/{realm}/users/{user}/links/{link}", links::revoke)
        .delete("/{realm}/links/{link}", links::revoke)
        .put(
            "/{realm}/users/{user}/execute-actions-email",
            links::execute_actions,
        )
        .put(
            "/{realm}/users/{user}/send-verify-email",
            links::verify_email,
        )
        .put(
            "/{realm}/users/{user}/reset-password-email",
            links::reset_password,
        )
        .get("/{realm}/jobs", cohort::list)
        .get("/{realm}/jobs/{job}", cohort::get)
        .post("/{realm}/jobs/{job}/cancel", cohort::cancel)
        .post("/{realm}/jobs/{job}/undo", cohort::undo)
        .password(
            Method::POST,
            "/{realm}/users",
            users::prepare_create,
            users::create,
        )
        .get(user, users::get)
        .password(Method::PUT, user, password::prepare_update, change::update)
        .delete(user, users::delete)
        .password(
            Method::PUT,
            &at("reset-password"),
            password::prepare_reset,
            password::reset,
        )
        .get(&at("gate"), gate::get)
        .get(&at("sessions"), sessions::list)
        .post(&at("logout"), sessions::logout)
        .get(&at("credentials"), password::list)
        .delete(&at("credentials/{credential}"), password::delete)
        .put(&at("disable-credential-types"), password::disable_types)
        .get(&at("role-mappings"), users::roles::all);
    ["role-mappings/realm", "role-mappings/clients/{client}"]
        .into_iter()
        .fold(table, |table, path| {
            table
                .get(&at(path), users::roles::direct)
                .post(&at(path), users::roles::add)
                .delete(&at(path), users::roles::remove)
                .get(&at(&format!("{path}/available")), users::roles::available)
                .get(&at(&format!("{path}/composite")), users::roles::effective)
        })
}

fn of_mail_templates(table: Table) -> Table {
    let template = "/{realm}/mail-templates/{purpose}";
    table
        .get("/{realm}/mail-templates", mail_templates::list)
        .get(template, mail_templates::get)
        .put(template, mail_templates::put)
        .delete(template, mail_templates::delete)
        .post(&format!("{template}/preview"), mail_templates::preview)
}

fn of_campaigns(table: Table) -> Table {
    let campaign = "/{realm}/campaigns/{campaign}";
    let at = |path: &str| format!("{campaign}/{path}");
    table
        .get("/{realm}/campaigns", campaigns::list)
        .post("/{realm}/campaigns", campaigns::create)
        .get(campaign, campaigns::get)
        .post(&at("pause"), campaigns::pause)
        .post(&at("resume"), campaigns::resume)
        .post(&at("cancel"), campaigns::cancel)
        .post(&at("test-send"), campaigns::test_send)
        .post(&at("resend-in-doubt"), campaigns::resend_in_doubt)
        .get(&at("recipients"), campaigns::recipients::list)
        .post("/{realm}/mail/bounces", campaigns::bounces)
        .get("/{realm}/mails", mails::list)
        .post("/{realm}/mails/{mail}/resend", mails::resend)
}

/// Roles by name, below the realm or one of its clients.
fn of_roles(table: Table, base: &str) -> Table {
    let role = format!("{base}/roles/{{role}}");
    let table = table
        .get(&format!("{base}/roles"), roles::list)
        .post(&format!("{base}/roles"), roles::create)
        .get(&format!("{role}/users"), roles::users);
    of_one_role(table, &role)
}

fn of_roles_by_id(table: Table) -> Table {
    of_one_role(table, "/{realm}/roles-by-id/{role_id}")
}

fn of_one_role(table: Table, role: &str) -> Table {
    let composites = format!("{role}/composites");
    table
        .get(role, roles::get)
        .put(role, roles::update)
        .delete(role, roles::delete)
        .get(&composites, composites::list)
        .post(&composites, composites::add)
        .delete(&composites, composites::remove)
        .get(&format!("{composites}/realm"), composites::of_realm)
        .get(
            &format!("{composites}/clients/{{inner_client}}"),
            composites::of_client,
        )
}
