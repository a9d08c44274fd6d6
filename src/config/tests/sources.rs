//! Where values come from, and what is said when they do not do.

use super::super::Config;
use super::super::settings::ALL;
use super::{both, env, file, loaded, only_problem, problems};
use std::io::Write;
use std::path::Path;

fn secret_file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn the_environment_lies_over_the_file() {
    let toml = "database_pool = 5\nhttp_addr = \"127.0.0.1:1\"\nlog = \"warn\"\n";
    let config = loaded(both(
        toml,
        &[
            ("VESTIBULE_DATABASE_POOL", "7"),
            ("VESTIBULE_LOG", ""),
            ("PATH", "/bin"),
        ],
    ));
    assert_eq!(config.database.pool, 7);
    assert_eq!(config.public_url.base(), "http://localhost:1");
    assert_eq!(config.log.filter, "warn", "an empty variable is not set");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    for (toml, key, nearest) in [
        ("databse_url = \"x\"", "databse_url", "database_url"),
        ("VESTIBULE_LOG = \"x\"", "VESTIBULE_LOG", "log"),
        ("[smtp]\nurl = \"x\"", "smtp.url", "smtp_url"),
        ("trusted-proxies = []", "trusted-proxies", "trusted_proxies"),
    ] {
        assert_eq!(
            only_problem(file(toml)),
            format!("unknown key `{key}` in vestibule.toml: did you mean `{nearest}`?")
        );
    }
    assert_eq!(
        only_problem(env(&[("VESTIBULE_HTTP_ADRR", "x")])),
        "unknown environment variable `VESTIBULE_HTTP_ADRR`: did you mean `VESTIBULE_HTTP_ADDR`?"
    );
}

#[test]
fn what_kubernetes_adds_for_a_service_is_no_mistake() {
    loaded(env(&[
        ("VESTIBULE_SERVICE_HOST", "10.96.0.9"),
        ("VESTIBULE_SERVICE_PORT", "8080"),
        ("VESTIBULE_SERVICE_PORT_HTTP", "8080"),
        ("VESTIBULE_PORT", "tcp://10.96.0.9:8080"),
        ("VESTIBULE_PORT_8080_TCP", "tcp://10.96.0.9:8080"),
        ("VESTIBULE_PORT_8080_TCP_PROTO", "tcp"),
        ("VESTIBULE_PORT_8080_TCP_PORT", "8080"),
        ("VESTIBULE_PORT_8080_TCP_ADDR", "10.96.0.9"),
        ("VESTIBULE_MANAGEMENT_SERVICE_HOST", "10.96.0.8"),
    ]));
}

#[test]
fn variables_of_others_are_left_alone() {
    loaded(env(&[
        ("VESTIBULE_BIN", "/usr/bin/vestibule"),
        ("VESTIBULE_TEST_POSTGRES_URL", "postgres://x"),
    ]));
}

#[test]
fn all_problems_are_told_together() {
    let result = both(
        "workers = \"four\"\nargon2 = \"m=1024,t=2,p=1\"\nlgo = 1\n",
        &[
            ("VESTIBULE_HTTP_ADDR", "8080"),
            ("VESTIBULE_LOG_FORMAT", "xml"),
        ],
    );
    assert_eq!(
        result
            .as_ref()
            .err()
            .map(ToString::to_string)
            .unwrap()
            .lines()
            .next(),
        Some("the configuration has 5 problems:")
    );
    assert_eq!(
        problems(result),
        [
            "unknown key `lgo` in vestibule.toml: did you mean `log`?",
            "`workers` in vestibule.toml: it is a TOML string and must be a number without \
             quotes; expected a whole number from 1 to 1024, for example `workers = 4`",
            "`VESTIBULE_HTTP_ADDR` is `8080`: it is not an IP address with a port; expected an IP \
             address with a port, or `off`, for example `VESTIBULE_HTTP_ADDR=127.0.0.1:8080`",
            "`VESTIBULE_LOG_FORMAT` is `xml`: it is neither of the two; expected `json` or \
             `text`, for example `VESTIBULE_LOG_FORMAT=json`",
            "`argon2` in vestibule.toml is `m=1024,t=2,p=1`: `m` is 1024, and must be from 19456 \
             to 4194304; expected memory in KiB from 19456, passes from 2 and lanes from 1, for \
             example `argon2 = \"m=19456,t=2,p=1\"`",
        ]
    );
}

#[test]
fn the_first_administrator_is_read_from_ours_or_keycloaks_variables() {
    let keycloak = [
        ("KC_BOOTSTRAP_ADMIN_USERNAME", "kc"),
        ("KC_BOOTSTRAP_ADMIN_PASSWORD", "kc-password"),
        ("KC_HOSTNAME", "ignored"),
    ];
    let admin = loaded(env(&keycloak)).bootstrap.admin.unwrap();
    assert_eq!(
        (admin.username.as_str(), admin.password.expose()),
        ("kc", "kc-password")
    );
    let ours = [
        ("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", "ours"),
        ("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", "our-password"),
    ];
    let admin = loaded(env(&[&keycloak[..], &ours[..]].concat()))
        .bootstrap
        .admin
        .unwrap();
    assert_eq!(
        (admin.username.as_str(), admin.password.expose()),
        ("ours", "our-password")
    );
    assert!(only_problem(env(&ours[..1])).contains("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD"));
    assert!(only_problem(env(&ours[1..])).contains("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME"));
}

