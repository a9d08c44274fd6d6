//! Mails in words of a realm's own: stored through the admin API, chosen for each mail, and read by a mail server that is
//! not ours.

use reqwest::Method;
use serde_json::{Value, json};
use vestibule::mail::template::{Place, Source, rows};

use super::{Api, smtp};
use crate::support::app::{REALM, TestApp};
use crate::support::database::{ADMIN, on_both};
use crate::support::mail_peer::{Arrived, MailPeer};

const TEXT: &str = "{{ realm }} for {{ name }}\n{{ link }}\n{{ message }}\n";
const HTML: &str =
    "<p>{{ realm }} for {{ name }}</p><a href=\"{{ link }}\">{{ button }}</a><p>{{ message }}</p>";

/// Where templates of invitations are.
pub(super) const PLACE: &str = "/t1/mail-templates/pre-registration";

pub(super) fn template(subject: &str) -> Value {
    json!({ "subject": subject, "text": TEXT, "html": HTML })
}

/// A realm that mails to the server, and its administrator.
pub(super) struct Stage {
    pub(super) api: Api,
    pub(super) peer: MailPeer,
    sent: usize,
}

impl Stage {
    pub(super) async fn of(app: &TestApp) -> Option<Self> {
        let peer = MailPeer::start(json!({ "tls": "none", "utf8": true }))?;
        let api = Api::new(app.address(), ADMIN);
        let put = json!({ "smtpServer": smtp(peer.port), "displayName": "Harbour" });
        Api::fine(&api.call(Method::PUT, "/t1", put).await);
        let sent = 0;
        Some(Self { api, peer, sent })
    }

    pub(super) async fn put(&self, tail: &str, body: Value) {
        let path = format!("{PLACE}{tail}");
        Api::fine(&self.api.call(Method::PUT, &path, body).await);
    }

    async fn delete(&self, tail: &str) {
        let path = format!("{PLACE}{tail}");
        Api::fine(&self.api.call(Method::DELETE, &path, Value::Null).await);
    }

