//! `vestibule doctor`.

use serde_json::Value;

use super::process::{Place, files};

/// The finding of that name with that word in it.
#[track_caller]
fn finding<'a>(findings: &'a Value, check: &str, says: &str) -> &'a Value {
    let all = findings.as_array().unwrap();
    all.iter()
        .find(|one| one["check"] == check && one["message"].as_str().unwrap().contains(says))
        .unwrap_or_else(|| panic!("{check}: {says:?} in {findings:#}"))
}

#[test]
fn a_healthy_server_is_found_healthy() {
    let place = Place::new();
    let before = place.run(&["doctor"]);
    assert_eq!(before.code, 0, "{}{}", before.out, before.err);
    assert!(before.out.contains("is not there yet"), "{}", before.out);
    assert!(
        files(place.path("").as_path(), "v.db").is_empty(),
        "it makes nothing"
    );

    let _server = place.serve();
    let findings = place.run(&["doctor", "--json"]).json();
    for (check, says) in [
        ("url", "answers, and by that name"),
        ("database", "schema is that of this version"),
        ("clock", "agrees"),
        ("master key", "fits"),
        ("proxies", "none"),
    ] {
        assert_eq!(finding(&findings, check, says)["health"], "ok");
    }
}

#[test]
fn every_fault_comes_with_its_fix_and_exit_1() {
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let place = Place::new();
    place.run(&["migrate"]);
    std::fs::remove_file(place.path("master.key")).unwrap();
    std::fs::write(place.path("tls.crt"), "no certificate").unwrap();
    let key = place.path("tls.crt").display().to_string();
    let place = place
        .set("VESTIBULE_PUBLIC_URL", "https://nowhere.invalid")
        .set("VESTIBULE_HTTPS_ADDR", "127.0.0.1:0")
        .set("VESTIBULE_TLS_CERT", &key)
        .set("VESTIBULE_TLS_KEY", &key)
        .set("VESTIBULE_REDIS_URL", "redis://127.0.0.1:1")
        .set("VESTIBULE_SMTP_URL", format!("smtp://127.0.0.1:{port}"))
        .set("VESTIBULE_MAIL_FROM", "idp@example.org");
    let ran = place.run(&["doctor", "--json"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let findings: Value = serde_json::from_str(&ran.out).unwrap();
    for (check, says) in [
        ("url", "leads to no address"),
        ("tls", "tls.crt"),
        ("master key", "there is no master key"),
        ("smtp", "127.0.0.1"),
    ] {
        let finding = finding(&findings, check, says);
        assert_eq!(finding["health"], "wrong", "{finding}");
        assert!(!finding["fix"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        finding(&findings, "redis", "does not use it")["health"],
        "warning"
    );
    assert!(
        !ran.out.contains("redis://"),
        "addresses may hold passwords"
    );
}

#[test]
fn a_proxy_that_is_not_trusted_is_found() {
    let place = Place::new().set("VESTIBULE_PUBLIC_URL", "https://nowhere.invalid");
    let ran = place.run(&["doctor", "--json"]);
    let findings: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(ran.code, 1);
    assert_eq!(
        finding(&findings, "proxies", "is not trusted")["health"],
        "wrong"
    );

    let place = place.set("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/8");
    let findings: Value = serde_json::from_str(&place.run(&["doctor", "--json"]).out).unwrap();
    assert_eq!(
        finding(&findings, "proxies", "10.0.0.0/8 is believed")["health"],
        "ok"
    );
}

/// A mail server that offers nothing, STARTTLS included; it answers one connection.
fn bare_mail_server() -> u16 {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        stream.write_all(b"220 mail.example\r\n").unwrap();
        while let Some(Ok(line)) = lines.next() {
            let ends = line.starts_with("QUIT");
            let answer: &[u8] = if ends {
                b"221 bye\r\n"
            } else {
                b"250 mail.example\r\n"
            };
            if stream.write_all(answer).is_err() || ends {
                return;
            }
        }
    });
    port
}

#[test]
fn a_mail_server_without_starttls_is_told_from_one_that_cannot_be_reached() {
    let url = format!("smtp://127.0.0.1:{}?tls=required", bare_mail_server());
    let place = Place::new()
        .set("VESTIBULE_SMTP_URL", url)
        .set("VESTIBULE_MAIL_FROM", "idp@example.org");
    let findings: Value = serde_json::from_str(&place.run(&["doctor", "--json"]).out).unwrap();
    let found = finding(&findings, "smtp", "STARTTLS");
    assert_eq!(found["health"], "wrong");
    let message = found["message"].as_str().unwrap();
    assert_eq!(message.matches("STARTTLS").count(), 1, "{message}");
    let fix = found["fix"].as_str().unwrap();
    for part in ["?tls=none", "VESTIBULE_INSECURE_PLAIN_SMTP=true"] {
        assert!(fix.contains(part), "{part} in {fix}");
    }
}
