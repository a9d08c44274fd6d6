//! Making links, and mailing them again.
//!
//! Called by whoever wants somebody to get a link: the admin API, imports, campaigns, a forgotten password, an
//! expired page. Nothing here renders a mail: the outbox holds the link's id, and the token is made as the mail goes.

use super::{
    LONGEST_LIFESPAN, Link, LinkId, Purpose, UPDATE_PASSWORD, VERIFY_EMAIL, keys, rows, token,
};
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::mail::{self, Content, Message, OutboxId, Tools, language_of};
use crate::realm::Realm;
use crate::store::dialect::{Lock, lock_user};
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx};
use crate::user::name::name_key;
use crate::user::{self, User, credential};
use crate::web::texts::Locale;

/// How long a mail of many may wait for its turn, in seconds.
const BULK_WAIT: i64 = 7 * 24 * 3600;

/// Who caused a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// An administrator, an import, a campaign: the newer link takes the place of the older ones.
    Administrator,
    /// Whoever typed a name, proved by nothing: ends and shortens nothing.
    Person,
}

/// A link to be made.
#[derive(Debug, Clone)]
pub struct NewLink<'a> {
    /// The realm.
    pub realm: &'a Realm,
    /// Whose it will be.
    pub user: &'a UserId,
    /// What for.
    pub purpose: Purpose,
    /// Who causes it.
    pub sender: Sender,
    /// The actions it opens, by their canonical names; those that set a password have `UPDATE_PASSWORD` anyway.
    pub actions: Vec<String>,
    /// The address to prove, for [`Purpose::UpdateEmail`] alone; every other link goes to the person's own.
    pub new_address: Option<String>,
    /// The OAuth `client_id` of the application that it leads to.
    pub client_id: Option<String>,
    /// Where in that application; the caller has compared it with the registered ones.
    pub redirect_uri: Option<String>,
    /// Seconds from the hand-over; `None` is what the realm says for the purpose.
    pub lifespan: Option<i64>,
    /// Words of the administrator, as plain text.
    pub message: Option<String>,
    /// A subject in the place of the purpose's own.
    pub subject: Option<String>,
    /// The language of its mail for a person who has none of his own; `None` is the realm's.
    pub locale: Option<Locale>,
    /// The campaign that it is part of.
    pub campaign: Option<String>,
    /// Whether its mail lets single ones pass.
    pub bulk: bool,
}

impl<'a> NewLink<'a> {
    /// A link with nothing special about it.
    pub fn of(realm: &'a Realm, user: &'a UserId, purpose: Purpose, sender: Sender) -> Self {
        Self {
            realm,
            user,
            purpose,
            sender,
            actions: Vec::new(),
            new_address: None,
            client_id: None,
            redirect_uri: None,
            lifespan: None,
            message: None,
            subject: None,
            locale: None,
            campaign: None,
            bulk: false,
        }
    }
}

/// A link that was made, or found alive, and whose mail is queued: [`wake`](crate::mail::Mailer::wake) the sender
/// once the transaction has committed.
#[derive(Debug, Clone)]
pub struct Created {
    /// The link.
    pub id: LinkId,
    /// Its mail.
    pub mail: OutboxId,
}

/// A link that was made to be handed out otherwise. Without `Debug`: it is as good as a password.
pub struct Revealed {
    /// The link's id.
    pub id: LinkId,
    /// The address to open.
    pub link: String,
    /// The code to type instead.
    pub code: String,
    /// Until when both are good.
    pub expires_at: Timestamp,
}

/// Why somebody gets no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such person in the realm.
    #[error("there is no such user")]
    NoUser,
    /// The person is switched off.
    #[error("the user is disabled")]
    Disabled,
    /// It is a client's service account.
    #[error("a service account gets no mail")]
    Service,
    /// There is no address to mail to.
    #[error("the user has no e-mail address")]
    NoAddress,
    /// Such a link is for people without a password.
    #[error("the user has a password already")]
    HasPassword,
}

