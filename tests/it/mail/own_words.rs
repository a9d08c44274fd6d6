//! A realm's own words from end to end: hostile names in them, campaigns that show and try them, and the guide's example
//! by the guide's own commands.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use scraper::{Html, Selector};
use serde_json::{Value, json};

use super::Api;
use super::corpus::{HOSTILE, id_of, one_mail, smtp_with_reply};
use super::templates::{PLACE, Stage, html, subject, template, text};
use crate::support::app::{REALM, TestApp};
use crate::support::database::{ADMIN, on_both};
use crate::support::mail_peer::MailPeer;

/// Threat V054 in words of one's own: the same corpus, and what is asserted of the built-in mails.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_words_are_words_in_a_template_as_well() {
    let peer = MailPeer::start(json!({ "tls": "none", "utf8": true }));
    let Some(peer) = peer else { return };
    let app = TestApp::start().await;
    let api = Api::new(app.address(), ADMIN);
    let host = url::Url::parse(app.public_url()).unwrap();
    let host = host.host_str().unwrap().to_owned();
    let plain = "{{ realm }} {{ app }} {{ name }} {{ first_name }} {{ username }}\n{{ link }}\n{{ message }}\n";
    let markup = "<html><head><title>{{ realm }}{{ app }}</title></head><body><p>{{ realm }} {{ app }} {{ name }} \
                {{ first_name | upper }} {{ username }}</p><a href='{{ link }}'>{{ realm | lower }}</a>\
                <blockquote>{{ message }}</blockquote></body></html>";
    let body =
        json!({ "subject": "{{ realm }} {{ app }} {{ name }}", "text": plain, "html": markup });
    Api::fine(&api.call(Method::PUT, PLACE, body).await);
    let clients = api
        .call(Method::GET, "/t1/clients?clientId=rp", Value::Null)
        .await;
    let client = clients.body[0]["id"].as_str().unwrap().to_owned();
    let put = json!({ "smtpServer": smtp_with_reply(peer.port) });
    Api::fine(&api.call(Method::PUT, "/t1", put).await);
    let mut expected = 0;
    for (number, hostile) in HOSTILE
        .iter()
        .map(|text| text.replace("HOST", &host))
        .enumerate()
    {
        // Each is taken or refused by its own call; a refused one leaves a harmless name.
        let realm = json!({ "displayName": hostile });
        drop(api.call(Method::PUT, "/t1", realm).await);
        let path = format!("/t1/clients/{client}");
        drop(
            api.call(Method::PUT, &path, json!({ "name": hostile }))
                .await,
        );
        let email = format!("person{number}@people.example");
        let person =
            json!({ "username": format!("person{number}"), "email": email, "enabled": true });
        let mut named = person.clone();
        for name in ["firstName", "lastName"] {
            named[name] = hostile.clone().into();
        }
        if api.call(Method::POST, "/t1/users", named).await.status >= 300 {
            Api::fine(&api.call(Method::POST, "/t1/users", person).await);
        }
        let id = id_of(&api, &email).await;
        let path = format!("/t1/users/{id}/pre-registration");
        let body = json!({ "message": hostile, "client_id": "rp" });
        if api.call(Method::POST, &path, body).await.status < 300 {
            expected += 1;
            one_mail(&peer, expected, (&email, &hostile, &host)).await;
        }
    }
    assert!(expected >= HOSTILE.len() - 2, "{expected}");
}

on_both!(campaigns_show_and_try_the_words_that_they_send);
async fn campaigns_show_and_try_the_words_that_they_send(app: TestApp) {
    let Some(stage) = Stage::of(&app).await else {
        return;
    };
    let ann = stage.person(REALM, "ann", "en").await;
    stage
        .put("?client=rp", template("Dear {{ first_name }}"))
        .await;
    let body = |dry: bool, subject: Option<&str>| {
        json!({
            "name": "Welcome", "kind": "pre-registration", "audience": { "ids": [ann] }, "clientId": "rp",
            "message": "Hello", "dryRun": dry, "subject": subject,
        })
    };
    let campaigns = "/t1/campaigns";
    let shown = stage
        .api
        .call(Method::POST, campaigns, body(true, None))
        .await;
    let sample = &shown.body["samples"][0];
    assert_eq!(sample["subject"], "Dear Ann", "{}", shown.body);
    assert!(
        sample["text"].as_str().unwrap().contains("| Hello"),
        "{sample}"
    );
    let shown = stage
        .api
        .call(Method::POST, campaigns, body(true, Some("Monday")))
        .await;
    assert_eq!(shown.body["samples"][0]["subject"], "Harbour: Monday");

    let chief = app
        .user("chief")
        .client_role("realm-management", "realm-admin")
        .await;
    let later = app.store().clock().now().plus_seconds(3600).millis();
    let mut waiting = body(false, None);
    waiting["startAt"] = later.into();
    let made = stage.api.call(Method::POST, campaigns, waiting).await;
    let id = made.body["id"].as_str().expect("an id");
    let mut cli = app.legacy.in_realm(REALM);
    cli.client_id = "admin-cli".to_owned();
    cli.secret = None;
    let granted = cli.password_grant(&chief.username, &chief.password).await;
    let url = app.here(&format!(
        "{}/admin/realms/t1/campaigns/{id}/test-send",
        app.public_url()
    ));
    let tried = app.http.post(url).bearer_auth(granted.text("access_token"));
    assert_eq!(tried.send().await.expect("an answer").status(), 204);
    let mails = stage.peer.expect(1).await;
    assert!(
        subject(&mails[0]).starts_with("[TEST] Dear"),
        "{}",
        subject(&mails[0])
    );

    let made = stage
        .api
        .call(Method::POST, campaigns, body(false, None))
        .await;
    assert_eq!(made.status, 202, "{}", made.body);
    let mails = stage.peer.expect(2).await;
    assert_eq!(subject(&mails[1]), "Dear Ann");
    assert_eq!(mails[1].0["rcpt_tos"], json!(["ann@people.example"]));
}

