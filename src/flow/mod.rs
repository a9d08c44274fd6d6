//! A parked authorization request and how far its person has come.
//!
//! The state is here, on the server. The browser holds one random id in a cookie, which names the browser; the
//! form carries a one-hop token, which names the flow and its step. Twenty flows of one browser live side by side.

pub mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::seal::Keyring;
use crate::kernel::{ClientUuid, RealmId, SessionId, Timestamp, UserId};
use crate::link::LinkId;
use crate::user::AuthEpoch;

/// A validated authorization request (OpenID Connect Core 3.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Where the answer goes: compared with the registered ones before anything else.
    pub redirect_uri: String,
    /// The words of the scope.
    pub scope: String,
    /// Echoed byte by byte.
    pub state: Option<String>,
    /// Echoed in the ID token.
    pub nonce: Option<String>,
    /// PKCE, method S256 (RFC 7636).
    pub code_challenge: Option<String>,
    /// How the answer travels.
    pub response_mode: ResponseMode,
    /// `prompt=login`: prove who you are again.
    pub prompt_login: bool,
    /// `prompt=consent`: be asked again.
    pub prompt_consent: bool,
    /// `max_age`, seconds.
    pub max_age: Option<i64>,
    /// A name to begin with.
    pub login_hint: Option<String>,
    /// The languages asked for.
    pub ui_locales: Option<String>,
    /// Whom the `id_token_hint` names: nobody else gets an answer.
    pub hinted_user: Option<UserId>,
    /// Whether a `kc_action` was asked for. There are none, and the answer says so.
    #[serde(default)]
    pub kc_action: bool,
}

impl AuthorizationRequest {
    /// Whether the application asks for somebody else than this person.
    pub fn is_for_another_than(&self, user: &UserId) -> bool {
        self.hinted_user
            .as_ref()
            .is_some_and(|hinted| hinted != user)
    }
}

/// How an authorization response travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect.
    Query,
    /// In the fragment of the redirect (OAuth 2.0 Multiple Response Type Encoding Practices).
    Fragment,
    /// By a form that posts itself (OAuth 2.0 Form Post Response Mode).
    FormPost,
    /// Nowhere: no client waits, the flow ends on a page that says so.
    Page,
}

/// What a page says about the submit before it: kept with the flow, so that a submit is answered by a redirect and
/// a reload shows the same page. Never holds what was typed into a secret field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// The name that was typed.
    #[serde(default)]
    pub username: String,
    /// What is wrong, each with the field it is about (empty: with the whole form).
    #[serde(default)]
    pub errors: Vec<FlashError>,
    /// A sentence that is no error, by its key.
    #[serde(default)]
    pub notice: Option<String>,
    /// Advice for a stronger password, by its key.
    #[serde(default)]
    pub hint: Option<String>,
    /// What was typed into other fields, by name.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Whether this is said to somebody who has tried to prove who they are. Whose session the browser has by then is
    /// perhaps not them, so that the flow goes on by another proof alone.
    #[serde(default)]
    pub tried: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashError {
    /// The field's name, empty for the form.
    pub field: String,
    /// The text's key.
    pub key: String,
    /// The text's argument, where it has one.
    #[serde(default)]
    pub value: Option<String>,
}

impl Flash {
    /// One error about a field.
    pub fn error(field: &str, key: &str) -> Self {
        let error = FlashError {
            field: field.to_owned(),
            key: key.to_owned(),
            value: None,
        };
        Self {
            errors: vec![error],
            ..Self::default()
        }
    }

    /// One sentence.
    pub fn notice(key: &str) -> Self {
        Self {
            notice: Some(key.to_owned()),
            ..Self::default()
        }
    }

    /// Said to somebody who has tried to prove who they are, by that name.
    #[must_use]
    pub fn tried_by(self, username: &str) -> Self {
        Self {
            username: username.to_owned(),
            tried: true,
            ..self
        }
    }
}

/// The `amr` of a proof that is an opened link and nothing more: it lets a password be set, and signs nobody in.
pub const BY_LINK: &str = "link";

/// A proof of identity that was made in this flow.
#[derive(Debug, Clone)]
pub struct FlowProof {
    /// When: the five minutes of the gate are counted from here.
    pub at: Timestamp,
    /// How (RFC 8176).
    pub amr: String,
    /// The user's epoch then.
    pub epoch: AuthEpoch,
}

/// A parked flow.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its public handle, `tab_id` in URLs: worth nothing without the browser's cookie.
    pub id: String,
    /// The realm.
    pub realm_id: RealmId,
    /// The client.
    pub client_id: ClientUuid,
    /// The digest of the cookie of the browser it belongs to.
    pub browser_digest: String,
    /// What was asked for.
    pub request: AuthorizationRequest,
    /// Raised at each step, so that a form is good for one hop.
    pub step: i64,
    /// Who the person is, once proved or taken from a session.
    pub user_id: Option<UserId>,
    /// The proof made in this flow.
    pub proof: Option<FlowProof>,
    /// Whether the person asked to be remembered.
    pub remember_me: bool,
    /// The session the flow has come to.
    pub session_id: Option<SessionId>,
    /// The link that it began with.
    pub link_id: Option<LinkId>,
    /// Whether the person said yes in this flow.
    pub consented: bool,
    /// What the next page has to say about the last submit.
    pub flash: Option<Flash>,
    /// When its code was issued.
    pub finished_at: Option<Timestamp>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

impl Flow {
    /// The link that is the flow's only proof, as long as it has done nothing yet.
    pub fn open_link(&self) -> Option<&LinkId> {
        let by_link = self
            .proof
            .as_ref()
            .is_some_and(|proof| proof.amr == BY_LINK);
        self.link_id.as_ref().filter(|_| by_link)
    }

    /// Whether no application waits for an answer, and the flow ends by leading somewhere.
    pub fn leads_on(&self) -> bool {
        self.request.response_mode == ResponseMode::Page && !self.request.redirect_uri.is_empty()
    }

    /// The one-hop token for this flow's forms: names flow and step. It is worth something only together with the
    /// cookie by which the flow is found, and stays good when that cookie changes in another tab.
    pub fn form_token(&self, keyring: &Keyring) -> String {
        self.token_of(keyring, self.step)
    }

    fn token_of(&self, keyring: &Keyring, step: i64) -> String {
        let mac = keyring.digest("flow-form", format!("{}\0{step}", self.id).as_bytes());
        format!("{}.{step}.{}", self.id, hex(&mac))
    }

    /// The handle in a form's token, to find the flow by; [`Flow::accepts`] then judges it.
    pub fn handle_of(token: &str) -> Option<&str> {
        token.split('.').next().filter(|handle| !handle.is_empty())
    }

    /// Whether a form's token is that of this flow's present step.
    pub fn accepts(&self, keyring: &Keyring, token: &str) -> bool {
        is_same(&self.form_token(keyring), token)
    }

    /// Whether a form's token is that of a step before the present one.
    pub fn has_accepted(&self, keyring: &Keyring, token: &str) -> bool {
        let step = token.split('.').nth(1).and_then(|step| step.parse().ok());
        step.is_some_and(|step| step < self.step && is_same(&self.token_of(keyring, step), token))
    }

    /// Who has tried in vain to prove who they are, as the flow's next page says.
    pub fn tried(&self) -> Option<&str> {
        let flash = self.flash.as_ref().filter(|flash| flash.tried);
        flash.map(|flash| flash.username.as_str())
    }
}

fn is_same(own: &str, token: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), token.as_bytes()).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
