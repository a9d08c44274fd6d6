//! The configuration as `--print-config` shows it: the effective values as a TOML file, secrets
//! masked. Invariant: every setting is there, and no secret is.

use super::database::DatabaseUrl;
use super::mail::SmtpTls;
use super::settings::{self, ALL};
use super::{Config, Secret};
use std::collections::BTreeMap;
use toml::Value;

/// What stands for a secret.
const MASK: &str = "***";

impl Config {
    /// Every setting with its effective value as TOML, one a line; those without a value as
    /// comments. Secrets, and the passwords in addresses, are masked.
    pub fn masked(&self) -> String {
        let values = self.values();
        ALL.iter()
            .map(|setting| match values.get(setting.key) {
                Some(value) => format!("{} = {value}\n", setting.key),
                None => format!("# {} is not set\n", setting.key),
            })
            .collect()
    }

    fn values(&self) -> BTreeMap<&'static str, Value> {
        let text = |text: &dyn ToString| Some(Value::from(text.to_string()));
        let number = |number: usize| i64::try_from(number).ok().map(Value::from);
        let https = self.listeners.https.as_ref();
        let admin = self.bootstrap.admin.as_ref();
        let mut entries = vec![
            (&settings::DATABASE_URL, Some(self.masked_database().into())),
            (&settings::DATABASE_POOL, number(self.database.pool)),
            (
                &settings::REDIS_URL,
                self.cache.redis_url.as_ref().map(|url| mask(url).into()),
            ),
            (&settings::PUBLIC_URL, text(&self.public_url.base())),
            (
                &settings::INSECURE_PLAIN_HTTP_PUBLIC_URL,
                Some(self.public_url.insecure_plain_http.into()),
            ),
            (
                &settings::HTTP_ADDR,
                text(
                    &self
                        .listeners
                        .http
                        .map_or("off".into(), |addr| addr.to_string()),
                ),
            ),
            (
                &settings::HTTPS_ADDR,
                text(&https.map_or("off".into(), |https| https.addr.to_string())),
            ),
            (
                &settings::TLS_CERT,
                https.and_then(|https| text(&https.cert.display())),
            ),
            (
                &settings::TLS_KEY,
                https.and_then(|https| text(&https.key.display())),
            ),
            (&settings::MANAGEMENT_ADDR, text(&self.listeners.management)),
            (
                &settings::DRAIN_SECONDS,
                i64::try_from(self.listeners.drain.as_secs())
                    .ok()
                    .map(Value::from),
            ),
            (&settings::WORKERS, self.listeners.workers.and_then(number)),
            (
                &settings::MASTER_KEY_FILE,
                text(&self.keys.master_key_file.display()),
            ),
            (&settings::SMTP_URL, self.masked_smtp().map(Value::from)),
            (
                &settings::MAIL_FROM,
                self.mail.from.as_ref().and_then(|from| text(from)),
            ),
            (
                &settings::INSECURE_PLAIN_SMTP,
                Some(self.mail.insecure_plain_smtp.into()),
            ),
            (
                &settings::BOOTSTRAP_ADMIN_USERNAME,
                admin.and_then(|admin| text(&admin.username)),
            ),
            (
                &settings::BOOTSTRAP_ADMIN_PASSWORD,
                admin.map(|_| MASK.into()),
            ),
        ];
        entries.extend(self.policies());
        entries
            .into_iter()
            .filter_map(|(setting, value)| Some((setting.key, value?)))
            .collect()
    }

    fn policies(&self) -> Vec<(&'static settings::Setting, Option<Value>)> {
        let params = self.argon2.params;
        let (m, t, p) = (params.memory_kib, params.passes, params.lanes);
        let permits = i64::try_from(self.argon2.permits()).ok();
        let trusted = self.proxies.trusted.iter();
        let opened = self.outbound.networks.iter();
        vec![
            (
                &settings::TRUSTED_PROXIES,
                Some(trusted.map(ToString::to_string).collect::<Vec<_>>().into()),
            ),
            (
                &settings::FORWARDED_HEADER,
                Some(self.proxies.header.name().into()),
            ),
            (
                &settings::OUTBOUND_NETWORKS,
                Some(opened.map(ToString::to_string).collect::<Vec<_>>().into()),
            ),
            (&settings::LOG, Some(self.log.filter.clone().into())),
            (
                &settings::LOG_FORMAT,
                self.log.format.map(|format| format.name().into()),
            ),
            (&settings::ARGON2, Some(format!("m={m},t={t},p={p}").into())),
            (&settings::ARGON2_PERMITS, permits.map(Value::from)),
        ]
    }

    fn masked_database(&self) -> String {
        match &self.database.url {
            DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => mask(url),
        }
    }

    fn masked_smtp(&self) -> Option<String> {
        let smtp = self.mail.smtp.as_ref()?;
        let (scheme, options) = match smtp.tls {
            SmtpTls::Implicit => ("smtps", ""),
            SmtpTls::StartTls => ("smtp", "?tls=required"),
            SmtpTls::None => ("smtp", "?tls=none"),
        };
        let who = match &smtp.credentials {
            Some(_) => format!("{MASK}:{MASK}@"),
            None => String::new(),
        };
        let host = match smtp.host.contains(':') {
            true => format!("[{}]", smtp.host),
            false => smtp.host.clone(),
        };
        Some(format!("{scheme}://{who}{host}:{}{options}", smtp.port))
    }
}

/// An address without what stands before its last `@`, and without the values of its options:
/// libpq takes passwords in both places, and a password may itself hold any character.
fn mask(url: &Secret) -> String {
    let url = url.expose();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (who, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{MASK}@"), rest),
        None => (String::new(), rest),
    };
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let options = options
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| match option.split_once('=') {
            Some((name @ ("sslmode" | "target_session_attrs"), value)) => format!("{name}={value}"),
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&");
    let question = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{who}{place}{question}{options}")
}
