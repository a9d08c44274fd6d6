//! What is let in and what is not, byte by byte over TCP; and what every answer carries.

use std::time::{Duration, Instant};

use serde_json::json;

use super::process::{Place, Server};

const DISCOVERY: &str = "/realms/master/.well-known/openid-configuration";
const TOKEN: &str = "/realms/master/protocol/openid-connect/token";
const MEBIBYTE: usize = 1024 * 1024;

#[test]
fn limits_and_marks_of_the_public_listener() {
    let place = Place::new();
    let server = place.serve();
    sizes(&server);
    forms(&server);
    bodies(&server);
    framing(&server);
    clients(&server);
    paths(&server);
    methods(&server);
    hosts(&server, &place.url());
    marks(&server);
}

fn sizes(server: &Server<'_>) {
    let long_url = |bytes: usize| {
        let start = format!("{DISCOVERY}?x=");
        server
            .get(&format!("{start}{}", "a".repeat(bytes - start.len())))
            .status
    };
    assert_eq!([8191, 8192, 8193].map(long_url), [200, 200, 414]);

    let start = format!("GET {DISCOVERY} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let large_head = |bytes: usize| {
        let value = "a".repeat(bytes - start.len() - "x: \r\n\r\n".len());
        server.send(&format!("{start}x: {value}\r\n\r\n")).status
    };
    assert_eq!([32_767, 32_768, 32_769].map(large_head), [200, 200, 431]);
    assert_eq!(large_head(200_000), 431);

    let many_headers = |count: usize| {
        let headers: String = (2..count)
            .map(|number| format!("x-{number}: 1\r\n"))
            .collect();
        server.send(&format!("{start}{headers}\r\n")).status
    };
    assert_eq!([95, 96, 97].map(many_headers), [200, 200, 431]);
}

fn forms(server: &Server<'_>) {
    let form = |bytes: usize| {
        let start = "grant_type=none&x=";
        server
            .post(
                TOKEN,
                &format!("{start}{}", "a".repeat(bytes - start.len())),
            )
            .status
    };
    let [below, at, above] = [16_383, 16_384, 16_385].map(form);
    assert_eq!((below, at), (below, below));
    assert_ne!(below, 413);
    assert_eq!(above, 413);
}

/// The administrator's access token.
fn token(server: &Server<'_>) -> String {
    let form =
        "grant_type=password&client_id=admin-cli&username=admin&password=an+admin+passphrase";
    let granted = server.post(TOKEN, form).json();
    granted["access_token"]
        .as_str()
        .expect("a token")
        .to_owned()
}

/// V133: a body of the admin API has a mebibyte.
fn bodies(server: &Server<'_>) {
    let token = token(server);
    let body = |bytes: usize| {
        let (start, end) = ("{\"displayName\":\"", "\"}");
        let text = "a".repeat(bytes - start.len() - end.len());
        let answer = server.send(&format!(
            "POST /admin/realms HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n{start}{text}{end}"
        ));
        (answer.status, answer.json())
    };
    let read = (400, json!({ "errorMessage": "Realm name cannot be empty" }));
    assert_eq!(body(MEBIBYTE - 1), read);
    assert_eq!(body(MEBIBYTE), read);
    let refused = json!({ "error": "HTTP 413 Request Entity Too Large" });
    assert_eq!(body(MEBIBYTE + 1), (413, refused));
}

/// V170: where two readers could disagree about where a request ends it is refused, and nothing that comes after it on
/// the connection is taken for another one.
fn framing(server: &Server<'_>) {
    let next = format!("GET {DISCOVERY} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (what, head, body) in [
        (
            "both lengths",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "0\r\n\r\n",
        ),
        (
            "both lengths",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "0\r\n\r\n",
        ),
        (
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 5",
            "a=b&c",
        ),
        ("two lengths in one", "Content-Length: 0, 5", "a=b&c"),
        ("a length with a sign", "Content-Length: +5", "a=b&c"),
        (
            "a length in hexadecimal digits",
            "Content-Length: 0x5",
            "a=b&c",
        ),
        ("a negative length", "Content-Length: -1", ""),
        (
            "two encodings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "0\r\n\r\n",
        ),
        (
            "two encodings in one",
            "Transfer-Encoding: gzip, chunked",
            "0\r\n\r\n",
        ),
        (
            "another encoding",
            "Transfer-Encoding: xchunked",
            "0\r\n\r\n",
        ),
        (
            "an encoding with a tab",
            "Transfer-Encoding: \x0bchunked",
            "0\r\n\r\n",
        ),
        (
            "a name and a space",
            "Transfer-Encoding : chunked",
            "0\r\n\r\n",
        ),
        (
            "a folded line",
            "X-Folded: a\r\n Transfer-Encoding: chunked",
            "",
        ),
        (
            "a bare carriage return",
            "X-Bare: a\rTransfer-Encoding: chunked",
            "",
        ),
        ("a zero byte", "X-Zero: a\0b", ""),
        (
            "a chunk without a size",
            "Transfer-Encoding: chunked",
            "\r\na=b\r\n0\r\n\r\n",
        ),
        (
            "a chunk of a negative size",
            "Transfer-Encoding: chunked",
            "-1\r\na\r\n0\r\n\r\n",
        ),
        (
            "a chunk of too large a size",
            "Transfer-Encoding: chunked",
            "fffffffffffffffff\r\na\r\n",
        ),
        (
            "a bare line feed in a chunk",
            "Transfer-Encoding: chunked",
            "3;x\na=b\r\n0\r\n\r\n",
        ),
    ] {
        let asked = Instant::now();
        let answer = server.send(&format!(
            "POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             {head}\r\n\r\n{body}{next}"
        ));
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(!answer.body.contains(" 200 OK"), "{what}: {answer:?}");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{what}: left open"
        );
    }
    let old = "Transfer-Encoding: chunked\r\nConnection: keep-alive";
    let answer = server.send(&format!(
        "POST {TOKEN} HTTP/1.0\r\n{old}\r\n\r\n0\r\n\r\n{next}"
    ));
    assert_eq!(answer.status, 400, "chunks in HTTP/1.0: {answer:?}");
    assert!(!answer.body.contains(" 200 OK"), "{answer:?}");
}

