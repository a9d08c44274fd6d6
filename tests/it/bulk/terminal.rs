//! The commands as somebody at a terminal sees them: the question before a mailing, the bar, Ctrl-C and going on. What
//! two of these tests see is what `docs/recordings` shows.

use std::time::Duration;

use super::commands::{address, shop, waiting};
use crate::operations::process::Place;
use crate::support::mailbox::Mailbox;
use crate::support::terminal::{Recording, Terminal};

const SEND: [&str; 6] = [
    "user",
    "send-password-reset",
    "--realm",
    "shop",
    "--all-users",
    "--never-signed-in",
];

fn at_terminal(place: &Place, arguments: &[&str]) -> Terminal {
    let typed = format!("vestibule {}", arguments.join(" "));
    Terminal::start(&place.command(arguments), &typed)
}

/// How many mails each of the first people got.
fn mailed(mailbox: &Mailbox, count: usize) -> Vec<usize> {
    (0..count)
        .map(|number| mailbox.to(&address(number)).len())
        .collect()
}

#[test]
fn a_mailing_waits_for_a_yes() {
    let (place, mailbox) = shop(3);
    for (keys, code, says) in [
        ("n\r", 1, "nobody was mailed"),
        ("\r", 1, "nobody was mailed"),
        ("perhaps\r", 1, "nobody was mailed"),
        // The end of what is typed, and Ctrl-C.
        ("\u{4}", 1, "nobody was mailed"),
        ("\u{3}", 130, "[y/N]"),
    ] {
        let mut terminal = at_terminal(&place, &SEND);
        terminal.wait_for("Mail 3 people? [y/N] ");
        std::thread::sleep(Duration::from_millis(300));
        terminal.press(keys);
        let seen = terminal.ended();
        seen.assert(code, says)
            .assert(code, "3 people will be mailed.");
        assert_eq!(mailed(&mailbox, 3), [0, 0, 0], "{keys:?}");
    }
    let mut terminal = at_terminal(&place, &SEND);
    terminal.wait_for("[y/N] ");
    terminal.press("YES\r");
    terminal.ended().assert(0, "sent       3");
    assert_eq!(mailed(&mailbox, 3), [1, 1, 1]);
    let list = place
        .run(&["campaign", "list", "--realm", "shop", "--json"])
        .json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn a_mailing_stopped_by_ctrl_c_goes_on_and_mails_nobody_twice() {
    let count = 120;
    let (place, mailbox) = shop(count);
    let realm = &SEND[..4];
    let mut scenes = Vec::new();
    let dry = at_terminal(&place, &[&SEND[..], &["--dry-run"]].concat()).ended();
    dry.assert(0, "120 people would be mailed");
    assert_eq!(mailed(&mailbox, count).iter().sum::<usize>(), 0);
    scenes.push(dry);
    let nobody = [realm, &["-u", "nobody@people.example"]].concat();
    let nobody = at_terminal(&place, &nobody).ended();
    nobody.assert(2, "realm shop has nobody who signs in as");
    scenes.push(nobody);
    let one = at_terminal(&place, &[realm, &["-u", &address(7)]].concat()).ended();
    one.assert(0, "sent       1");
    scenes.push(one);

    let mut terminal = at_terminal(&place, &[&SEND[..], &["--rate", "20/s"]].concat());
    terminal.wait_for("Mail 120 people? [y/N] ");
    std::thread::sleep(Duration::from_millis(700));
    terminal.press("y\r");
    terminal.wait_for(" of 120");
    terminal.wait(|_| mailed(&mailbox, count).iter().sum::<usize>() > 30);
    terminal.press("\u{3}");
    let stopped = terminal.ended();
    stopped.assert(1, "the mailing rests (interrupted)");
    let text = stopped.text();
    assert!(text.contains('█'), "a bar: {text}");
    let resume = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("vestibule campaign resume "));
    let id = resume.expect("how to go on").to_owned();
    let all = mailed(&mailbox, count);
    let so_far: usize = all.iter().sum();
    assert!((30..count).contains(&so_far), "{so_far}");
    scenes.push(stopped);

    let rest = at_terminal(&place, &["campaign", "resume", &id]).ended();
    rest.assert(0, "sent       120").assert(0, "in doubt   0");
    scenes.push(rest);
    let mut expected = vec![1; count];
    expected[7] = 2;
    assert_eq!(
        mailed(&mailbox, count),
        expected,
        "the one was tried before"
    );
    for scene in &scenes {
        for line in scene.lines().iter().filter(|line| !line.contains("http")) {
            assert!(line.chars().count() <= 80, "too wide: {line:?}");
        }
    }
    Recording::new("vestibule user send-password-reset", scenes).keep("mailing");
}

