//! `vestibule doctor`: looks at everything the server needs, changes nothing, and says what to do about each finding
//! (reliability H046).

mod certificate;
mod database;
mod mail;
mod network;
mod smtp;

use serde::Serialize;

use super::output::{self, Format};
use super::{Failure, boot, runtime};
use crate::config::Config;

/// Options of `doctor`.
#[derive(clap::Args)]
pub(super) struct Options {
    /// Shows the configuration that results from file and environment, secrets masked, and looks at nothing.
    #[arg(long)]
    print_config: bool,
    /// Mails a test to this address, as a realm would.
    #[arg(long, value_name = "EMAIL")]
    mail: Option<String>,
    /// The realm whose mail settings are tried.
    #[arg(long, default_value = "master", requires = "mail")]
    realm: String,
    #[command(flatten)]
    format: Format,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    /// As it should be.
    Ok,
    /// It works, and something about it should be known.
    Warning,
    /// It does not work, or is dangerous.
    Wrong,
}

/// What was found out about one thing.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    /// How it stands.
    health: Health,
    /// What was seen.
    message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            health: Health::Ok,
            message: message.into(),
            fix: None,
        }
    }

    fn warning(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            check,
            health: Health::Warning,
            message: message.into(),
            fix: Some(fix.into()),
        }
    }

    fn wrong(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            health: Health::Wrong,
            ..Self::warning(check, message, fix)
        }
    }
}

pub(super) fn run(config: &Config, options: &Options) -> Result<(), Failure> {
    if options.print_config {
        return output::lines(&[config.masked().trim_end()]);
    }
    boot::logging(config)?;
    let runtime = runtime()?;
    let mut findings = runtime.block_on(examine(config));
    if let Some(address) = &options.mail {
        findings.push(mail::send(config, (&options.realm, address), &runtime)?);
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.health == Health::Wrong)
        .count();
    if options.format.json {
        output::json(&findings)?;
    } else {
        let lines: Vec<String> = findings.iter().flat_map(lines).collect();
        output::lines(&lines)?;
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::failed("1 thing is wrong")),
        many => Err(Failure::failed(format!("{many} things are wrong"))),
    }
}

fn lines(finding: &Finding) -> Vec<String> {
    let word = match finding.health {
        Health::Ok => "ok      ",
        Health::Warning => "warning ",
        Health::Wrong => "WRONG   ",
    };
    let mut lines = vec![format!("{word}{:<10} {}", finding.check, finding.message)];
    lines.extend(finding.fix.iter().map(|fix| format!("{:19}-> {fix}", "")));
    lines
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = network::public_url(config).await;
    findings.extend(network::proxies(config));
    findings.extend(certificate::look(config));
    findings.extend(database::look(config).await);
    findings.push(redis(config));
    findings.push(smtp::look(config).await);
    findings
}

fn redis(config: &Config) -> Finding {
    match config.cache.redis_url {
        None => Finding::ok("redis", "none configured: each node keeps its own caches"),
        Some(_) => Finding::warning(
            "redis",
            "VESTIBULE_REDIS_URL is set, and this version does not use it: each node keeps its own caches, and nodes \
             learn of changes from the database within a second",
            "leave it out, or leave it in for a later version",
        ),
    }
}
