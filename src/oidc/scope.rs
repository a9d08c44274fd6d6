//! The `scope` parameter: which client scopes a request gets.

use super::catalog::RealmConfig;
use crate::client::Client;
use crate::scope::ClientScope;

/// The words of a request's scope, checked against what the client may ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    words: Vec<String>,
}

/// A scope that the client may not ask for; displays as Keycloak's description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid scopes: {0}")]
pub struct InvalidScope(pub String);

impl Scope {
    /// Checks the words of a request.
    ///
    /// # Errors
    /// A word is neither `openid` nor a scope of the client.
    pub fn parse(
        config: &RealmConfig,
        client: &Client,
        requested: &str,
    ) -> Result<Self, InvalidScope> {
        let known = |word: &str| {
            word == "openid" || assigned(config, client).any(|scope| scope.name == word)
        };
        let mut words: Vec<String> = Vec::new();
        for word in requested.split_ascii_whitespace() {
            if !known(word) {
                return Err(InvalidScope(requested.to_owned()));
            }
            if !words.iter().any(|one| one == word) {
                words.push(word.to_owned());
            }
        }
        Ok(Self { words })
    }

    /// Words that were checked when they were stored.
    pub fn stored(text: &str) -> Self {
        Self {
            words: text.split_ascii_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Whether the word was asked for.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|one| one == word)
    }

    /// The words.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The words, as they are stored.
    pub fn to_text(&self) -> String {
        self.words.join(" ")
    }

    /// Whether every word of `self` is in `other`.
    pub fn within(&self, other: &Self) -> bool {
        self.words.iter().all(|word| other.has(word))
    }

    /// The client scopes that apply: the default ones, and the optional ones that were asked for and are still
    /// assigned.
    pub fn client_scopes<'a>(
        &self,
        config: &'a RealmConfig,
        client: &Client,
    ) -> Vec<&'a ClientScope> {
        let find = |id| config.scopes.get(id);
        let default = client.default_scopes.iter().filter_map(find);
        let optional = client
            .optional_scopes
            .iter()
            .filter_map(find)
            .filter(|scope| self.has(&scope.name));
        let mut scopes: Vec<&ClientScope> = default
            .chain(optional)
            .filter(|scope| scope.protocol == "openid-connect")
            .collect();
        scopes.sort_by(|one, two| one.name.cmp(&two.name));
        scopes
    }

    /// The `scope` of the answer: `openid` first, then the scopes that show themselves.
    pub fn granted(&self, scopes: &[&ClientScope]) -> String {
        let openid = self.has("openid").then_some("openid");
        let shown = scopes
            .iter()
            .filter(|scope| scope.in_token_scope())
            .map(|scope| scope.name.as_str());
        openid
            .into_iter()
            .chain(shown)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn assigned<'a>(
    config: &'a RealmConfig,
    client: &'a Client,
) -> impl Iterator<Item = &'a ClientScope> {
    client
        .default_scopes
        .iter()
        .chain(&client.optional_scopes)
        .filter_map(|id| config.scopes.get(id))
}
