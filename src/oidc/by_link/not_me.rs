//! “This was not me”: the page of the link in a notice, and the press that closes the account.
//!
//! The press does to the account what an administrator's `compromised` does ([`assign::close`]) and mails a link that
//! sets a new password: to the person's address, if that is where the notice went. A notice that went to an address
//! which was replaced since says that the new one may be a thief's, so nothing goes there: the former one is put back
//! where its reader may have it ([`Standing::Returns`]), else the account is left without an address, and an operator
//! gives it one. Whatever was mailed to later addresses loses its say with that; what was mailed to earlier ones keeps
//! it, so that a thief who changes the address twice, or presses first, gains nothing.

use super::super::engine::Engine;
use super::super::notices;
use super::super::show::Reply;
use super::super::steps::Visit;
use super::{Place, done};
use crate::action::assign;
use crate::kernel::Timestamp;
use crate::link::{self, Link, NewLink, Purpose, Sender, State};
use crate::mail;
use crate::store::events::{self, Event};
use crate::store::{StoreError, Tx, corrupt};
use crate::user::former::{self, FormerAddress, Standing};
use crate::user::name::{masked, name_key};
use crate::user::{self, User};
use crate::web::pages::{self, Href, Message};
use crate::web::texts::Text;

/// Who set the action that then waits on the person.
const SOURCE: &str = "not-me";

/// What the reader of a link's mailbox has to say about the account's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    /// It is the account's.
    Present,
    /// It was, and is to be again.
    Returns,
    /// It was; whose the account is, an operator has to find out.
    Unknown,
}

impl Say {
    /// The word in the audit.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Returns => "returned",
            Self::Unknown => "removed",
        }
    }

    fn of(link: &Link, user: &User, former: &[FormerAddress]) -> Self {
        let address = link.address.as_deref();
        let is_present = user.email.as_deref().map(name_key) == address.map(name_key);
        if is_present {
            return Self::Present;
        }
        let known = former
            .iter()
            .find(|known| Some(known.email.as_str()) == address);
        match known.map(|known| known.standing) {
            Some(Standing::Returns) => Self::Returns,
            Some(Standing::Shuts | Standing::Hears) | None => Self::Unknown,
        }
    }
}

/// The page: whose account it is, what happened when, and what the button does.
pub(super) fn show(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (place, handle): (&Place, &str),
    (link, user, state): (&Link, &User, State),
) -> Result<Reply, StoreError> {
    if !state.is_live() {
        return Ok(over(engine, place, state));
    }
    let now = tx.now()?;
    let former = former::of_user(tx, &user.id, now)?;
    let realm = &place.config.realm;
    let say = match Say::of(link, user, &former) {
        Say::Present | Say::Returns if !engine.mailer.is_configured(realm) => Say::Unknown,
        say => say,
    };
    let consequence = Text::key(match say {
        Say::Present => "link-not-me-mails",
        Say::Returns => "link-not-me-returns",
        Say::Unknown => "link-not-me-asks",
    });
    let page = pages::NotMe {
        action: place.url(),
        handle: handle.to_owned(),
        happened: Text::key(happened(tx, place, link)?).with(
            "when",
            engine.texts.time(place.face.locale, link.created_at),
        ),
        consequence: consequence
            .with("realm", realm.display_name())
            .with("address", address_of(link)),
        account: user.username.clone(),
    };
    Ok(place.face.page(engine, &page, None))
}

