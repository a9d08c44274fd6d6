//! Mailings from the command line where mails cannot leave, or not to everybody: what is said, what is left alone, and
//! the exit code.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::commands::{address, shop, waiting};
use crate::operations::process::{Place, Ran};
use crate::support::terminal::Terminal;

/// What a mail server answers to a command that it does not simply take.
type Manner = fn(&str) -> Option<&'static str>;

/// A mail server with an answer of its own; where it listens. It ends with the process.
fn server(manner: Manner) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || talk(stream, manner));
        }
    });
    port
}

fn talk(stream: TcpStream, manner: Manner) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    out.write_all(b"220 here\r\n").ok()?;
    for line in BufReader::new(stream).lines() {
        let line = line.ok()?.to_uppercase();
        let usual = if line.starts_with("EHLO") {
            "250-here\r\n250 AUTH PLAIN LOGIN"
        } else {
            "250 as you like"
        };
        let said = manner(&line).unwrap_or(usual);
        out.write_all(format!("{said}\r\n").as_bytes()).ok()?;
    }
    Some(())
}

fn refuses_the_login(line: &str) -> Option<&'static str> {
    line.starts_with("AUTH")
        .then_some("535 5.7.8 not with this password")
}

fn refuses_for_now(line: &str) -> Option<&'static str> {
    line.starts_with("RCPT").then_some("451 4.7.1 later")
}

/// The shop, sending by another server.
fn sending_to(place: Place, port: u16) -> Place {
    place.set(
        "VESTIBULE_SMTP_URL",
        format!("smtp://shop:secret@127.0.0.1:{port}?tls=none"),
    )
}

fn reset<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["user", "send-password-reset", "--realm", "shop"], more].concat()
}

fn at_terminal(place: &Place, arguments: &[&str]) -> Terminal {
    let typed = format!("vestibule {}", arguments.join(" "));
    Terminal::start(&place.command(arguments), &typed)
}

/// A text as it is read, wherever its lines are broken.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Brings people into the shop.
fn bring(place: &Place, file: &str) {
    std::fs::write(place.path("more.csv"), file).expect("the file");
    let imported = place.run(&["user", "import", "--realm", "shop", "more.csv"]);
    assert_eq!(imported.code, 0, "{}", imported.err);
}

fn newest(place: &Place) -> serde_json::Value {
    let list = place.run(&["campaign", "list", "--realm", "shop", "--json"]);
    list.json()[0].clone()
}

#[test]
fn no_password_ends_where_no_mail_can_leave() {
    let (place, _mailbox) = shop(3);
    let place = sending_to(place, server(refuses_the_login));
    for whom in [&["--all-users"][..], &["-u", "p00001"]] {
        let end = reset(&[whom, &["--compromised", "--yes"]].concat());
        let refused = place.run(&end);
        refused.refused(1, "535 5.7.8 not with this password");
        refused.refused(1, "no password was ended and nobody was mailed");
        refused.refused(1, "vestibule doctor --realm shop --mail ADDRESS");
        refused.refused(1, "/admin/realms/shop/users/required-actions");
    }
    assert_eq!(waiting(&place), 0);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = nobody.local_addr().expect("its address").port();
    drop(nobody);
    let place = sending_to(place, port);
    let end = reset(&["--all-users", "--compromised", "--yes"]);
    place.run(&end).refused(1, "unreachable");
    assert_eq!(waiting(&place), 0);
    let list = place.run(&["campaign", "list", "--realm", "shop", "--json"]);
    assert_eq!(list.json(), serde_json::json!([]), "and no mailing is left");
}

#[test]
fn a_refused_login_is_shown_and_outlives_ctrl_c() {
    let (place, mailbox) = shop(2);
    let place = sending_to(place, server(refuses_the_login));
    let mut terminal = at_terminal(&place, &reset(&["-u", "p00001"]));
    terminal.wait_for("paused: login: 535 5.7.8 not with this password");
    terminal.wait_for("vestibule doctor --realm shop --mail ADDRESS");
    terminal.press("\u{3}");
    let stopped = terminal.ended();
    let text = flat(&stopped.text());
    stopped.assert(1, "vestibule campaign resume");
    let rests = "the mailing rests (interrupted; mail-server: login: 535 5.7.8";
    assert!(text.contains(rests), "{text}");
    let shown = newest(&place);
    assert_eq!(shown["state"], "paused", "{shown}");
    let why = shown["reason"].as_str().unwrap_or_default();
    assert!(
        why.starts_with("interrupted; mail-server: login: 535"),
        "{why}"
    );

    let place = place.set(
        "VESTIBULE_SMTP_URL",
        format!("smtp://127.0.0.1:{}?tls=none", mailbox.port()),
    );
    let id = shown["id"].as_str().unwrap_or_default();
    let done = place.run(&["campaign", "resume", id, "--json"]).json();
    assert_eq!(done["funnel"]["sent"], 1, "{done}");
}

