//! A new password, judged outside any transaction and stored in one.

use std::sync::Arc;

use super::catalog::RealmConfig;
use super::engine::Engine;
use super::form::Form;
use super::screens::policy_of;
use super::texts;
use crate::action::assign;
use crate::action::kinds::update_password;
use crate::flow::{Flash, FlashError};
use crate::kernel::{CredentialId, Entropy, UserId};
use crate::password::{
    Advice, Context, Origin, Password, PasswordHash, PasswordPolicy, Rule, Salt, advice,
};
use crate::store::{StoreError, Tx};
use crate::user::credential::{self, StoredPassword};
use crate::user::{self, AuthEpoch, User, waiting};

/// What a new password is judged against.
pub(super) struct Old {
    policy: PasswordPolicy,
    user: User,
    realm: String,
    password: Option<StoredPassword>,
    history: Vec<String>,
}

impl Old {
    /// Loads the old password and those before it, as far as the policy looks back.
    pub(super) fn load(
        tx: &mut Tx<'_>,
        config: &RealmConfig,
        user: &User,
    ) -> Result<Self, StoreError> {
        let policy = policy_of(config);
        let looks_back = i64::from(policy.history()).saturating_sub(1).max(0);
        Ok(Self {
            password: credential::password(tx, &user.id)?,
            history: credential::history(tx, &user.id, looks_back)?,
            realm: config.realm.name.clone(),
            user: user.clone(),
            policy,
        })
    }

    /// Whose password it is.
    fn context(&self) -> Context<'_> {
        Context {
            username: &self.user.username,
            email: self.user.email.as_deref(),
            first_name: self.user.first_name.as_deref(),
            last_name: self.user.last_name.as_deref(),
            realm: &self.realm,
        }
    }
}

/// A judged password: its hash, or what to say on the page.
pub(super) struct Judged {
    pub(super) hash: Result<PasswordHash, Flash>,
    /// The credential that was the person's when it was judged.
    pub(super) old_credential: Option<CredentialId>,
}

/// Judges what was typed: present, repeated alike, by the policy, and unlike what was before, also in another case or
/// spacing. What is refused gets advice as well: a hint, of which nothing is stored but its key.
pub(super) async fn judge(
    engine: &Engine,
    form: &Form,
    old: &Arc<Old>,
) -> Result<Judged, StoreError> {
    let judged = |hash| Judged {
        hash,
        old_credential: old.password.as_ref().map(|password| password.id.clone()),
    };
    let refused = |field: &str, key: &str| Ok(judged(Err(Flash::error(field, key))));
    let Ok(typed) = Password::parse(form.text("password-new")) else {
        return match form.text("password-new").is_empty() {
            true => refused("password-new", "password-missing"),
            false => {
                let error = texts::broken_rule(&Rule::MaximumLength(1024));
                Ok(judged(Err(Flash {
                    errors: vec![error],
                    ..Flash::default()
                })))
            }
        };
    };
    if !typed.agrees_with(&Password::attempt(form.text("password-confirm"))) {
        return refused("password-confirm", "passwords-do-not-match");
    }
    let context = old.context();
    if let Err(broken) = old.policy.check(&typed, &context, Origin::Person, false) {
        let errors: Vec<FlashError> = broken.iter().map(texts::broken_rule).collect();
        return Ok(judged(Err(Flash {
            errors,
            hint: hint(old, typed).await,
            ..Flash::default()
        })));
    }
    let busy = |_| StoreError::Busy;
    if let Some(stored) = old
        .password
        .as_ref()
        .and_then(|password| PasswordHash::parse(&password.secret).ok())
    {
        // Upper and lower case or a space more make no new password (ASVS 6.4.1, threat V018).
        for candidate in std::iter::once(typed.clone()).chain(typed.slight_changes()) {
            if engine
                .hasher
                .verify(candidate, Some(&stored))
                .await
                .map_err(busy)?
                .matches
            {
                return Ok(judged(Err(Flash {
                    hint: hint(old, typed).await,
                    ..Flash::error("password-new", "invalid-password-same-as-old")
                })));
            }
        }
    }
    for stored in old
        .history
        .iter()
        .filter_map(|text| PasswordHash::parse(text).ok())
    {
        if engine
            .hasher
            .verify(typed.clone(), Some(&stored))
            .await
            .map_err(busy)?
            .matches
        {
            let error = texts::broken_rule(&Rule::History(old.policy.history()));
            return Ok(judged(Err(Flash {
                errors: vec![error],
                hint: hint(old, typed).await,
                ..Flash::default()
            })));
        }
    }
    let salt = Salt::new(|out: &mut [u8]| engine.entropy.fill(out));
    let hash = engine.hasher.hash(typed, salt).await.map_err(busy)?;
    Ok(judged(Ok(hash)))
}

/// Advice on a refused password, by its key. An estimate takes milliseconds, so it is made beside the async threads;
/// where there is none, the page does without.
async fn hint(old: &Arc<Old>, typed: Password) -> Option<String> {
    let old = Arc::clone(old);
    let advised = tokio::task::spawn_blocking(move || advice(&typed, &old.context())).await;
    let key = advised.ok().flatten().map(Advice::key);
    key.map(str::to_owned)
}

/// Whether a new password is demanded of the person; the caller holds the user's lock.
pub(super) fn is_demanded(tx: &mut Tx<'_>, user: &User) -> Result<bool, StoreError> {
    let waiting = waiting::of_user(tx, &user.id)?;
    Ok(waiting
        .iter()
        .any(|waiting| waiting.action == update_password::NAME))
}

/// Whether the person still has the password that was judged; the caller holds the user's lock.
pub(super) fn is_unchanged(
    tx: &mut Tx<'_>,
    user: &User,
    old_credential: &Option<CredentialId>,
) -> Result<bool, StoreError> {
    let same = credential::password(tx, &user.id)?.map(|password| password.id) == *old_credential;
    let now = user::rows::by_id(tx, &user.id)?;
    let same_epoch = now.is_some_and(|now| now.auth_epoch == user.auth_epoch && now.enabled);
    Ok(same && same_epoch)
}

/// Stores the new password; the action is done by that, and everything older ends. Answers the new epoch.
pub(super) fn store(
    tx: &mut Tx<'_>,
    entropy: &Entropy,
    user: &UserId,
    hash: &PasswordHash,
) -> Result<AuthEpoch, StoreError> {
    let now = tx.now()?;
    let password = StoredPassword {
        id: CredentialId::new(entropy.uuid(now)),
        secret: hash.as_str().to_owned(),
        label: None,
        expires_at: None,
        created_at: now,
        imported_digest: None,
    };
    credential::set_password(tx, user, &password)?;
    waiting::remove(tx, user, update_password::NAME)?;
    assign::end_everything(tx, user, entropy)?;
    let changed = user::rows::by_id(tx, user)?;
    Ok(changed.map_or_else(|| AuthEpoch::new(""), |user| user.auth_epoch))
}