/// The blocks of the guide of that kind.
pub fn blocks(kind: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mail-templates.md");
    let guide = std::fs::read_to_string(path).expect("the guide");
    let fence = format!("```{kind}\n");
    let after = guide.split(&fence).skip(1);
    after
        .map(|after| after.split("```\n").next().expect("its end").to_owned())
        .collect()
}

/// Runs one block of the guide as somebody at a shell would.
fn shell(folder: &Path, (id, token): (&str, &str), block: &str) -> String {
    let ran = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", block])
        .current_dir(folder)
        .env("ID", id)
        .env("TOKEN", token)
        .env("no_proxy", "*")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{block}\n{said}");
    String::from_utf8(ran.stdout).expect("text")
}

/// The guide's example, by the guide's own commands.
#[tokio::test(flavor = "multi_thread")]
async fn the_guides_example_is_previewed_stored_sent_and_deleted() {
    let app = TestApp::start().await;
    let Some(mut stage) = Stage::of(&app).await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (name, kind) in [("invitation.txt", "text"), ("invitation.html", "html")] {
        let found = blocks(kind);
        assert_eq!(found.len(), 1, "{kind}");
        std::fs::write(folder.path().join(name), &found[0]).expect("a file");
    }
    let steps: Vec<String> = blocks("sh")
        .iter()
        .map(|block| block.replace("/realms/demo/", "/realms/t1/"))
        .collect();
    let [preview, store, delete] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let token = stage.api.token().await;
    let who = (app.address(), token.as_str());
    shell(folder.path(), who, preview);
    let seen = std::fs::read_to_string(folder.path().join("preview.html")).expect("a preview");
    assert!(
        seen.contains("Hello Robin, your reader&#x27;s card")
            || seen.contains("Hello Robin, your reader's card")
    );
    assert!(
        seen.contains("HARBOUR") && !seen.contains("{{") && !seen.contains("{%"),
        "{seen}"
    );
    assert_eq!(app.count("SELECT count(*) AS value FROM mail_templates"), 0);
    let listed = shell(folder.path(), who, store);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["purpose"], "pre-registration", "{listed}");

    let ann = stage.person(REALM, "ann", "en").await;
    let body = json!({ "client_id": "rp", "message": "Bring <b>boots</b>.\nIris" });
    let mail = stage.invite((REALM, &ann), body).await;
    assert!(
        subject(&mail).starts_with("Your reader's card for "),
        "{}",
        subject(&mail)
    );
    assert!(text(&mail).starts_with("Hello Ann,\n\nyour reader's card of Harbour is ready."));
    assert!(
        text(&mail).contains("| Bring <b>boots</b>.\n| Iris\n\n--\n"),
        "{}",
        text(&mail)
    );
    let page = Html::parse_document(&html(&mail));
    let all = |what: &str| -> Vec<String> {
        let what = Selector::parse(what).expect("a selector");
        page.select(&what).map(|one| one.text().collect()).collect()
    };
    assert_eq!(all("blockquote"), ["Bring <b>boots</b>.\nIris"]);
    assert_eq!(
        all("h1")[0].trim(),
        "Hello Ann, your reader's card is ready."
    );
    let link = Selector::parse("a").expect("a selector");
    let link = page
        .select(&link)
        .next()
        .and_then(|a| a.value().attr("href"));
    let link = link.expect("a link");
    assert!(link.contains("/realms/t1/login-actions/link/"), "{link}");
    assert!(text(&mail).contains(link), "{}", text(&mail));
    // The link of the mail is the person's own.
    let mut browser = app.browser();
    let link = url::Url::parse(link).expect("a URL");
    browser.open(link).await.assert_page("link");

    shell(folder.path(), who, delete);
    let mail = stage.invite((REALM, &ann), json!({})).await;
    assert_eq!(subject(&mail), "Harbour: Set your password");
}
