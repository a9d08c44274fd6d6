//! What a server says that cannot start, and what one says that has.

use std::net::TcpListener;

use super::process::Place;

#[test]
fn a_port_that_is_taken_is_named_with_the_setting_that_gives_another() {
    for setting in [
        "VESTIBULE_HTTP_ADDR",
        "VESTIBULE_MANAGEMENT_ADDR",
        "VESTIBULE_HTTPS_ADDR",
    ] {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let place = Place::new();
        let file = place.path("tls.pem").display().to_string();
        let mut place = place.set(setting, &address);
        if setting == "VESTIBULE_HTTPS_ADDR" {
            place = place
                .set("VESTIBULE_TLS_CERT", &file)
                .set("VESTIBULE_TLS_KEY", &file);
        }
        let ran = place.run(&["serve"]);
        ran.refused(1, &format!("{address}: Address already in use"));
        ran.refused(1, &format!("give {setting} another address"));
    }
}

#[test]
fn a_certificate_that_is_not_there_is_named_with_its_setting() {
    let place = Place::new()
        .set("VESTIBULE_HTTPS_ADDR", "127.0.0.1:0")
        .set("VESTIBULE_TLS_CERT", "/nowhere/tls.crt")
        .set("VESTIBULE_TLS_KEY", "/nowhere/tls.key");
    let ran = place.run(&["serve"]);
    ran.refused(2, "/nowhere/tls.crt: ");
    ran.refused(2, "VESTIBULE_TLS_CERT and VESTIBULE_TLS_KEY name");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_with_its_setting() {
    let place = Place::new();
    std::fs::write(place.path("plain"), "a file in the place of the folder").unwrap();
    let database = place.path("plain/v.db").display().to_string();
    let place = place.set("VESTIBULE_DATABASE_URL", format!("sqlite://{database}"));
    let ran = place.run(&["serve"]);
    ran.refused(1, &format!("{database}.serving cannot be locked: "));
    ran.refused(1, "name another in VESTIBULE_DATABASE_URL");
}

#[test]
fn a_database_that_is_not_there_leads_to_the_doctor() {
    let nobody = "postgres://vestibule:a-password@127.0.0.1:1/vestibule";
    let place = Place::new().set("VESTIBULE_DATABASE_URL", nobody);
    let ran = place.run(&["serve"]);
    ran.refused(1, "the database cannot be reached");
    ran.refused(1, "`vestibule doctor`");
    assert!(!ran.err.contains("a-password"), "{}", ran.err);
}

#[test]
fn a_mistyped_level_does_not_silence_the_log() {
    let place = Place::new().set("VESTIBULE_LOG", "inof");
    let ran = place.run(&["serve"]);
    ran.refused(2, "`inof` is no level");
    ran.refused(2, "off, error, warn, info, debug, trace");
}

#[test]
fn a_browser_at_the_root_is_led_to_the_account_and_a_healthy_start_is_quiet() {
    let place = Place::new();
    let server = place.serve();
    let ask = |method: &str, target: &str, accept: &str| {
        server.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        ))
    };
    let browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = ask("GET", "/", browsers);
    assert_eq!(answer.status, 302);
    let account = format!("{}/realms/master/account/", place.url());
    assert_eq!(answer.header("location"), Some(account.as_str()));
    assert_eq!(answer.header("vary"), Some("accept"));
    // There, somebody who is not signed in is asked to.
    let there = ask("GET", "/realms/master/account/", browsers);
    assert!(matches!(there.status, 302 | 303), "{}", there.status);
    for (method, target, accept) in [
        ("GET", "/", "application/json"),
        ("GET", "/", "*/*"),
        ("POST", "/", browsers),
        ("GET", "/nowhere", browsers),
    ] {
        let answer = ask(method, target, accept);
        assert_eq!(answer.status, 404, "{method} {target} {accept}");
        assert_eq!(answer.json()["error"], "HTTP 404 Not Found");
    }
    let log = server.log();
    assert!(log.contains("serving"), "{log}");
    assert!(!log.contains("actix_server"), "{log}");
}