/// Makes a link and queues its mail.
///
/// A link that an administrator sends and that sets a password takes the place of all others of the person that do.
/// One that a person asked for mails a live one of its purpose again, where half of its life is left.
///
/// # Errors
/// The database fails.
pub fn create(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    new: &NewLink<'_>,
) -> Result<Result<Created, Refused>, StoreError> {
    let user = match person(tx, new)? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    let Some(address) = new.new_address.clone().or_else(|| user.email.clone()) else {
        return Ok(Err(Refused::NoAddress));
    };
    let now = tx.now()?;
    if new.sender == Sender::Person {
        let alive = rows::of_user(tx, &user.id)?.into_iter().find(|link| {
            let half = link.lifespan / 2;
            link.purpose == new.purpose
                && link.proves_mailbox()
                && link.address.as_ref() == Some(&address)
                && link.state(&user, now).is_live()
                && link.good_until.seconds_since(now) >= half
        });
        if let Some(link) = alive {
            let mail = queue(
                tx,
                (tools, new.realm),
                (&user, &link, &address),
                &words(new),
            )?;
            return Ok(Ok(Created { id: link.id, mail }));
        }
    }
    let mut link = unsent(tx, tools, new, (&user, Some(address.clone())))?;
    let wait = if new.bulk {
        BULK_WAIT.max(link.lifespan)
    } else {
        link.lifespan
    };
    link.good_until = now.plus_seconds(wait.saturating_add(link.lifespan));
    store(tx, tools, new, (&user, &link))?;
    let mail = queue(
        tx,
        (tools, new.realm),
        (&user, &link, &address),
        &words(new),
    )?;
    rows::set_mail(tx, &link.id, &mail)?;
    Ok(Ok(Created { id: link.id, mail }))
}

/// Makes a link for somebody without a password and answers it, to be handed out in another way than by mail. The
/// caller has checked that he may: this answer is as good as the account.
///
/// # Errors
/// The database fails.
pub fn reveal(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    issuer: &str,
    new: &NewLink<'_>,
) -> Result<Result<Revealed, Refused>, StoreError> {
    let user = match person(tx, new)? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    if credential::password(tx, &user.id)?.is_some() {
        return Ok(Err(Refused::HasPassword));
    }
    let now = tx.now()?;
    let mut link = unsent(tx, tools, new, (&user, user.email.clone()))?;
    link.sent_at = Some(now);
    link.good_until = now.plus_seconds(link.lifespan);
    store(tx, tools, new, (&user, &link))?;
    let key = keys::by_version(tx, tools.keyring, link.key_version)?;
    Ok(Ok(Revealed {
        link: address_of(issuer, &token::token(&key, &link)),
        code: token::code(&key, &link),
        expires_at: link.good_until,
        id: link.id,
    }))
}

/// The address of a token below an issuer.
pub(super) fn address_of(issuer: &str, token: &str) -> String {
    format!("{issuer}/login-actions/link/{token}")
}

/// The person as stored now, locked against everybody, if somebody who can get a link.
fn person(tx: &mut Tx<'_>, new: &NewLink<'_>) -> Result<Result<User, Refused>, StoreError> {
    lock_user(tx, new.user, Lock::Update)?;
    let Some(user) = user::rows::in_realm(tx, &new.realm.id, new.user)? else {
        return Ok(Err(Refused::NoUser));
    };
    Ok(if user.service_client.is_some() {
        Err(Refused::Service)
    } else if !user.enabled {
        Err(Refused::Disabled)
    } else {
        Ok(user)
    })
}

pub(super) fn unsent(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    new: &NewLink<'_>,
    (user, address): (&User, Option<String>),
) -> Result<Link, StoreError> {
    let now = tx.now()?;
    let (key_version, _) = keys::newest(tx, tools)?;
    let actions = actions(new);
    // To prove an address is a purpose of its own, whoever asks for it.
    let purpose = match (new.purpose, actions.as_slice()) {
        (Purpose::Actions, [one]) if one == VERIFY_EMAIL => Purpose::VerifyEmail,
        (purpose, _) => purpose,
    };
    let lifespan = new
        .lifespan
        .unwrap_or_else(|| purpose.lifespan(new.realm, new.sender))
        .clamp(1, LONGEST_LIFESPAN);
    Ok(Link {
        id: LinkId::new(tools.entropy.uuid(now)),
        realm_id: new.realm.id.clone(),
        user_id: user.id.clone(),
        purpose,
        sets_password: actions.iter().any(|action| action == UPDATE_PASSWORD),
        address,
        auth_epoch: user.auth_epoch.clone(),
        key_version,
        actions,
        client_id: new.client_id.clone(),
        redirect_uri: new.redirect_uri.clone(),
        lifespan,
        campaign_id: new.campaign.clone(),
        mail_id: None,
        original_id: None,
        renewals: 0,
        renewed_at: None,
        wrong_codes: 0,
        automated: false,
        created_at: now,
        sent_at: None,
        opened_at: None,
        committed_at: None,
        revoked_at: None,
        superseded_at: None,
        good_until: now,
    })
}

