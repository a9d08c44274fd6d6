//! The guide for moving in does what it says: its commands run in its order, with the real binary, files of the four
//! kinds and a mailbox, and say what it shows.
//!
//! In a block `console` a line that starts with `$` is a command, `# exit code N` at its end is what it ends with (0
//! where nothing is said), and the lines below it are parts of what it prints; `…` stands for anything. A block `sh` of
//! `curl` is run as it stands, but for the mail server that it names, against a server that is started for it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::process::{Place, Server};
use crate::support::mailbox::Mailbox;

const KEYCLOAK: &str = include_str!("../import/files/harbour.json");
const KEYCLOAK_PASSWORDS: &str = include_str!("../import/files/harbour-passwords.json");
const AUTH0: &str = r#"[
{"user_id": "auth0|5f1", "email": "ann@people.example", "email_verified": true, "name": "Ann Abel",
 "custom_password_hash": {"algorithm": "bcrypt",
  "hash": {"value": "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"}}},
{"user_id": "auth0|5f2", "email": "ben@people.example", "email_verified": true, "mfa_factors": []}
]"#;
const CSV: &str = "email,firstName,lastName,emailVerified,locale,attribute.department\n\
    cleo@people.example,Cleo,Cask,true,de,deck\n\
    dora at people,Dora,Dune,true,en,galley\n";
const MENDED: &str = "email,firstName,lastName,emailVerified,locale,attribute.department\n\
    cleo@people.example,Cleo,Cask,true,de,deck\n\
    dora@people.example,Dora,Dune,true,en,galley\n";
/// A folded line, a value in base64, a unit that is no person, and a password in each of two forms.
const LDIF: &str = "dn: ou=people,dc=people,dc=example\n\
    objectClass: organizationalUnit\n\
    ou: people\n\
    \n\
    dn: uid=emil,ou=people,dc=people,dc=example\n\
    objectClass: inetOrgPerson\n\
    uid: emil\n\
    cn: Emil\n\
    givenName: Emil\n\
    sn:: SsOkZ2Vy\n\
    mail: emil@peo\n ple.example\n\
    userPassword:: e1NTSEF9cXlVK0lXVmlrT0xHQzV4WmQvNE5YQ2VCdjFSbmNtbDA=\n\
    \n\
    dn: uid=fay,ou=people,dc=people,dc=example\n\
    objectClass: inetOrgPerson\n\
    uid: fay\n\
    sn: Fox\n\
    mail: fay@people.example\n\
    userPassword: {SASL}fay@EXAMPLE\n";
/// What [`AUTH0`]'s and [`LDIF`]'s hashes were made of.
const PASSWORD: &str = "correct horse";

/// A command of the guide, what it ends with, and what it shows.
#[derive(Debug)]
struct Step {
    command: String,
    code: i32,
    shows: Vec<String>,
}

fn guide() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/moving-in.md");
    std::fs::read_to_string(path).unwrap()
}

/// The blocks of that kind.
fn blocks<'a>(guide: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}\n");
    guide
        .split(&fence)
        .skip(1)
        .map(|after| after.split("```").next().unwrap())
        .collect()
}

/// Every block in the guide's order: its kind, and what stands in it.
fn all_blocks(guide: &str) -> impl Iterator<Item = (&str, &str)> {
    let fenced = guide.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n'))
}

fn steps(guide: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (kind, block) in all_blocks(guide) {
        match kind {
            "console" => commands(block, &mut steps),
            "sh" if block.starts_with("curl ") => steps.push(Step {
                command: block.trim().to_owned(),
                code: 0,
                shows: Vec::new(),
            }),
            _ => {}
        }
    }
    steps
}

/// The commands of a block `console`.
fn commands(block: &str, steps: &mut Vec<Step>) {
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let (command, code) = command
                .split_once("# exit code ")
                .map_or((command, 0), |(command, code)| {
                    (command, code.parse().unwrap())
                });
            steps.push(Step {
                command: command.trim().to_owned(),
                code,
                shows: Vec::new(),
            });
        } else if !line.trim().is_empty() {
            let step = steps.last_mut().expect("a command before its output");
            step.shows.push(line.trim().to_owned());
        }
    }
}

