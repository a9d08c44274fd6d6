//! What each part of the configuration accepts.

use super::super::{
    ARGON2_FLOOR, Config, ConfigError, DatabaseUrl, ForwardedHeader, HasherParams, LogFormat,
    Proxies, SmtpTls,
};
use super::{both, env, file, loaded, only_problem, problems};
use std::path::Path;
use std::time::Duration;

#[test]
fn nothing_needs_to_be_set() {
    let config = loaded(Config::load(None, std::iter::empty()));
    assert!(
        matches!(&config.database.url, DatabaseUrl::Sqlite(path) if path == Path::new("data/vestibule.db"))
    );
    assert_eq!(config.listeners.http, "127.0.0.1:8080".parse().ok());
    assert_eq!(config.listeners.https, None);
    assert_eq!(config.listeners.management.to_string(), "127.0.0.1:9000");
    assert_eq!(config.public_url.base(), "http://localhost:8080");
    assert_eq!(config.keys.master_key_file, Path::new("keys/master.key"));
    assert_eq!(config.argon2.params, ARGON2_FLOOR);
    assert!(config.argon2.permits() >= 1);
    assert_eq!(config.proxies, Proxies::default());
    assert_eq!(
        (config.log.filter.as_str(), config.log.format),
        ("info", None)
    );
    assert!(config.mail.smtp.is_none() && config.bootstrap.admin.is_none());
    assert!(config.cache.redis_url.is_none());
    assert!(config.insecure_switches().is_empty());
}

#[test]
fn every_setting_has_its_type_in_the_file() {
    let config = loaded(file(
        r#"
        trusted_proxies = ["10.1.2.3/8", "2001:db8::1"]
        forwarded_header = "Forwarded"
        workers = 3
        drain_seconds = 0
        insecure_plain_http_public_url = true
        public_url = "http://idp.example"
        argon2 = "m=65536,t=3,p=2"
        argon2_permits = 1
        log_format = "json"
        "#,
    ));
    let trusted: Vec<_> = config
        .proxies
        .trusted
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(trusted, ["10.0.0.0/8", "2001:db8::1/128"]);
    assert_eq!(config.proxies.header, ForwardedHeader::Forwarded);
    assert_eq!(config.listeners.workers, Some(3));
    assert_eq!(config.listeners.drain, Duration::ZERO);
    assert_eq!(
        config.insecure_switches(),
        ["insecure_plain_http_public_url"]
    );
    let expected = HasherParams {
        memory_kib: 65536,
        passes: 3,
        lanes: 2,
    };
    assert_eq!(
        (config.argon2.params, config.argon2.permits()),
        (expected, 1)
    );
    assert_eq!(config.log.format, Some(LogFormat::Json));
}