/// The actions of a link, `UPDATE_PASSWORD` first, each once.
fn actions(new: &NewLink<'_>) -> Vec<String> {
    let mut actions: Vec<String> = Vec::new();
    let sets_password = matches!(
        new.purpose,
        Purpose::PreRegistration | Purpose::ForgottenPassword | Purpose::ClosedAccount
    ) || new.actions.iter().any(|action| action == UPDATE_PASSWORD);
    if sets_password {
        actions.push(UPDATE_PASSWORD.to_owned());
    }
    for action in &new.actions {
        if !actions.contains(action) {
            actions.push(action.clone());
        }
    }
    actions
}

/// Stores a link, ends those whose place it takes, and notes it.
pub(super) fn store(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    new: &NewLink<'_>,
    (user, link): (&User, &Link),
) -> Result<(), StoreError> {
    if new.sender == Sender::Administrator && link.sets_password {
        rows::supersede(tx, link, link.created_at)?;
    }
    let typed = link.address.as_deref().unwrap_or(&user.username);
    rows::insert(tx, link, &name_key(typed))?;
    let mut event = Event::new(&link.realm_id, "LINK_ISSUED")
        .user(&user.id)
        .detail("link", link.id.as_str())
        .detail("purpose", link.purpose.as_str())
        .detail("mailed", link.sent_at.is_none());
    if let Some(campaign) = &link.campaign_id {
        event = event.detail("campaign", campaign.as_str());
    }
    if let Some(client) = &link.client_id {
        event = event.client(client);
    }
    metrics::counter!("idp_link_issued_total", "kind" => link.purpose.as_str()).increment(1);
    events::record(tx, tools.entropy, link.created_at, event)
}

/// What a mail of a link says beside the link.
#[derive(Debug, Clone, Default)]
pub struct MailWords {
    /// Words of the administrator.
    pub message: Option<String>,
    /// A subject in the place of the purpose's own.
    pub subject: Option<String>,
    /// Whether the mail lets single ones pass.
    pub bulk: bool,
    /// The language for a person who has none of his own; `None` is the realm's.
    pub locale: Option<Locale>,
}

pub(super) fn words(new: &NewLink<'_>) -> MailWords {
    MailWords {
        message: new.message.clone(),
        subject: new.subject.clone(),
        bulk: new.bulk,
        locale: new.locale,
    }
}

pub(super) fn queue(
    tx: &mut Tx<'_>,
    (tools, realm): (Tools<'_>, &Realm),
    (user, link, address): (&User, &Link, &str),
    words: &MailWords,
) -> Result<OutboxId, StoreError> {
    let now = tx.now()?;
    let wait = if words.bulk {
        BULK_WAIT.max(link.lifespan)
    } else {
        link.lifespan
    };
    // Where the link's end is known, nothing is sent after it; else its life has not begun.
    let expires_at = link.expires_at().unwrap_or(now.plus_seconds(wait));
    let message = Message {
        realm_id: link.realm_id.clone(),
        user_id: Some(user.id.clone()),
        recipient: address.to_owned(),
        content: Content {
            purpose: mail::Purpose::Link {
                link: link.id.as_str().to_owned(),
                subject: words.subject.clone(),
            },
            note: words.message.clone(),
        },
        locale: user
            .locale()
            .and_then(Locale::from_tag)
            .or(words.locale)
            .unwrap_or_else(|| language_of(realm, user)),
        bulk: words.bulk,
        expires_at,
    };
    mail::queue(tx, tools, &message)
}

/// Mails a link that lives once more: the same link, whose life is not changed by it. `None`: it is dead, or was not
/// made to be mailed.
///
/// # Errors
/// The database fails.
pub fn mail_again(
    tx: &mut Tx<'_>,
    tools: Tools<'_>,
    (realm, id): (&Realm, &LinkId),
    words: &MailWords,
) -> Result<Option<OutboxId>, StoreError> {
    let Some((link, user)) = with_user(tx, &realm.id, id)? else {
        return Ok(None);
    };
    let now = tx.now()?;
    let Some(address) = link.address.clone().filter(|_| link.proves_mailbox()) else {
        return Ok(None);
    };
    if !link.state(&user, now).is_live() {
        return Ok(None);
    }
    queue(tx, (tools, realm), (&user, &link, &address), words).map(Some)
}

/// The realm's link of that id with its person, as both are stored now.
///
/// # Errors
/// The database fails.
pub fn with_user(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &LinkId,
) -> Result<Option<(Link, User)>, StoreError> {
    let Some(link) = rows::by_id(tx, id)?.filter(|link| link.realm_id == *realm) else {
        return Ok(None);
    };
    Ok(user::rows::in_realm(tx, realm, &link.user_id)?.map(|user| (link, user)))
}