/// V167, V172: nobody who comes without a proxy says where from, and no name that is typed makes a line of the log.
fn clients(server: &Server<'_>) {
    let name = "evil%0d%0a%7B%22level%22%3A%22ERROR%22%7D%0d%0a%1b%5B31mred%e2%80%a8%c2%85";
    let form = format!("grant_type=password&client_id=admin-cli&username={name}&password=wrong");
    for header in [
        "X-Forwarded-For: 203.0.113.9",
        "X-Forwarded-For: 127.0.0.1, 203.0.113.9",
        "X_Forwarded_For: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "X-Real-IP: 203.0.113.9",
        "True-Client-IP: 203.0.113.9",
    ] {
        let answer = server.send(&format!(
            "POST {TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
            form.len()
        ));
        assert_eq!(answer.status, 400, "{header}: {answer:?}");
    }
    let events = server.send(&format!(
        "GET /admin/realms/master/events?max=6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token(server)
    ));
    let events = events.json();
    let events = events.as_array().expect("a list");
    let failed = events.iter().filter(|event| event["type"] == "LOGIN_ERROR");
    assert!(failed.clone().count() >= 5, "{events:?}");
    assert!(
        failed
            .clone()
            .all(|event| event["ipAddress"] == "127.0.0.1"),
        "{events:?}"
    );
    let log = server.log();
    for line in log.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).expect(line);
        let members = parsed.as_object().map_or(0, serde_json::Map::len);
        assert!(members > 1, "{line}");
        assert!(!line.contains(['\u{1b}', '\u{2028}', '\u{85}']), "{line}");
        assert!(!line.contains("203.0.113.9"), "{line}");
    }
}

fn paths(server: &Server<'_>) {
    for path in [
        "//realms/master/.well-known/openid-configuration",
        "/realms//master/.well-known/openid-configuration",
        "/realms/master/.well-known/openid-configuration/",
        "/realms/master;v=1/.well-known/openid-configuration",
        "/realms/master/.well-known;x/openid-configuration",
        "/realms/master/./.well-known/openid-configuration",
        "/realms/x/../master/.well-known/openid-configuration",
        "/realms/master%2f.well-known/openid-configuration",
        "/realms%2Fmaster/.well-known/openid-configuration",
        "/realms/m%61ster/.well-known/openid-configuration",
        "/health/ready",
        "/metrics",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

fn methods(server: &Server<'_>) {
    for method in ["TRACE", "CONNECT", "DELETE"] {
        let request = format!(
            "{method} {DISCOVERY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: secret=1\r\n\r\n"
        );
        let answer = server.send(&request);
        assert_eq!(answer.status, 405, "{method}");
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
}

fn hosts(server: &Server<'_>, url: &str) {
    let issuer = format!("{url}/realms/master");
    for headers in [
        "Host: evil.example",
        "Host: evil.example:1",
        "Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https",
        "Host: x\r\nForwarded: host=evil.example;proto=https",
        "Host: x\r\nX-Original-Host: evil.example",
    ] {
        let request = format!("GET {DISCOVERY} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        let answer = server.send(&request);
        assert!(!answer.body.contains("evil"), "{answer:?}");
        assert_eq!(answer.json()["issuer"], issuer, "{headers}");
    }
    let absolute = format!(
        "GET http://evil.example{DISCOVERY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(server.send(&absolute).json()["issuer"], issuer);
    let twice = format!(
        "GET {DISCOVERY} HTTP/1.1\r\nHost: x\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(server.send(&twice).status, 400);
}

fn marks(server: &Server<'_>) {
    let secret = "a-code-that-must-not-be-logged";
    let forged = format!(
        "GET /realms/master/login-actions/authenticate?code={secret} HTTP/1.1\r\nHost: x\r\n\
         X-Request-Id: forged\r\nConnection: close\r\n\r\n"
    );
    let answer = server.send(&forged);
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert_ne!(id, "forged");
    for answer in [
        server.get(DISCOVERY),
        server.get("/nowhere"),
        server.get("//"),
    ] {
        assert!(answer.header("server").is_none(), "{answer:?}");
        for name in [
            "x-request-id",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
        ] {
            assert!(answer.header(name).is_some(), "{name}: {answer:?}");
        }
    }

    let log = server.log();
    assert!(!log.contains(secret) && !log.contains("forged"), "{log}");
    let line = log
        .lines()
        .find(|line| line.contains(&id) && line.contains("\"route\""))
        .expect("a line of the request");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["route"], "/realms/{realm}/login-actions/authenticate");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["status"], answer.status);
    assert!(line["duration_ms"].is_number(), "{line}");
    assert!(
        !log.contains("/health/ready"),
        "health checks are logged at debug"
    );

    let metrics = server.management("/metrics").body;
    for name in [
        "idp_http_request_duration_seconds",
        "idp_sessions",
        "idp_key_age_seconds",
        "idp_db_pool",
        "idp_build_info",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    assert!(
        metrics.contains("route=\"none\"") && !metrics.contains("/nowhere"),
        "{metrics}"
    );
}