#[test]
fn a_value_of_the_wrong_kind_is_refused() {
    for (name, value, part) in [
        ("DATABASE_URL", "mysql://h/d", "not supported"),
        ("DATABASE_URL", "sqlite://", "nothing follows"),
        ("DATABASE_URL", "sqlite://a.db?mode=ro", "no options"),
        ("DATABASE_POOL", "0", "out of range"),
        ("DATABASE_POOL", "-1", "not a whole number"),
        ("REDIS_URL", "http://h", "not an address of Redis"),
        ("PUBLIC_URL", "idp.example", "relative URL"),
        ("PUBLIC_URL", "ftp://idp.example", "neither"),
        ("PUBLIC_URL", "https://idp.example/auth", "more than scheme"),
        ("PUBLIC_URL", "https://idp.example/?a", "more than scheme"),
        ("PUBLIC_URL", "https://u:p@idp.example", "names a user"),
        (
            "PUBLIC_URL",
            "http://idp.example",
            "insecure_plain_http_public_url",
        ),
        (
            "PUBLIC_URL",
            "http://localhost.example",
            "insecure_plain_http_public_url",
        ),
        ("HTTP_ADDR", "localhost:80", "not an IP address"),
        ("MANAGEMENT_ADDR", "off", "not an IP address"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy", "`proxy` is neither"),
        ("TRUSTED_PROXIES", "::/0", "is everybody"),
        ("FORWARDED_HEADER", "x-real-ip", "neither"),
        ("ARGON2", "m=19456,t=1,p=1", "`t` is 1"),
        ("ARGON2", "m=19456,t=2,p=0", "`p` is 0"),
        ("ARGON2", "m=19456,t=2", "not there"),
        ("ARGON2", "m=19456,m=19456,t=2,p=1", "twice"),
        ("ARGON2", "m=99999999,t=2,p=1", "must be from"),
        ("INSECURE_PLAIN_SMTP", "yes", "neither"),
        ("LOG", "vestibule=loud", "expected one of"),
        ("LOG", "inof", "`inof` is no level"),
        ("LOG", "info,loud", "off, error, warn, info, debug, trace"),
        ("LOG", "vestibule::mail", "vestibule::mail=debug"),
        ("BOOTSTRAP_ADMIN_USERNAME", " ", "blank"),
    ] {
        let variable = format!("VESTIBULE_{name}");
        let found = problems(env(&[(&variable, value)]));
        let found = found.first().unwrap();
        assert!(found.contains(part), "{name}={value}: {found}");
        assert!(found.contains(&variable), "{name}={value}: {found}");
        assert!(found.contains("for example"), "{name}={value}: {found}");
    }
}

#[test]
fn a_public_url_is_required_where_others_can_come() {
    let problem = only_problem(env(&[("VESTIBULE_HTTP_ADDR", "0.0.0.0:8080")]));
    assert_eq!(
        problem,
        "`VESTIBULE_PUBLIC_URL` is required, because the listener 0.0.0.0:8080 can be reached \
         from other machines; for example `VESTIBULE_PUBLIC_URL=https://login.example.org`"
    );
    for (url, base, https) in [
        (
            "https://Login.example.org:443/",
            "https://login.example.org",
            true,
        ),
        ("http://localhost:8080", "http://localhost:8080", false),
        ("http://idp.localhost", "http://idp.localhost", false),
        ("http://[::1]:80", "http://[::1]", false),
    ] {
        let config = loaded(env(&[
            ("VESTIBULE_HTTP_ADDR", "0.0.0.0:8080"),
            ("VESTIBULE_PUBLIC_URL", url),
        ]));
        assert_eq!(config.public_url.base(), base);
        assert_eq!(config.public_url.is_https(), https);
    }
}

#[test]
fn a_free_port_reaches_the_public_url_that_was_made_from_it() {
    let made = loaded(env(&[("VESTIBULE_HTTP_ADDR", "[::1]:0")])).public_url;
    assert_eq!(made.with_bound_port(4711).base(), "http://localhost:4711");
    let given = loaded(env(&[("VESTIBULE_PUBLIC_URL", "https://idp.example")])).public_url;
    assert_eq!(given.with_bound_port(4711).base(), "https://idp.example");
}

#[test]
fn https_needs_its_certificate_and_key() {
    let set = [
        ("VESTIBULE_HTTP_ADDR", "off"),
        ("VESTIBULE_HTTPS_ADDR", "127.0.0.1:8443"),
        ("VESTIBULE_TLS_CERT", "c.pem"),
        ("VESTIBULE_TLS_KEY", "k.pem"),
    ];
    let config = loaded(env(&set));
    assert_eq!(config.public_url.base(), "https://localhost:8443");
    let listening: Vec<_> = config.listeners.public().collect();
    assert_eq!(listening, ["127.0.0.1:8443".parse().unwrap()]);
    let missing = problems(env(&set[..2]));
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing[0].contains("VESTIBULE_TLS_CERT") && missing[1].contains("VESTIBULE_TLS_KEY"));
    assert!(only_problem(env(&set[2..])).contains("VESTIBULE_HTTPS_ADDR"));
    assert!(only_problem(env(&set[..1])).contains("nobody"));
}

#[test]
fn the_management_port_is_never_the_public_one() {
    for (management, http) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
    ] {
        let problem = only_problem(env(&[
            ("VESTIBULE_MANAGEMENT_ADDR", management),
            ("VESTIBULE_HTTP_ADDR", http),
        ]));
        assert!(problem.contains("must not be public"), "{problem}");
    }
    loaded(env(&[
        ("VESTIBULE_MANAGEMENT_ADDR", "127.0.0.1:0"),
        ("VESTIBULE_HTTP_ADDR", "127.0.0.1:0"),
    ]));
}

