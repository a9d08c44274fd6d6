//! `vestibule user import`, as it is typed.

use std::io::Write as _;

use crate::operations::process::{Place, Ran};

fn place() -> Place {
    let place = Place::new();
    assert_eq!(place.run(&["admin", "create", "admin"]).code, 0);
    assert_eq!(place.run(&["realm", "create", "shop"]).code, 0);
    place
}

fn file(place: &Place, name: &str, text: &str) -> String {
    let path = place.path(name);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn import(place: &Place, file: &str, more: &[&str]) -> Ran {
    let arguments = [&["user", "import", "--realm", "shop", file], more].concat();
    place.run(&arguments)
}

#[test]
fn a_file_is_imported_and_its_rows_are_told_apart() {
    let place = place();
    let path = file(
        &place,
        "people.csv",
        "username,email,requiredActions\nada,ada@b.example,\nbob,nothing,\ncid,,CONFIGURE_WINGS\n",
    );
    let tried = import(&place, &path, &["--dry-run"]);
    assert_eq!(tried.code, 1, "{}{}", tried.out, tried.err);
    assert!(
        tried.out.contains(
            "dry run, nobody was stored: 3 rows: 1 accepted, 0 updated, 0 skipped, 2 rejected"
        ),
        "{}",
        tried.out
    );
    let real = import(&place, &path, &[]);
    assert_eq!(real.code, 1);
    assert!(
        real.out
            .contains("line 3: rejected: email is not a valid e-mail address"),
        "{}",
        real.out
    );
    assert!(
        real.out
            .contains("line 4: rejected: requiredActions CONFIGURE_WINGS is not known here"),
        "{}",
        real.out
    );
    assert!(
        real.err.contains("2 of 3 rows were rejected"),
        "{}",
        real.err
    );
    let again = import(&place, &path, &["--if-exists", "skip", "--json"]);
    assert_eq!(again.code, 1);
    let shown: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(
        (&shown["skipped"], &shown["rejected"], &shown["state"]),
        (&1.into(), &2.into(), &"done".into())
    );
    assert_eq!(shown["rows"][0]["line"], 3);
    let good = file(&place, "good.csv", "username\ndan\n");
    let done = import(&place, &good, &["--require-password-reset"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "1 rows: 1 accepted, 0 updated, 0 skipped, 0 rejected\n"),
        "{}",
        done.err
    );
}

#[test]
fn wrong_usage_says_what_to_do() {
    let place = place();
    let good = file(&place, "good.csv", "username\ndan\n");
    import(&place, "nowhere.csv", &[]).refused(2, "nowhere.csv");
    place
        .run(&["user", "import", "--realm", "shpo", &good])
        .refused(2, "shop");
    import(&place, &file(&place, "bad.csv", "usrname\nx\n"), &[]).refused(2, "is it `username`?");
    import(&place, &good, &["--resume"]).refused(2, "was stopped");
    import(&place, &good, &["--format", "xml"]).refused(2, "keycloak");
    import(&place, &good, &["--if-exists", "perhaps"]).refused(2, "update");
    import(&place, &good, &["--overwrite-passwords"]).refused(2, "--if-exists update");
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    let place = place();
    let path = file(&place, "people.csv", &super::people(12_000));
    let log = place.path("import.log");
    let mut child = place
        .command(&["user", "import", "--realm", "shop", &path])
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let began = std::time::Instant::now();
    // Begun, and not yet done.
    while !said().contains(" rows, ") {
        assert!(began.elapsed().as_secs() < 120, "{}", said());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(1), "{}", said());
    assert!(
        said().contains("Go on with the same command and --resume"),
        "{}",
        said()
    );
    let rest = import(&place, &path, &["--resume"]);
    assert_eq!(rest.code, 0, "{}", rest.err);
    assert!(
        rest.out.contains("12000 rows: 12000 accepted"),
        "{}",
        rest.out
    );
}
