//! What a client may be called and where it may lead: checked when it is registered, in Keycloak's words.

use url::Url;

use super::error::AdminError;
use super::powers::managed_realm;
use crate::client::redirect;
use crate::client::{BY_SECRET, ClientSettings};
use crate::oidc::catalog::RealmConfig;
use crate::oidc::provision::MASTER;

/// Attributes that are URLs, with what Keycloak calls them.
const URLS: [(&str, &str); 6] = [
    ("backchannel.logout.url", "Backchannel logout URL"),
    ("frontchannel.logout.url", "Front-channel logout URL"),
    ("initiate.login.uri", "Initiate login URI"),
    ("logoUri", "Logo URL"),
    ("policyUri", "Policy URL"),
    ("tosUri", "Terms of service URL"),
];

/// Checks the `client_id` of a new or renamed client.
///
/// # Errors
/// It is blank, too long or has control characters, or is one under which powers over realms are kept.
pub fn client_id(config: &RealmConfig, client_id: &str) -> Result<(), AdminError> {
    let refuse = |text: &str| Err(AdminError::invalid_input(text));
    if client_id.trim().is_empty() {
        return refuse("Client ID cannot be blank");
    }
    if client_id.len() > 255 || client_id.chars().any(char::is_control) {
        return refuse("Client ID is not valid");
    }
    if config.realm.name == MASTER && managed_realm(config, client_id).is_some() {
        return refuse("Client IDs that end in -realm are kept for the roles of realms");
    }
    Ok(())
}

/// Checks the URLs and the protocol of a client, and warns of wildcards, which match nothing.
///
/// # Errors
/// All that is wrong, joined.
pub fn settings(
    client_id: &str,
    settings: &ClientSettings,
    public_url: &str,
) -> Result<(), AdminError> {
    let mut faults: Vec<String> = Vec::new();
    if !matches!(&*settings.protocol, "openid-connect" | "saml") {
        faults.push(format!("Invalid protocol: {:.64}", settings.protocol));
    }
    if !settings.public_client && settings.client_authenticator_type != BY_SECRET {
        tracing::warn!(
            client_id,
            method = format!("{:.64}", settings.client_authenticator_type),
            "a client shall prove itself by a method that this server does not have, and gets nothing"
        );
    }
    let root = settings.root_url.as_deref().filter(|url| !url.is_empty());
    if let Some(root) = root.filter(|url| !url.starts_with("${")) {
        faults.extend(url_fault("Root URL", root));
    }
    let base = settings.base_url.as_deref().filter(|url| !url.is_empty());
    if let Some(base) = base.filter(|url| !url.starts_with('/')) {
        faults.extend(url_fault("Base URL", base));
    }
    for uri in &settings.redirect_uris {
        let checked = redirect::validate(uri, root, public_url);
        if checked.is_err() {
            faults.push(format!("A redirect URI {}", redirect_fault(uri)));
        }
        if uri.contains('*') {
            tracing::warn!(
                client_id,
                "a redirect URI with * was registered; it matches nothing"
            );
        }
    }
    for (attribute, name) in URLS {
        let url = settings.attributes.get(attribute);
        if let Some(url) = url.filter(|url| !url.is_empty()) {
            faults.extend(url_fault(name, url));
        }
    }
    let after_logout = settings
        .attributes
        .get("post.logout.redirect.uris")
        .map_or("", String::as_str);
    for uri in after_logout
        .split("##")
        .filter(|uri| !matches!(*uri, "" | "+" | "-"))
    {
        if redirect::validate(uri, root, public_url).is_err() {
            faults.push(format!(
                "A post logout redirect URI {}",
                redirect_fault(uri)
            ));
        }
    }
    faults.dedup();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(AdminError::invalid_input(faults.join("; ")))
    }
}

fn url_fault(name: &str, url: &str) -> Option<String> {
    if redirect::has_forbidden_scheme(url) {
        return Some(format!("{name} uses an illegal scheme"));
    }
    let plain = !url.chars().any(char::is_control) && url.trim() == url;
    let valid = plain && Url::parse(url).is_ok_and(|url| url.has_host());
    (!valid).then(|| format!("{name} is not a valid URL"))
}

fn redirect_fault(uri: &str) -> &'static str {
    if redirect::has_forbidden_scheme(uri) {
        "uses an illegal scheme"
    } else if uri.contains('#') {
        "must not contain an URL fragment"
    } else {
        "is not a valid URI"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(change: impl FnOnce(&mut ClientSettings)) -> String {
        let mut client = ClientSettings::default();
        change(&mut client);
        match settings("x", &client, "https://id.example") {
            Ok(()) => String::new(),
            Err(AdminError::Invalid { description, .. }) => description,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn urls_are_refused_in_keycloaks_words() {
        let redirect = |uri: &str| faults(|client| client.redirect_uris = vec![uri.to_owned()]);
        assert_eq!(
            redirect("javascript:alert(1)"),
            "A redirect URI uses an illegal scheme"
        );
        assert_eq!(
            redirect("http://x/#y"),
            "A redirect URI must not contain an URL fragment"
        );
        for fine in ["http://x/*", "/cb", "com.example:/cb", "*", "+"] {
            assert_eq!(redirect(fine), "", "{fine}");
        }
        assert_eq!(
            faults(|client| {
                client.root_url = Some("nope:".into());
                client.redirect_uris = vec!["data:x".into()];
            }),
            "Root URL is not a valid URL; A redirect URI uses an illegal scheme"
        );
        assert_eq!(
            faults(|client| client.base_url = Some("javascript:alert(1)".into())),
            "Base URL uses an illegal scheme"
        );
        assert_eq!(
            faults(|client| client.root_url = Some("${authBaseUrl}".into())),
            ""
        );
        assert_eq!(
            faults(|client| {
                client
                    .attributes
                    .insert("backchannel.logout.url".into(), "javascript:x".into());
            }),
            "Backchannel logout URL uses an illegal scheme"
        );
        assert_eq!(
            faults(|client| client.protocol = "nope".into()),
            "Invalid protocol: nope"
        );
    }
}