/// What the notice told of, in the words of the mail.
fn happened(tx: &mut Tx<'_>, place: &Place, link: &Link) -> Result<&'static str, StoreError> {
    let told = match &link.mail_id {
        Some(mail) => mail::outbox::by_id(tx, &place.config.realm.id, mail)?,
        None => None,
    };
    Ok(match told.as_ref().map(|mail| mail.template.as_str()) {
        Some("password-changed") => "mail-password-changed-lead",
        Some("password-set") => "mail-password-set-lead",
        Some("temporary-password-set") => "mail-temporary-password-lead",
        Some("email-changed") => "mail-email-changed-lead",
        // The mail is kept for longer than its link lives, unless the realm says otherwise.
        Some(_) | None => "link-not-me-something",
    })
}

/// As the reader of the mailbox knows it, and nobody else.
fn address_of(link: &Link) -> String {
    masked(link.address.as_deref().unwrap_or_default())
}

/// The page for a link of a notice that does nothing any more; a forgotten password is the way on.
pub(super) fn over(engine: &Engine, place: &Place, state: State) -> Reply {
    let (heading, body) = match state {
        State::Committed => ("link-over-title", "link-not-me-used"),
        State::Expired => ("link-expired-title", "link-not-me-over"),
        State::Created | State::Sent | State::Opened | State::Revoked | State::Superseded => {
            ("link-over-title", "link-not-me-over")
        }
    };
    said(engine, place, (heading, Text::key(body)))
}

fn said(engine: &Engine, place: &Place, (heading, body): (&'static str, Text)) -> Reply {
    let realm = &place.config.realm;
    let forgotten = format!("{}/login-actions/reset-credentials", place.config.issuer);
    let link = Href::to(&forgotten)
        .filter(|_| realm.settings.reset_password_allowed && engine.mailer.is_configured(realm))
        .map(|href| pages::Link {
            text: Text::key("forgot-title"),
            href,
        });
    let page = Message {
        heading: Text::key(heading),
        body: body.with("realm", realm.display_name()),
        link,
    };
    place.face.page(engine, &page, None)
}

/// The press: closes the account and mails the way back in. The caller has locked the person's row and seen the link
/// alive; the link ends in the statement that asks for its time.
pub(super) fn close(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (place, link, user): (&Place, &Link, &User),
) -> Result<Reply, StoreError> {
    if !link::rows::commit(tx, &link.id, (&user.id, &link.auth_epoch))? {
        return Ok(over(engine, place, State::Expired));
    }
    let now = tx.now()?;
    let former = former::of_user(tx, &user.id, now)?;
    let mut say = Say::of(link, user, &former);
    if say != Say::Present && !displace(tx, place, (link, user), (&former, say))? {
        say = Say::Unknown;
    }
    assign::close(tx, &user.id, SOURCE, &engine.entropy)?;
    note(tx, engine, visit, (link, say, now))?;
    let mailed = say != Say::Unknown && mail_link(tx, engine, place, link)?;
    let emails: Vec<String> = former.into_iter().map(|known| known.email).collect();
    if engine.mailer.is_configured(&place.config.realm) {
        // Whoever is mailed the link hears of it by that.
        let spared = link.address.as_deref().filter(|_| mailed);
        let told = mail::Purpose::AccountClosed { when: now };
        notices::tell_others(tx, (engine, &place.config), (user, &emails), spared, &told)?;
    }
    let body = Text::key(match (mailed, say) {
        (true, Say::Present) => "link-not-me-closed",
        (true, _) => "link-not-me-returned",
        (false, _) => "link-not-me-ask",
    });
    let page = Message {
        heading: Text::key("link-not-me-closed-title"),
        body: body
            .with("realm", place.config.realm.display_name())
            .with("address", address_of(link)),
        link: None,
    };
    Ok(place.face.page(engine, &page, None))
}

/// Takes the address that may be a thief's from the account, and all say from whoever reads it or a later one. Answers
/// whether the reader's own address could be put back.
fn displace(
    tx: &mut Tx<'_>,
    place: &Place,
    (link, user): (&Link, &User),
    (former, say): (&[FormerAddress], Say),
) -> Result<bool, StoreError> {
    let own = link.address.as_deref().unwrap_or_default();
    let earlier = former
        .iter()
        .position(|known| known.email == own)
        .map(|at| former.iter().take(at))
        .into_iter()
        .flatten();
    let mut spared: Vec<String> = earlier.map(|known| known.email.clone()).collect();
    former::forget_others(tx, &user.id, &spared)?;
    spared.push(own.to_owned());
    link::not_me::end_others(tx, &user.id, &spared)?;
    let settings = &place.config.realm.settings;
    let unique = !settings.duplicate_emails_allowed;
    let mut changed = user.clone();
    // Proved anew by the link that is mailed there, and not before.
    changed.email_verified = false;
    if say == Say::Returns {
        changed.email = Some(own.to_owned());
        let named_by_it = user.email.as_deref().map(name_key) == Some(name_key(&user.username));
        if settings.registration_email_as_username && named_by_it {
            changed.username = own.to_lowercase();
        }
        // Somebody else may have taken it meanwhile.
        if user::rows::update(tx, &changed, unique)?.is_ok() {
            return Ok(true);
        }
        changed.username.clone_from(&user.username);
    }
    changed.email = None;
    // To give an address up takes nobody's name.
    user::rows::update(tx, &changed, unique)?
        .map_err(|taken| corrupt("login_names", "user_id", &user.id, format!("{taken:?}")))?;
    Ok(false)
}

/// Mails the link that sets a new password; `false` where there is nobody to mail it to.
fn mail_link(
    tx: &mut Tx<'_>,
    engine: &Engine,
    place: &Place,
    link: &Link,
) -> Result<bool, StoreError> {
    let realm = &place.config.realm;
    if !engine.mailer.is_configured(realm) {
        return Ok(false);
    }
    let new = NewLink {
        client_id: link.client_id.clone(),
        ..NewLink::of(
            realm,
            &link.user_id,
            Purpose::ClosedAccount,
            Sender::Administrator,
        )
    };
    Ok(link::create(tx, engine.mailer.tools(), &new)?.is_ok())
}

fn note(
    tx: &mut Tx<'_>,
    engine: &Engine,
    visit: &Visit,
    (link, say, now): (&Link, Say, Timestamp),
) -> Result<(), StoreError> {
    done::redeemed(tx, engine, (visit, link.client_id.as_deref()), link)?;
    let event = |kind| {
        Event::new(&link.realm_id, kind)
            .user(&link.user_id)
            .from(&visit.peer.ip_address)
    };
    let closed = event("ACCOUNT_CLOSED_BY_OWNER")
        .detail("link", link.id.as_str())
        .detail("address", say.as_str());
    events::record(tx, &engine.entropy, now, closed)?;
    if say != Say::Present {
        let moved = event("UPDATE_EMAIL").detail("address", say.as_str());
        events::record(tx, &engine.entropy, now, moved)?;
    }
    Ok(())
}
