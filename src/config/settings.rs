//! The table of settings: every key that exists, what it holds and an example of it. Owned by
//! `config`. Invariant: a key that is not here is an error, and each key here is shown by
//! `Config::masked`.

/// The start of every environment variable of ours.
pub(super) const PREFIX: &str = "VESTIBULE_";

/// The TOML type a setting has in the file. In the environment everything is text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text in quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// A list of texts, or one text with commas.
    List,
}

/// One setting.
pub(super) struct Setting {
    /// The key in the file; the variable is [`PREFIX`] and the same in capitals.
    pub(super) key: &'static str,
    /// Its type in the file.
    pub(super) kind: Kind,
    /// Whether its value must not be shown. A secret is also read from the file that
    /// `<key>_file` names.
    pub(super) secret: bool,
    /// A variable of Keycloak's that is read too.
    pub(super) keycloak: Option<&'static str>,
    /// What a right value is, to follow the word "expected".
    pub(super) expected: &'static str,
    /// A right value.
    pub(super) example: &'static str,
}

impl Setting {
    const fn new(
        key: &'static str,
        kind: Kind,
        expected: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            key,
            kind,
            secret: false,
            keycloak: None,
            expected,
            example,
        }
    }

    const fn text(key: &'static str, expected: &'static str, example: &'static str) -> Self {
        Self::new(key, Kind::Text, expected, example)
    }

    const fn secret(self) -> Self {
        Self {
            secret: true,
            ..self
        }
    }

    const fn or_keycloak(self, variable: &'static str) -> Self {
        Self {
            keycloak: Some(variable),
            ..self
        }
    }

    /// The environment variable of this setting.
    pub(super) fn variable(&self) -> String {
        variable(self.key)
    }

    /// The key that names a file with this secret in it.
    pub(super) fn file_key(&self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.key))
    }

    /// The setting as a line of the environment.
    pub(super) fn example_in_environment(&self) -> String {
        format!("{}={}", self.variable(), self.example)
    }

    /// The setting as a line of the file.
    pub(super) fn example_in_file(&self) -> String {
        let (key, example) = (self.key, self.example);
        match self.kind {
            Kind::Text => format!("{key} = \"{example}\""),
            Kind::Number | Kind::Switch => format!("{key} = {example}"),
            Kind::List => format!("{key} = [\"{example}\"]"),
        }
    }
}

/// The environment variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// Whether an environment variable is looked at.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || ALL.iter().any(|setting| setting.keycloak == Some(name))
}

