//! The doctor's look at the public URL and the way to it.

use std::time::Duration;

use super::Finding;
use crate::config::{Config, limits};

const URL: &str = "url";
const PROXIES: &str = "proxies";

/// A name that leads somewhere, and a server behind it that knows itself by it.
pub(super) async fn public_url(config: &Config) -> Vec<Finding> {
    let url = &config.public_url;
    let base = url.base();
    let mut findings = Vec::new();
    if url.insecure_plain_http && !url.is_https() {
        findings.push(Finding::wrong(
            URL,
            format!("{base} is plain http: passwords and tokens can be read on the way"),
            "give VESTIBULE_PUBLIC_URL an https address and leave out insecure_plain_http_public_url",
        ));
    }
    let host = url.url().host_str().unwrap_or_default();
    let port = url.url().port_or_known_default().unwrap_or(443);
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let resolved = tokio::time::timeout(limits::OUTBOUND, tokio::net::lookup_host((name, port)));
    let found = match resolved.await {
        Ok(Ok(mut addresses)) => addresses.next().is_some(),
        Ok(Err(_)) | Err(_) => false,
    };
    if !found {
        findings.push(Finding::wrong(
            URL,
            format!("the name {name} leads to no address"),
            "add it to the DNS, or mend VESTIBULE_PUBLIC_URL",
        ));
        return findings;
    }
    findings.push(ask(base).await);
    findings
}

/// Asks the public URL who it is. A server that does not run is no fault of the configuration.
async fn ask(base: &str) -> Finding {
    let issuer = format!("{base}/realms/master");
    let place = format!("{issuer}/.well-known/openid-configuration");
    let client = reqwest::Client::builder()
        .timeout(limits::OUTBOUND)
        .connect_timeout(Duration::from_secs(3))
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let answered = match client {
        Ok(client) => client.get(&place).send().await,
        Err(error) => {
            return Finding::wrong(URL, format!("no HTTP client: {error}"), "report this");
        }
    };
    let response = match answered {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            return Finding::warning(
                URL,
                format!("nothing answers at {base}"),
                "start the server; if it runs, look at the proxy, the certificate and the firewall before it",
            );
        }
        Err(error) => {
            return Finding::wrong(
                URL,
                format!("{base} gives no answer: {}", error.without_url()),
                "look at the proxy before the server",
            );
        }
    };
    let status = response.status();
    let document: Option<serde_json::Value> = response.json().await.ok();
    let said = document
        .as_ref()
        .and_then(|document| document.get("issuer")?.as_str());
    match said {
        Some(said) if said == issuer => {
            Finding::ok(URL, format!("{base} answers, and by that name"))
        }
        Some(said) => Finding::wrong(
            URL,
            format!("the server at {base} calls itself {said}"),
            "give it and this command the same VESTIBULE_PUBLIC_URL",
        ),
        None => Finding::wrong(
            URL,
            format!("something else answers at {base} ({status})"),
            "let the proxy pass /realms/ on to the server unchanged",
        ),
    }
}

/// Whether the addresses that people come from are theirs.
pub(super) fn proxies(config: &Config) -> Vec<Finding> {
    let trusted = &config.proxies.trusted;
    if let Some(all) = trusted.iter().find(|net| net.prefix_len() == 0) {
        return vec![Finding::wrong(
            PROXIES,
            format!(
                "{all} trusts everybody: whoever comes can claim any address, and no limit holds"
            ),
            "list the proxies' own addresses in VESTIBULE_TRUSTED_PROXIES",
        )];
    }
    let own_tls = config.listeners.https.is_some();
    let exposed = config
        .listeners
        .http
        .is_some_and(|address| !address.ip().is_loopback());
    let mut findings = Vec::new();
    if config.public_url.is_https() && !own_tls && trusted.is_empty() {
        findings.push(Finding::wrong(
            PROXIES,
            "a proxy speaks TLS for this server and is not trusted: everybody seems to come from its address, and \
             thirty wrong passwords a minute shut out everyone",
            "put its address into VESTIBULE_TRUSTED_PROXIES, and let it set X-Forwarded-For",
        ));
    } else if trusted.is_empty() {
        findings.push(Finding::ok(
            PROXIES,
            "none: addresses are those of the connections",
        ));
    } else {
        let listed: Vec<String> = trusted.iter().map(ToString::to_string).collect();
        findings.push(Finding::ok(
            PROXIES,
            format!(
                "{} from {} is believed",
                config.proxies.header.name(),
                listed.join(", ")
            ),
        ));
    }
    if exposed && config.public_url.is_https() {
        findings.push(Finding::warning(
            PROXIES,
            "the plain http listener is open to other machines, beside the https address",
            "let only the proxy reach it, by VESTIBULE_HTTP_ADDR or a firewall; `off` closes it",
        ));
    }
    findings
}
