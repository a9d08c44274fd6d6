//! What the sender of mails asks about links: the words of a mail as it goes out, and that it went out.
//!
//! The mail module knows no link; `app` gives it this. Token and code exist for as long as the mail is rendered.

use std::sync::Arc;

use super::{Link, LinkId, Purpose, State, create, keys, rows, token, with_user};
use crate::client;
use crate::kernel::seal::Keyring;
use crate::kernel::{Timestamp, UserId};
use crate::mail::{LinkMail, Links, NotMe, OutboxId};
use crate::realm::Realm;
use crate::store::{StoreError, Tx};
use crate::user::credential;
use crate::user::waiting::{self, ResetProof};

/// Makes the words of links' mails.
pub struct Linker {
    keyring: Arc<Keyring>,
    public_url: String,
}

impl Linker {
    /// With the public URL, the only source of every link, without a slash at its end.
    pub fn new(keyring: Arc<Keyring>, public_url: String) -> Self {
        Self {
            keyring,
            public_url,
        }
    }
}

impl Links for Linker {
    fn compose(
        &self,
        tx: &mut Tx<'_>,
        realm: &Realm,
        link: &str,
    ) -> Result<Result<LinkMail, String>, StoreError> {
        let Some((link, user)) = with_user(tx, &realm.id, &LinkId::new(link))? else {
            return Ok(Err("its link is gone".to_owned()));
        };
        let now = tx.now()?;
        if let Some(why) = dead(&link, link.state(&user, now), user.enabled) {
            return Ok(Err(why.to_owned()));
        }
        let Some(kind) = link.kind() else {
            return Ok(Err(
                "its link stands in a notice and has no mail of its own".to_owned(),
            ));
        };
        let client = match &link.client_id {
            Some(client_id) => client::rows::by_client_id(tx, &realm.id, client_id)?,
            None => None,
        };
        let old_password_ended = link.sets_password && has_ended_password(tx, &user.id)?;
        let key = keys::by_version(tx, &self.keyring, link.key_version)?;
        let issuer = format!("{}{}", self.public_url, realm.path());
        let home = client.as_ref().and_then(|app| app.home(&self.public_url));
        Ok(Ok(LinkMail {
            kind,
            url: create::address_of(&issuer, &token::token(&key, &link)),
            code: token::code(&key, &link),
            code_page: format!("{issuer}/login-actions/link"),
            app: client.as_ref().map(|app| app.display_name().to_owned()),
            client: client.map(|app| app.id),
            sign_in: home.unwrap_or_else(|| format!("{issuer}/account/")),
            username: user.username,
            seconds: seconds_left(&link, now),
            old_password_ended,
        }))
    }

    fn not_me(
        &self,
        tx: &mut Tx<'_>,
        realm: &Realm,
        mail: &OutboxId,
    ) -> Result<Option<NotMe>, StoreError> {
        let Some(id) = rows::in_mail(tx, mail, Purpose::NotMe)? else {
            return Ok(None);
        };
        let Some((link, user)) = with_user(tx, &realm.id, &id)? else {
            return Ok(None);
        };
        let now = tx.now()?;
        if !link.state(&user, now).is_live() {
            return Ok(None);
        }
        let key = keys::by_version(tx, &self.keyring, link.key_version)?;
        let issuer = format!("{}{}", self.public_url, realm.path());
        Ok(Some(NotMe {
            link: link.id.as_str().to_owned(),
            url: create::address_of(&issuer, &token::token(&key, &link)),
            seconds: seconds_left(&link, now),
        }))
    }

    fn handed_over(&self, tx: &mut Tx<'_>, link: &str, mail: &OutboxId) -> Result<(), StoreError> {
        match rows::by_id(tx, &LinkId::new(link))? {
            Some(link) => rows::start_life(tx, &link, mail),
            None => Ok(()),
        }
    }
}

/// How long it is good for, as its mail says.
fn seconds_left(link: &Link, now: Timestamp) -> i64 {
    match link.expires_at() {
        Some(end) => end.seconds_since(now),
        None => link.lifespan,
    }
}

/// Whether the person has a password that proves nothing any more (`resetProof: mailbox`).
fn has_ended_password(tx: &mut Tx<'_>, user: &UserId) -> Result<bool, StoreError> {
    let ended = waiting::of_user(tx, user)?
        .iter()
        .any(|row| row.reset_proof == ResetProof::Mailbox);
    Ok(ended && credential::password(tx, user)?.is_some())
}

/// Why a link is not mailed any more, for administrators.
fn dead(link: &Link, state: State, enabled: bool) -> Option<&'static str> {
    match state {
        State::Created | State::Sent | State::Opened => None,
        State::Committed => Some("its link was used already"),
        State::Superseded => Some("a newer link took the place of its link"),
        State::Expired => Some("its link expired before it could be sent"),
        State::Revoked if link.revoked_at.is_some() => Some("its link was taken back"),
        State::Revoked if !enabled => Some("its user was switched off"),
        State::Revoked => Some("its user has another password or address by now"),
    }
}