/// Every key that may stand in the file: the settings, and `<key>_file` for the secrets.
pub(super) fn known_keys() -> impl Iterator<Item = String> {
    ALL.iter()
        .flat_map(|setting| std::iter::once(setting.key.to_owned()).chain(setting.file_key()))
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident = $setting:expr;)+) => {
        $($(#[doc = $doc])+ pub(super) const $name: Setting = $setting;)+
        /// Every setting, in the order in which they are shown.
        pub(super) const ALL: &[&Setting] = &[$(&$name),+];
    };
}

settings! {
    /// Where the data lies.
    DATABASE_URL = Setting::text(
        "database_url",
        "`sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`",
        "sqlite://data/vestibule.db",
    ).secret();
    /// Connections this node holds to the database.
    DATABASE_POOL = Setting::new(
        "database_pool", Kind::Number, "a whole number from 1 to 1000", "10",
    );
    /// The cache that several nodes share.
    REDIS_URL = Setting::text(
        "redis_url",
        "an address that starts with `redis://` or `rediss://` (with `+cluster` or `+sentinel` before the colon for those)",
        "rediss://:PASSWORD@cache.example.org:6379",
    ).secret();
    /// The only source of every URL and link.
    PUBLIC_URL = Setting::text(
        "public_url",
        "the `https://` address that people use, without a path",
        "https://login.example.org",
    );
    /// Lets `public_url` be plain HTTP on a host that is not this machine.
    INSECURE_PLAIN_HTTP_PUBLIC_URL = Setting::new(
        "insecure_plain_http_public_url", Kind::Switch, "`true` or `false`", "false",
    );
    /// The plain HTTP listener.
    HTTP_ADDR = Setting::text(
        "http_addr", "an IP address with a port, or `off`", "127.0.0.1:8080",
    );
    /// The HTTPS listener.
    HTTPS_ADDR = Setting::text(
        "https_addr", "an IP address with a port, or `off`", "0.0.0.0:8443",
    );
    /// The certificate chain of the HTTPS listener.
    TLS_CERT = Setting::text("tls_cert", "the path of a PEM file", "/etc/vestibule/tls.crt");
    /// The private key of the HTTPS listener.
    TLS_KEY = Setting::text("tls_key", "the path of a PEM file", "/etc/vestibule/tls.key");
    /// The listener of health checks and metrics.
    MANAGEMENT_ADDR = Setting::text(
        "management_addr", "an IP address with a port", "127.0.0.1:9000",
    );
    /// How long a node that is told to stop serves on, so that balancers notice.
    DRAIN_SECONDS = Setting::new(
        "drain_seconds", Kind::Number, "a whole number from 0 to 25", "10",
    );
    /// Worker threads of the public listeners.
    WORKERS = Setting::new("workers", Kind::Number, "a whole number from 1 to 1024", "4");
    /// The file with the key that encrypts signing keys and stored secrets.
    MASTER_KEY_FILE = Setting::text("master_key_file", "the path of a file", "keys/master.key");
    /// The mail server for realms that name none.
    SMTP_URL = Setting::text(
        "smtp_url",
        "`smtp://USER:PASSWORD@HOST:587?tls=required` or `smtps://USER:PASSWORD@HOST:465`, with reserved characters of the password percent-encoded",
        "smtp://mailer:PASSWORD@mail.example.org:587?tls=required",
    ).secret();
    /// The sender of mails for realms that name none.
    MAIL_FROM = Setting::text(
        "mail_from", "a mail address, with a name if you like", "Example <login@example.org>",
    );
    /// Lets mail, and with it one-time links, go unencrypted to another machine.
    INSECURE_PLAIN_SMTP = Setting::new(
        "insecure_plain_smtp", Kind::Switch, "`true` or `false`", "false",
    );
    /// The administrator made at the first start.
    BOOTSTRAP_ADMIN_USERNAME = Setting::text(
        "bootstrap_admin_username", "a user name", "admin",
    ).or_keycloak("KC_BOOTSTRAP_ADMIN_USERNAME");
    /// The password of that administrator.
    BOOTSTRAP_ADMIN_PASSWORD = Setting::text(
        "bootstrap_admin_password", "a password", "PASSWORD",
    ).secret().or_keycloak("KC_BOOTSTRAP_ADMIN_PASSWORD");
    /// The proxies whose forwarding header is believed.
    TRUSTED_PROXIES = Setting::new(
        "trusted_proxies", Kind::List, "IP addresses or CIDRs, separated by commas", "10.0.0.0/8",
    );
    /// The one header that those proxies write.
    FORWARDED_HEADER = Setting::text(
        "forwarded_header", "`x-forwarded-for` or `forwarded`", "x-forwarded-for",
    );
    /// The networks beside the public internet that requests of ours may go to, and where it is set, mails of realms.
    OUTBOUND_NETWORKS = Setting::new(
        "outbound_networks", Kind::List, "IP addresses or CIDRs, separated by commas", "10.0.0.0/8",
    );
    /// What is logged.
    LOG = Setting::text(
        "log", "a level, or levels by module", "info,vestibule::mail=debug",
    );
    /// How it is written.
    LOG_FORMAT = Setting::text("log_format", "`json` or `text`", "json");
    /// The cost of a password digest.
    ARGON2 = Setting::text(
        "argon2",
        "memory in KiB from 19456, passes from 2 and lanes from 1",
        "m=19456,t=2,p=1",
    );
    /// Password digests computed at the same time.
    ARGON2_PERMITS = Setting::new(
        "argon2_permits", Kind::Number, "a whole number from 1 to 1024", "4",
    );
}