#[test]
fn ending_passwords_is_asked_for_in_so_many_words() {
    let (place, mailbox) = shop(3);
    bring(&place, "username\nnomail\n");
    let end = reset(&["--all-users", "--compromised"]);
    let question =
        "End the passwords and sessions of 4 people, 1 of them without an address, and mail them?";
    place.run(&end).refused(2, question);
    let mut terminal = at_terminal(&place, &end);
    terminal.wait_for("[y/N]");
    std::thread::sleep(Duration::from_millis(300));
    terminal.press("n\r");
    let seen = terminal.ended();
    assert!(flat(&seen.text()).contains(question), "{}", seen.text());
    seen.assert(1, "no password was ended, and nobody was mailed");
    assert_eq!(waiting(&place), 0);
    assert!(mailbox.to(&address(0)).is_empty());
}

/// That a command mailed nobody, and says whom not and why.
#[track_caller]
fn assert_nobody(ran: &Ran, why: &str) {
    ran.refused(1, why);
    ran.refused(1, "nobody was mailed");
    assert!(!ran.err.contains("mailed: 1 of 1"), "{}", ran.err);
}

#[test]
fn who_is_not_mailed_is_named_with_the_reason() {
    let (place, mailbox) = shop(2);
    bring(
        &place,
        "username,email,enabled,password,temporary\n\
         nomail,,,,\n\
         off,off@people.example,false,,\n\
         ada,ada@people.example,,four seas and a lighthouse,false\n",
    );
    for (name, why) in [
        ("nomail", "nomail: skipped: has no address"),
        ("off", "off: skipped: is switched off"),
    ] {
        assert_nobody(&place.run(&reset(&["-u", name])), why);
        assert_nobody(&place.run(&reset(&["-u", name, "--json"])), why);
    }
    let first = ["user", "pre-register", "--realm", "shop", "-u", "ada"];
    assert_nobody(&place.run(&first), "ada: skipped: has a password already");
    let all = place.run(&reset(&["--all-users", "--yes"]));
    all.refused(1, "2 of 5 people were not mailed");
    all.refused(1, "nomail: skipped: has no address");
    all.refused(1, "off: skipped: is switched off");
    all.refused(1, "mailed: 3 of 3\n");
    assert!(all.out.contains("sent       3"), "{}", all.out);
    assert_eq!(mailbox.to("ada@people.example").len(), 1);

    let mut silent = String::from("username\n");
    for number in 0..30 {
        silent.push_str(&format!("silent{number:02}\n"));
    }
    bring(&place, &silent);
    let many = place.run(&reset(&["--all-users", "--yes"]));
    many.refused(1, "and 12 more skipped");
    many.refused(1, "32 of 35 people were not mailed");
    assert_eq!(many.err.matches(": skipped: ").count(), 20, "{}", many.err);
}

#[test]
fn what_is_tried_again_later_is_left_to_a_server() {
    let (place, mailbox) = shop(2);
    let place = place.set(
        "VESTIBULE_SMTP_URL",
        format!("smtp://127.0.0.1:{}?tls=none", server(refuses_for_now)),
    );
    let began = Instant::now();
    let left = place.run(&reset(&["--all-users", "--yes"]));
    assert!(began.elapsed() < Duration::from_secs(30), "it came back");
    assert_eq!(left.code, 0, "{}{}", left.out, left.err);
    assert!(
        left.err.contains("2 mails were refused for now"),
        "{}",
        left.err
    );
    assert!(
        left.err.contains(" UTC. A server that runs sends them"),
        "{}",
        left.err
    );
    assert!(
        left.err.contains("vestibule campaign resume"),
        "{}",
        left.err
    );
    assert!(left.out.contains("queued     2"), "{}", left.out);
    assert_eq!(newest(&place)["state"], "running");
    assert!(mailbox.to(&address(0)).is_empty());
}

#[test]
fn links_of_many_are_printed_after_a_yes() {
    let (place, mailbox) = shop(3);
    let ask = [
        "user",
        "pre-register",
        "--realm",
        "shop",
        "--all-without-password",
    ];
    let with = |more: &[&'static str]| [&ask[..], more].concat();
    assert_eq!(place.run(&with(&["--yes"])).code, 0);
    assert_eq!(mailbox.to(&address(1)).len(), 1);
    let question = "Print links for 3 people?";
    place.run(&with(&["--print-link"])).refused(2, question);
    let mut terminal = at_terminal(&place, &with(&["--print-link"]));
    terminal.wait_for("[y/N]");
    std::thread::sleep(Duration::from_millis(300));
    terminal.press("n\r");
    let seen = terminal.ended();
    seen.assert(1, "no link was made").assert(1, question);
    assert!(!seen.text().contains("login-actions"), "{}", seen.text());
    let printed = place
        .run(&with(&["--print-link", "--yes", "--json"]))
        .json();
    assert_eq!(printed.as_array().map(Vec::len), Some(3), "{printed}");
    // One person is named by whoever asks.
    let one = [
        "user",
        "pre-register",
        "--realm",
        "shop",
        "-u",
        "p00001",
        "--print-link",
    ];
    assert_eq!(place.run(&one).code, 0);
}