#[test]
fn levels_are_named_by_themselves_or_behind_a_module() {
    for filter in [
        "info",
        "WARN",
        "off",
        "info,vestibule::mail=debug",
        "no_such_module=trace, error",
        "[request{realm=demo}]=debug,info",
    ] {
        let config = loaded(env(&[("VESTIBULE_LOG", filter)]));
        assert_eq!(config.log.filter, filter);
    }
}

/// The settings that a Compose file gives to the server, with what it takes from elsewhere filled in.
fn composed(file: &str) -> Vec<(String, String)> {
    let pairs = file.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| name.starts_with("VESTIBULE_"))
        .map(|(name, value)| {
            let value = value.trim_matches('"');
            let value = match value.split_once("${") {
                None => value.to_owned(),
                Some((before, rest)) => {
                    let (taken, after) = rest.split_once('}').unwrap();
                    let default = taken.split_once(":-").map_or("word", |(_, text)| text);
                    format!("{before}{default}{after}")
                }
            };
            (name.to_owned(), value)
        })
        .collect()
}

#[test]
fn the_compose_file_is_accepted_and_speaks_plainly_to_its_mail_catcher() {
    let settings = composed(include_str!("../../../docker-compose.yml"));
    assert!(settings.len() > 5, "{settings:?}");
    let config = loaded(Config::load(None, settings.into_iter()));
    let smtp = config.mail.smtp.unwrap();
    assert_eq!(
        (smtp.host.as_str(), smtp.port, smtp.tls),
        ("mail", 1025, SmtpTls::None)
    );
    assert!(config.mail.insecure_plain_smtp);
}

fn smtp(url: &str) -> Result<Config, ConfigError> {
    env(&[
        ("VESTIBULE_SMTP_URL", url),
        ("VESTIBULE_MAIL_FROM", "Ann <a@b.example>"),
    ])
}

#[test]
fn mail_is_encrypted_unless_it_stays_on_this_machine() {
    for (url, host, port, tls) in [
        (
            "smtp://mail.example",
            "mail.example",
            587,
            SmtpTls::StartTls,
        ),
        (
            "smtp://mail.example:25?tls=required",
            "mail.example",
            25,
            SmtpTls::StartTls,
        ),
        (
            "smtps://mail.example",
            "mail.example",
            465,
            SmtpTls::Implicit,
        ),
        ("smtp://localhost:1025", "localhost", 1025, SmtpTls::None),
        (
            "smtp://127.0.0.1:1025?tls=none",
            "127.0.0.1",
            1025,
            SmtpTls::None,
        ),
        (
            "smtp://[::1]:1025?tls=required",
            "::1",
            1025,
            SmtpTls::StartTls,
        ),
    ] {
        let smtp = loaded(smtp(url)).mail.smtp.unwrap();
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.tls),
            (host, port, tls),
            "{url}"
        );
    }
    for (url, part) in [
        ("smtp://mail.example?tls=none", "insecure_plain_smtp"),
        ("smtp://mail.example?tls=opportunistic", "switched off"),
        ("smtps://mail.example?tls=none", "neither"),
        ("smtp://mail.example?auth=plain", "an option"),
        ("smtp://mail.example/inbox", "a path"),
        ("smtp://user@mail.example", "no password"),
        ("mail.example:25", "no host"),
        ("http://mail.example", "neither"),
    ] {
        let problem = only_problem(smtp(url));
        assert!(problem.contains(part), "{url}: {problem}");
    }
    let config = loaded(both(
        "insecure_plain_smtp = true\nsmtp_url = \"smtp://mail:25?tls=none\"\nmail_from = \"a@b.example\"",
        &[],
    ));
    assert_eq!(config.insecure_switches(), ["insecure_plain_smtp"]);
}

#[test]
fn a_mail_password_may_hold_any_character() {
    let config = loaded(smtp("smtps://us%40er:p%2F%40%3A%20%2Bx@mail.example"));
    let credentials = config.mail.smtp.unwrap().credentials.unwrap();
    assert_eq!(credentials.username, "us@er");
    assert_eq!(credentials.password.expose(), "p/@: +x");
    assert_eq!(config.mail.from.unwrap().to_string(), "Ann <a@b.example>");
}

#[test]
fn a_mail_server_needs_a_sender() {
    let problem = only_problem(env(&[("VESTIBULE_SMTP_URL", "smtp://localhost")]));
    assert!(problem.contains("VESTIBULE_MAIL_FROM"), "{problem}");
}