    /// Makes a person who can be invited, and answers the id.
    pub(super) async fn person(&self, realm: &str, name: &str, locale: &str) -> String {
        let body = json!({
            "username": name, "email": format!("{name}@people.example"), "enabled": true,
            "firstName": "Ann", "lastName": "Abel", "attributes": { "locale": [locale] },
        });
        let path = format!("/{realm}/users");
        Api::fine(&self.api.call(Method::POST, &path, body).await);
        let path = format!("{path}?exact=true&username={name}");
        let found = self.api.call(Method::GET, &path, Value::Null).await.body;
        found[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Mails a person an invitation, and answers the mail.
    pub(super) async fn invite(&mut self, (realm, id): (&str, &str), body: Value) -> Arrived {
        let path = format!("/{realm}/users/{id}/pre-registration");
        Api::fine(&self.api.call(Method::POST, &path, body).await);
        self.sent += 1;
        let mut mails = self.peer.expect(self.sent).await;
        assert_eq!(mails.len(), self.sent);
        mails.pop().expect("a mail")
    }
}

pub(super) fn subject(mail: &Arrived) -> String {
    mail.headers("Subject")[0].to_owned()
}

/// The part of plain text, its lines ended as templates end them.
pub(super) fn text(mail: &Arrived) -> String {
    mail.text().replace("\r\n", "\n")
}

/// The HTML part, likewise.
pub(super) fn html(mail: &Arrived) -> String {
    mail.html().replace("\r\n", "\n")
}

on_both!(the_most_special_words_are_sent_and_deleted_ones_leave_the_next);
async fn the_most_special_words_are_sent_and_deleted_ones_leave_the_next(app: TestApp) {
    let Some(mut stage) = Stage::of(&app).await else {
        return;
    };
    // Where there is another node, either may send: a template counts at once for both.
    let _other = app.second_node().await;
    app.make_realm("t2").await;
    let put = json!({ "smtpServer": smtp(stage.peer.port) });
    Api::fine(&stage.api.call(Method::PUT, "/t2", put).await);
    let ann = stage.person(REALM, "ann", "de").await;
    let eve = stage.person("t2", "eve", "de").await;
    let rp = json!({ "client_id": "rp", "message": "See <you>\nsoon" });
    const BUILT_IN: &str = "Harbour: Legen Sie Ihr Passwort fest";
    let first = subject(&stage.invite((REALM, &ann), rp.clone()).await);
    assert_eq!(first, BUILT_IN);
    let levels = [
        ("", "the realm's"),
        ("?locale=de", "the language's"),
        ("?client=rp", "the client's"),
        ("?locale=de&client=rp", "both's"),
    ];
    for (tail, name) in levels {
        stage.put(tail, template(name)).await;
        for _ in 0..3 {
            let mail = stage.invite((REALM, &ann), rp.clone()).await;
            assert_eq!(subject(&mail), name);
            assert!(
                text(&mail).starts_with("Harbour for Ann Abel\n"),
                "{}",
                text(&mail)
            );
            assert!(
                text(&mail).contains("| See <you>\n| soon"),
                "{}",
                text(&mail)
            );
            assert!(
                html(&mail).contains("<p>See &lt;you&gt;<br>\nsoon</p>"),
                "{}",
                html(&mail)
            );
            assert_eq!(mail.0["parsed"]["defects"], json!([]));
        }
    }
    // Another client, no client, another language, another realm.
    let foreign = json!({ "client_id": "foreign" });
    let mail = stage.invite((REALM, &ann), foreign.clone()).await;
    assert_eq!(subject(&mail), "the language's");
    assert_eq!(
        subject(&stage.invite((REALM, &ann), json!({})).await),
        "the language's"
    );
    let ben = stage.person(REALM, "ben", "en").await;
    assert_eq!(
        subject(&stage.invite((REALM, &ben), rp.clone()).await),
        "the client's"
    );
    assert_eq!(
        subject(&stage.invite((REALM, &ben), foreign).await),
        "the realm's"
    );
    let mail = stage.invite(("t2", &eve), rp.clone()).await;
    assert!(
        subject(&mail).starts_with("Realm t2: "),
        "{}",
        subject(&mail)
    );

    let list = stage
        .api
        .call(Method::GET, "/t1/mail-templates", Value::Null)
        .await
        .body;
    let list = list.as_array().expect("a list");
    let places: Vec<[&Value; 3]> = list
        .iter()
        .map(|one| [&one["client"], &one["locale"], &one["subject"]])
        .collect();
    assert_eq!(places.len(), 4, "{places:?}");
    assert!(
        places.contains(&[&json!("rp"), &json!("de"), &json!("both's")]),
        "{places:?}"
    );
    assert_eq!(
        places[0],
        [&Value::Null, &Value::Null, &json!("the realm's")]
    );

    let next = ["the client's", "the language's", "the realm's", BUILT_IN];
    for ((tail, _), next) in levels.iter().rev().zip(next) {
        stage.delete(tail).await;
        let mail = stage.invite((REALM, &ann), rp.clone()).await;
        assert_eq!(subject(&mail), next);
    }
}

on_both!(templates_go_with_their_client_and_their_realm);
async fn templates_go_with_their_client_and_their_realm(app: TestApp) {
    let api = Api::new(app.address(), ADMIN);
    app.make_realm("t2").await;
    for (path, subject) in [
        ("/t1/mail-templates/set-password", "one"),
        ("/t1/mail-templates/set-password?client=foreign", "two"),
        ("/t2/mail-templates/set-password?client=rp", "three"),
        ("/t2/mail-templates/actions", "four"),
    ] {
        Api::fine(&api.call(Method::PUT, path, template(subject)).await);
    }
    let left = || app.sql("SELECT subject AS value FROM mail_templates ORDER BY subject");
    let clients = api
        .call(Method::GET, "/t1/clients?clientId=foreign", Value::Null)
        .await;
    let client = clients.body[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/t1/clients/{client}");
    Api::fine(&api.call(Method::DELETE, &path, Value::Null).await);
    assert_eq!(left(), ["four", "one", "three"]);
    Api::fine(&api.call(Method::DELETE, "/t2", Value::Null).await);
    assert_eq!(left(), ["one"]);
}

on_both!(whoever_may_not_change_the_realm_changes_no_mail);
async fn whoever_may_not_change_the_realm_changes_no_mail(app: TestApp) {
    let api = Api::new(app.address(), ADMIN);
    let viewer = app
        .user("viewer")
        .client_role("realm-management", "view-realm")
        .await;
    let helper = app
        .user("helper")
        .client_role("realm-management", "manage-users")
        .await;
    Api::fine(&api.call(Method::PUT, PLACE, template("ours")).await);
    let preview = format!("{PLACE}/preview");
    for (user, looks) in [(&viewer, true), (&helper, false)] {
        let mut client = app.legacy.in_realm(REALM);
        client.client_id = "admin-cli".to_owned();
        client.secret = None;
        let granted = client.password_grant(&user.username, &user.password).await;
        let token = granted.text("access_token").to_owned();
        let status = async |method: Method, path: &str, body: Option<Value>| {
            let url = app.here(&format!("{}/admin/realms{path}", app.public_url()));
            let request = app.http.request(method, url).bearer_auth(&token);
            let request = match body {
                Some(body) => request.json(&body),
                None => request,
            };
            request.send().await.expect("an answer").status().as_u16()
        };
        let seen = if looks { 200 } else { 403 };
        assert_eq!(status(Method::GET, "/t1/mail-templates", None).await, seen);
        assert_eq!(status(Method::GET, PLACE, None).await, seen);
        assert_eq!(
            status(Method::POST, &preview, Some(template("x"))).await,
            seen
        );
        assert_eq!(status(Method::PUT, PLACE, Some(template("x"))).await, 403);
        assert_eq!(status(Method::DELETE, PLACE, None).await, 403);
    }
    let shown = api.call(Method::GET, PLACE, Value::Null).await;
    assert_eq!(shown.body["subject"], "ours");
    // What is read can be written back, and is audited each time.
    Api::fine(&api.call(Method::PUT, PLACE, shown.body).await);
    Api::fine(&api.call(Method::DELETE, PLACE, Value::Null).await);
    for (kind, count) in [("UPDATE", 2), ("DELETE", 1)] {
        let query = format!(
            "SELECT count(*) AS value FROM events WHERE kind = 'ADMIN_MAIL_TEMPLATE_{kind}'"
        );
        assert_eq!(app.count(&query), count, "{kind}");
    }
}

on_both!(what_could_not_be_sent_is_refused_with_part_line_and_reason);
async fn what_could_not_be_sent_is_refused_with_part_line_and_reason(app: TestApp) {
    let api = Api::new(app.address(), ADMIN);
    let with = |part: &str, text: &str| {
        let mut body = template("ours");
        body[part] = text.into();
        body
    };
    let fetched = format!("{HTML}\n<img src=\"https://evil.example/x.png\">");
    for (body, says) in [
        (with("html", &fetched), "html, line 2: the element <img>"),
        (
            with("text", "{{ link }}\n{{ get_env(name=\"PATH\") }}"),
            "text, line 2: `get_env(",
        ),
        (
            with("text", "{{ link }}{{ message | safe }}"),
            "text, line 1: the filter `safe`",
        ),
        (
            with("text", "{{ message }}"),
            "text, line 1: {{ link }} is missing",
        ),
        (
            with("subject", "{{ link }}"),
            "subject, line 1: a subject cannot show link",
        ),
        (
            with("subject", "a\r\nBcc: eve@evil.example"),
            "subject, line 1: a subject is one line",
        ),
        (json!({ "subject": "x", "text": TEXT }), "html is missing"),
        (with("locale", "de"), "the URL says where it is stored"),
        (with("colour", "red"), "Unrecognized field \"colour\""),
    ] {
        for (method, path) in [
            (Method::PUT, PLACE.to_owned()),
            (Method::POST, format!("{PLACE}/preview")),
        ] {
            if method == Method::POST && body["locale"].is_string() {
                continue;
            }
            let answer = api.call(method, &path, body.clone()).await;
            assert_eq!(answer.status, 400, "{}", answer.body);
            let said = answer.body.to_string().replace("\\\"", "\"");
            assert!(said.contains(says), "{says}: {said}");
        }
    }
    for (path, status, says) in [
        (
            "/t1/mail-templates/pre-registration?client=nobody",
            400,
            "clientId of a client",
        ),
        (
            "/t1/mail-templates/pre-registration?locale=xx",
            400,
            "locale is one of en, de",
        ),
        ("/t1/mail-templates/nonsense", 404, "pre-registration"),
        ("/t1/mail-templates/test", 404, "pre-registration"),
    ] {
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            let body = if method == Method::PUT {
                template("x")
            } else {
                Value::Null
            };
            let answer = api.call(method, path, body).await;
            assert_eq!(answer.status, status, "{path} {}", answer.body);
            assert!(answer.body.to_string().contains(says), "{}", answer.body);
        }
    }
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(api.call(method, PLACE, Value::Null).await.status, 404);
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM mail_templates"), 0);
    let query = "SELECT count(*) AS value FROM events WHERE kind LIKE 'ADMIN_MAIL_TEMPLATE_%'";
    assert_eq!(app.count(query), 0);
}

on_both!(a_template_that_fails_when_the_mail_goes_out_loses_no_mail);
async fn a_template_that_fails_when_the_mail_goes_out_loses_no_mail(app: TestApp) {
    let Some(mut stage) = Stage::of(&app).await else {
        return;
    };
    let ann = stage.person(REALM, "ann", "en").await;
    stage.put("", template("ours")).await;
    let mail = stage.invite((REALM, &ann), json!({})).await;
    assert_eq!(subject(&mail), "ours");
    // One whose subject says nothing in this mail, and one that came into the database by another way.
    stage
        .put("", template("{% if app %}For {{ app }}{% endif %}"))
        .await;
    let built_in = "Harbour: Set your password";
    let mail = stage.invite((REALM, &ann), json!({})).await;
    assert_eq!(subject(&mail), built_in);
    assert!(
        text(&mail).contains("An account has been prepared"),
        "{}",
        text(&mail)
    );
    let mail = stage
        .invite((REALM, &ann), json!({ "client_id": "rp" }))
        .await;
    assert!(subject(&mail).starts_with("For "), "{}", subject(&mail));
    for broken in [
        "<script>alert(1)</script>",
        "{{ get_env(name=\"PATH\") }}",
        "{% if",
        "",
    ] {
        app.tx(move |tx| {
            let realm = vestibule::realm::rows::by_name(tx, REALM)?.expect("the realm");
            let place = Place {
                purpose: "pre-registration".to_owned(),
                client: None,
                locale: None,
            };
            let source = Source {
                subject: "broken".to_owned(),
                text: TEXT.to_owned(),
                html: broken.to_owned(),
            };
            rows::put(tx, &realm.id, (&place, &source))?;
            vestibule::realm::rows::touch(tx, &realm.id)
        })
        .await;
        let mail = stage.invite((REALM, &ann), json!({})).await;
        assert_eq!(subject(&mail), built_in, "{broken}");
        assert!(!html(&mail).contains("script"), "{}", html(&mail));
    }
}
