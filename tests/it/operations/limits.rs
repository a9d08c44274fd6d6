//! What is let in and what is not, byte by byte over TCP; and what every answer carries.

use super::process::{Place, Server};

const DISCOVERY: &str = "/realms/master/.well-known/openid-configuration";
const TOKEN: &str = "/realms/master/protocol/openid-connect/token";

#[test]
fn limits_and_marks_of_the_public_listener() {
    let place = Place::new();
    let server = place.serve();
    sizes(&server);
    forms(&server);
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
    // One more than the parser takes is its own refusal.
    assert_eq!([95, 96, 97].map(many_headers), [200, 200, 400]);
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
        .find(|line| line.contains(&id))
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