/// Neither is what was done undone, nor does anything of it go on by itself.
#[test]
fn ending_old_passwords_stops_at_ctrl_c_and_mails_nobody() {
    let (place, mailbox) = shop(5);
    // Without an address: ending their passwords takes a while, and mailing them does not.
    let silent = 15_000;
    let mut file = String::from("username\n");
    for number in 0..silent {
        file.push_str(&format!("q{number:05}\n"));
    }
    std::fs::write(place.path("silent.csv"), file).expect("the file");
    let imported = place.run(&["user", "import", "--realm", "shop", "silent.csv"]);
    assert_eq!(imported.code, 0, "{}", imported.err);
    let end = [&SEND[..5], &["--compromised", "--yes"]].concat();
    let mut terminal = at_terminal(&place, &end);
    // The bar moves while the job goes on.
    terminal.wait(|shown| shown.contains("000 of 15005"));
    terminal.press("\u{3}");
    let stopped = terminal.ended();
    stopped.assert(1, "of 15005 people have ended, and nobody was mailed");
    let text = stopped.text();
    assert!(text.contains('█'), "a bar: {text}");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said: i64 = flat
        .split_once("stopped: the old passwords of ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("how many");
    assert!(said > 0 && said < 15_005 && said % 1000 == 0, "{said}");
    assert_eq!(waiting(&place), said, "{text}");
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(waiting(&place), said, "nothing goes on by itself");
    assert_eq!(mailed(&mailbox, 5), [0; 5]);
    let list = ["campaign", "list", "--realm", "shop", "--json"];
    assert_eq!(place.run(&list).json(), serde_json::json!([]));
    assert!(
        text.contains("/admin/realms/shop/jobs/"),
        "how to undo: {text}"
    );

    let again = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("vestibule user "))
        .expect("how to go on");
    let words: Vec<&str> = std::iter::once("user").chain(again.split(' ')).collect();
    let rest = place.run(&words);
    rest.refused(1, "15000 of 15005 people were not mailed");
    assert!(rest.out.contains("sent       5"), "{}", rest.out);
    assert_eq!(waiting(&place), 15_005);
    assert_eq!(mailed(&mailbox, 5), [1; 5]);
}

#[test]
fn elsewhere_than_at_a_terminal_there_are_lines_and_no_bar() {
    let (place, mailbox) = shop(30);
    let sent = place.run(&[&SEND[..], &["--yes"]].concat());
    assert_eq!(sent.code, 0, "{}", sent.err);
    assert!(sent.err.contains("mailed: 30 of 30\n"), "{}", sent.err);
    assert!(sent.out.contains("sent       30"), "{}", sent.out);
    for control in ['\u{1b}', '\r', '█'] {
        assert!(!sent.err.contains(control) && !sent.out.contains(control));
    }
    assert_eq!(mailed(&mailbox, 30), [1; 30]);
}

#[test]
fn an_import_stopped_by_ctrl_c_goes_on_where_it_was() {
    let place = Place::new();
    assert_eq!(place.run(&["admin", "create", "chief"]).code, 0);
    assert_eq!(place.run(&["realm", "create", "shop"]).code, 0);
    let count = 12_000;
    let mut people = crate::import::people(count);
    people.push_str("bad,not an address,Bad,Address,false,deck 0\n");
    std::fs::write(place.path("people.csv"), people).expect("the file");
    let import = |more: &[&str]| {
        let arguments = [&["user", "import", "--realm", "shop", "people.csv"], more].concat();
        at_terminal(&place, &arguments)
    };
    let mut scenes = vec![import(&["--dry-run"]).ended()];
    scenes[0].assert(1, "dry run, nobody was stored: 12001 rows: 12000 accepted");
    let mut terminal = import(&[]);
    // Begun, and not yet done.
    terminal.wait(|shown| shown.contains("000 of 12,001"));
    terminal.press("\u{3}");
    let stopped = terminal.ended();
    stopped.assert(1, "Go on with the same command and --resume");
    assert!(stopped.text().contains('█'), "a bar: {}", stopped.text());
    scenes.push(stopped);
    let rest = import(&["--resume"]).ended();
    rest.assert(
        1,
        "12001 rows: 12000 accepted, 0 updated, 0 skipped, 1 rejected",
    );
    scenes.push(rest);
    for scene in &scenes {
        for line in scene.lines() {
            assert!(line.chars().count() <= 80, "too wide: {line:?}");
        }
    }
    Recording::new("vestibule user import", scenes).keep("import");
}