#[test]
fn secrets_may_lie_in_files() {
    let password = secret_file("a secret \r\n");
    let path = password.path().to_str().unwrap();
    let user = ("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", "admin");
    let by_file = ("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD_FILE", path);
    let admin = loaded(env(&[user, by_file])).bootstrap.admin.unwrap();
    assert_eq!(admin.password.expose(), "a secret ");

    let toml =
        format!("bootstrap_admin_username = \"admin\"\nbootstrap_admin_password_file = \"{path}\"");
    let admin = loaded(file(&toml)).bootstrap.admin.unwrap();
    assert_eq!(admin.password.expose(), "a secret ");
    // The environment's own value wins over a file that the weaker layer names.
    let direct = ("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", "direct");
    let admin = loaded(both(&toml, &[direct])).bootstrap.admin.unwrap();
    assert_eq!(admin.password.expose(), "direct");

    let twice = only_problem(env(&[user, by_file, direct]));
    assert!(twice.contains("both set"), "{twice}");
    let gone = ("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD_FILE", "/nowhere/secret");
    let gone = only_problem(env(&[user, gone]));
    assert!(
        gone.contains("/nowhere/secret") && gone.contains(by_file.0),
        "{gone}"
    );
    let empty = secret_file("\n");
    let empty = (by_file.0, empty.path().to_str().unwrap());
    assert!(only_problem(env(&[user, empty])).contains("empty"));
}

#[test]
fn no_message_repeats_a_secret() {
    for result in [
        env(&[("VESTIBULE_DATABASE_URL", "postgrse://u:hunter2@h/d")]),
        env(&[(
            "VESTIBULE_SMTP_URL",
            "smtp://u:hunter2@mail.example?tls=hunter2",
        )]),
        env(&[(
            "VESTIBULE_SMTP_URL",
            "smtp://u:hunter2@mail.example:hunter2",
        )]),
        env(&[("VESTIBULE_REDIS_URL", "hunter2")]),
        file("bootstrap_admin_password = [\"hunter2\"]"),
        file("bootstrap_admin_password = \"hunter2"),
        file("bootstrap_admin_password = hunter2"),
    ] {
        let text = problems(result).join("\n");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_problem() {
    let missing = Config::load(Some(Path::new("/nowhere/x.toml")), std::iter::empty());
    let missing = only_problem(missing);
    assert!(
        missing.starts_with("cannot read /nowhere/x.toml, named by --config"),
        "{missing}"
    );
    let broken = only_problem(file("log = \"info\"\nworkers = = 3\n"));
    assert!(
        broken.starts_with("vestibule.toml is not valid TOML at line 2:"),
        "{broken}"
    );
}

#[test]
fn a_printed_configuration_shows_everything_but_secrets() {
    let variables = [
        (
            "VESTIBULE_DATABASE_URL",
            "postgres://user:hunter2@a:1,b:2/d?sslmode=require&password=hunter2",
        ),
        ("VESTIBULE_REDIS_URL", "rediss://:hunter2@cache:6379"),
        ("VESTIBULE_SMTP_URL", "smtps://user:hunter2@mail.example"),
        ("VESTIBULE_MAIL_FROM", "\"A \\\"B\\\"\" <a@b.example>"),
        ("VESTIBULE_BOOTSTRAP_ADMIN_USERNAME", "admin"),
        ("VESTIBULE_BOOTSTRAP_ADMIN_PASSWORD", "hunter2"),
        ("VESTIBULE_TRUSTED_PROXIES", "10.0.0.1,10.1.0.0/16"),
    ];
    let shown = loaded(env(&variables)).masked();
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("database_url = \"postgres://***@a:1,b:2/d?sslmode=require&password=***\"")
    );
    assert!(
        shown.contains("redis_url = \"rediss://***@cache:6379\""),
        "{shown}"
    );
    assert!(
        shown.contains("smtp_url = \"smtps://***:***@mail.example:465\""),
        "{shown}"
    );
    assert!(
        shown.contains("trusted_proxies = [\"10.0.0.1/32\", \"10.1.0.0/16\"]"),
        "{shown}"
    );
    assert!(shown.contains("# tls_cert is not set\n"), "{shown}");
    for setting in ALL {
        let lines = shown.lines().filter(|line| {
            line.strip_prefix("# ").unwrap_or(line).split(' ').next() == Some(setting.key)
        });
        assert_eq!(lines.count(), 1, "{} in {shown}", setting.key);
    }
    // It is a file that says the same.
    assert_eq!(loaded(file(&shown)).masked(), shown);
}

#[test]
fn every_example_is_right() {
    for setting in ALL {
        let example = setting.example_in_file();
        let needs = match setting.key {
            "https_addr" => "tls_cert = \"c\"\ntls_key = \"k\"\npublic_url = \"https://x\"\n",
            "tls_cert" => "https_addr = \"127.0.0.1:1\"\ntls_key = \"k\"\n",
            "tls_key" => "https_addr = \"127.0.0.1:1\"\ntls_cert = \"c\"\n",
            "smtp_url" => "mail_from = \"a@b.example\"\n",
            "bootstrap_admin_username" => "bootstrap_admin_password = \"x\"\n",
            "bootstrap_admin_password" => "bootstrap_admin_username = \"x\"\n",
            _ => "",
        };
        loaded(file(&format!("{needs}{example}\n")));
    }
}