/// Whether the pieces of a shown line stand in the output, one after another.
fn says(output: &str, shown: &str) -> bool {
    let mut rest = output;
    for piece in shown
        .split('…')
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
    {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// The installation that the guide starts with: a server that can mail, and the files to move.
fn installation(mailbox: &Mailbox, guide: &str) -> Place {
    let place = Place::new()
        .set(
            "VESTIBULE_SMTP_URL",
            format!("smtp://127.0.0.1:{}?tls=none", mailbox.port()),
        )
        .set("VESTIBULE_MAIL_FROM", "no-reply@harbour.example");
    // The first start makes the administrator.
    stop(place.serve());
    let converter = blocks(guide, "python")[0];
    for (name, text) in [
        ("harbour-realm.json", KEYCLOAK),
        ("auth0-users.json", AUTH0),
        ("people.csv", CSV),
        ("mended.csv", MENDED),
        ("people.ldif", LDIF),
        ("ldif2csv.py", converter),
        ("message.txt", "We move on Monday. Questions: desk 4711.\n"),
    ] {
        std::fs::write(place.path(name), text).unwrap();
    }
    place
}

/// Ends a server as an operator does, with what it has under way.
fn stop(server: Server<'_>) {
    server.signal("TERM");
    assert_eq!(server.ended().0, Some(0));
}

fn newest_campaign(place: &Place) -> String {
    let list = place.run(&["campaign", "list", "--realm", "harbour", "--json"]);
    list.json()[0]["id"].as_str().unwrap_or_default().to_owned()
}

fn run((place, mailbox): (&Place, &Mailbox), step: &Step) {
    let command = step
        .command
        .replace("$CAMPAIGN", &newest_or_nothing(place, step));
    let words: Vec<&str> = command.split_whitespace().collect();
    let (code, output) = match words[0] {
        "vestibule" => {
            let ran = place.run(&words[1..]);
            (ran.code, format!("{}\n{}", ran.out, ran.err))
        }
        "python3" => convert(place, &words[1..]),
        "curl" => call((place, mailbox), &command),
        other => panic!("{other} is no command of the guide"),
    };
    assert_eq!(code, step.code, "{command}\n{output}");
    for shown in &step.shows {
        assert!(
            says(&output, shown),
            "{command}\nshows {shown:?} in\n{output}"
        );
    }
}

fn newest_or_nothing(place: &Place, step: &Step) -> String {
    if step.command.contains("$CAMPAIGN") {
        newest_campaign(place)
    } else {
        String::new()
    }
}

/// `python3 SCRIPT FILE > TARGET`.
fn convert(place: &Place, words: &[&str]) -> (i32, String) {
    let [script, file, ">", target] = words else {
        panic!("{words:?}");
    };
    let target = std::fs::File::create(place.path(target)).unwrap();
    let ended = Command::new("python3")
        .args([script, file])
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stdout(target)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.code().unwrap_or(-1), said)
}

/// A block of `curl`, run by a shell; what became of it is asked of the server.
fn call((place, mailbox): (&Place, &Mailbox), command: &str) -> (i32, String) {
    let server = place.serve();
    let form =
        "grant_type=password&client_id=admin-cli&username=admin&password=an+admin+passphrase";
    let token = server.post("/realms/master/protocol/openid-connect/token", form);
    let token = token.json()["access_token"].as_str().unwrap().to_owned();
    if let Some(mail) = mailbox.to("cleo@people.example").first() {
        std::fs::write(place.path("bounce.eml"), report(&mail.raw)).unwrap();
    }
    let command = command
        .replace("mail.example.org", "127.0.0.1")
        .replace("\"587\"", &format!("\"{}\"", mailbox.port()))
        .replace("\"starttls\": \"true\"", "\"starttls\": \"false\"")
        .replace("\"auth\": \"true\"", "\"auth\": \"false\"");
    let ran = Command::new("sh")
        .args(["-ec", &command])
        .current_dir(place.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("ID", place.url())
        .env("TOKEN", &token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let code = ran.status.code().unwrap_or(-1);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(code, 0, "{command}\n{said}\n{told}");
    has_done(&server, &token, (command.as_str(), said.as_str()));
    stop(server);
    (code, said)
}

/// That a call has done what the guide says it is for.
fn has_done(server: &Server<'_>, token: &str, (command, said): (&str, &str)) {
    let get = |path: &str| {
        let request = format!(
            "GET /admin/realms/harbour{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        server.send(&request).json()
    };
    if command.contains("-X PUT") {
        assert!(said.starts_with("HTTP/1.1 204"), "{said}");
        let realm = get("");
        assert_eq!(realm["resetPasswordAllowed"], true);
        assert_eq!(realm["actionTokenGeneratedByAdminLifespan"], 259_200);
        assert_eq!(realm["smtpServer"]["from"], "no-reply@harbour.example");
        assert_eq!(realm["smtpServer"]["password"], "**********");
    } else if command.contains("/campaigns") {
        let made: serde_json::Value = serde_json::from_str(said).unwrap();
        let shown = get(&format!("/campaigns/{}", made["id"].as_str().unwrap()));
        assert_eq!(shown["name"], "first passwords", "{shown}");
    } else if command.contains("/mail/bounces") {
        let answer: serde_json::Value = serde_json::from_str(said).unwrap();
        assert_eq!(answer, serde_json::json!({ "count": 1, "failed": true }));
        let bounced = get("/mails?state=bounced");
        assert_eq!(bounced.as_array().map(Vec::len), Some(1), "{bounced}");
        assert_eq!(bounced[0]["email"], "cleo@people.example");
    } else {
        panic!("nobody has said what this does: {command}");
    }
}

/// The report that this mail came back.
fn report(mail: &[u8]) -> String {
    let mail = String::from_utf8_lossy(mail);
    let headers = mail.split("\r\n\r\n").next().unwrap();
    format!(
        "From: MAILER-DAEMON@relay.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{headers}\r\n\r\n--b--\r\n"
    )
}

/// The answer's status and body to somebody who signs in with a password.
fn sign_in(server: &Server<'_>, username: &str, password: &str) -> (u16, String) {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "password")
        .append_pair("client_id", "admin-cli")
        .append_pair("username", username)
        .append_pair("password", password)
        .finish();
    let answer = server.post("/realms/harbour/protocol/openid-connect/token", &form);
    (answer.status, answer.body)
}

#[test]
fn every_command_of_the_guide_does_what_the_guide_says() {
    let guide = guide();
    let steps = steps(&guide);
    let of = |name: &str| {
        steps
            .iter()
            .filter(|step| step.command.contains(name))
            .count()
    };
    for (name, at_least) in [
        ("user import", 8),
        ("pre-register", 3),
        ("send-password-reset", 4),
        ("curl", 3),
    ] {
        assert!(of(name) >= at_least, "{name} {}: {steps:#?}", of(name));
    }
    let mailbox = Mailbox::start();
    let place = installation(&mailbox, &guide);
    for step in &steps {
        run((&place, &mailbox), step);
    }
    // Mails: to whoever tries them, to who came without a password, and to everybody.
    for address in [
        "ada@harbour.example",
        "no-password@harbour.example",
        "with-totp@harbour.example",
        "ann@people.example",
        "ben@people.example",
        "cleo@people.example",
        "dora@people.example",
        "emil@people.example",
        "fay@people.example",
    ] {
        let mails = mailbox.to(address);
        let link = format!("{}/realms/harbour/login-actions/link/", place.url());
        let text = |number: usize| mails[number].text.clone().unwrap_or_default();
        assert!(!mails.is_empty(), "{address} got nothing");
        assert!(text(0).contains(&link), "{address}: {}", text(0));
    }
    assert!(mailbox.to("disabled@harbour.example").is_empty());
    let cleo = mailbox.to("cleo@people.example");
    let with_words = |mail: &&std::sync::Arc<vestibule::demo::mailbox::Received>| {
        mail.text
            .as_deref()
            .unwrap_or_default()
            .contains("desk 4711")
    };
    assert!(
        cleo.iter().any(|mail| with_words(&mail)),
        "the words of one's own"
    );

    // Passwords that were carried over open the door.
    let server = place.serve();
    let passwords: BTreeMap<String, String> = serde_json::from_str(KEYCLOAK_PASSWORDS).unwrap();
    for (username, password) in [
        ("argon2-plain", passwords["argon2-plain"].as_str()),
        (
            "pbkdf2-sha512-plain",
            passwords["pbkdf2-sha512-plain"].as_str(),
        ),
        ("ann@people.example", PASSWORD),
        ("emil", PASSWORD),
    ] {
        let (status, body) = sign_in(&server, username, password);
        assert_eq!(status, 200, "{username} {body}");
        let (status, _) = sign_in(&server, username, "another password");
        assert_eq!(status, 400, "{username}");
    }
    let (status, body) = sign_in(&server, "argon2-flagged", &passwords["argon2-flagged"]);
    assert_eq!(status, 400);
    assert!(body.contains("Account is not fully set up"), "{body}");
}
