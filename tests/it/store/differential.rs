//! One random list of operations, applied to SQLite and to PostgreSQL: everything that can be seen is equal (PB-11).

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use vestibule::kernel::{RealmId, SessionId, Timestamp, UserId};
use vestibule::realm;
use vestibule::session::throttle::{self, Limit};
use vestibule::session::{self, Session, SessionKind};
use vestibule::store::{StoreError, Tx, meta};
use vestibule::user::waiting::{self, ResetProof, WaitingAction};
use vestibule::user::{AuthEpoch, User, rows};

use super::{Database, new_realm, new_user, read, write};

/// Names that meet each other: by case, by Unicode form, as name and as address.
const NAMES: [&str; 7] = [
    "alice",
    "ALICE",
    "jos\u{e9}",
    "jose\u{301}",
    "stra\u{df}e",
    "bob@people.example",
    "it's \"quoted\"; --",
];
const ADDRESSES: [Option<&str>; 5] = [
    None,
    Some("alice@people.example"),
    Some("Alice@People.example"),
    Some("bob@people.example"),
    Some("jos\u{e9}@people.example"),
];
const ACTIONS: [&str; 3] = ["UPDATE_PASSWORD", "VERIFY_EMAIL", "SOMETHING_NEWER"];

const LIMIT: Limit = Limit {
    tries: 3,
    window: 900,
    block: 60,
    longest: 900,
};

/// Indexes are into the tables above; people and sessions have four ids each.
#[derive(Debug, Clone)]
enum Op {
    Insert {
        who: usize,
        name: usize,
        address: usize,
        unique: bool,
    },
    Update {
        who: usize,
        name: usize,
        address: usize,
        enabled: bool,
    },
    Delete {
        who: usize,
    },
    BumpEpoch {
        who: usize,
        epoch: u8,
    },
    NotBefore {
        who: usize,
        at: i64,
    },
    SetAction {
        who: usize,
        action: usize,
        due: i64,
        mailbox: bool,
    },
    RemoveAction {
        who: usize,
        action: usize,
    },
    SignIn {
        who: usize,
        session: usize,
        at: i64,
    },
    Seen {
        session: usize,
        at: i64,
    },
    EndSession {
        session: usize,
    },
    EndAll {
        who: usize,
    },
    Try {
        throttle: usize,
        at: i64,
    },
    Forgive {
        throttle: usize,
    },
    /// The operations inside happen in one transaction that fails at its end.
    Undone(Vec<Op>),
}

fn operation() -> impl Strategy<Value = Op> {
    let plain = prop_oneof![
        4 => (0..4_usize, 0..NAMES.len(), 0..ADDRESSES.len(), any::<bool>())
            .prop_map(|(who, name, address, unique)| Op::Insert { who, name, address, unique }),
        3 => (0..4_usize, 0..NAMES.len(), 0..ADDRESSES.len(), any::<bool>())
            .prop_map(|(who, name, address, enabled)| Op::Update { who, name, address, enabled }),
        1 => (0..4_usize).prop_map(|who| Op::Delete { who }),
        1 => (0..4_usize, any::<u8>()).prop_map(|(who, epoch)| Op::BumpEpoch { who, epoch }),
        1 => (0..4_usize, 0..5000_i64).prop_map(|(who, at)| Op::NotBefore { who, at }),
        2 => (0..4_usize, 0..ACTIONS.len(), 0..5000_i64, any::<bool>())
            .prop_map(|(who, action, due, mailbox)| Op::SetAction { who, action, due, mailbox }),
        1 => (0..4_usize, 0..ACTIONS.len()).prop_map(|(who, action)| Op::RemoveAction { who, action }),
        2 => (0..4_usize, 0..4_usize, 0..5000_i64)
            .prop_map(|(who, session, at)| Op::SignIn { who, session, at }),
        1 => (0..4_usize, 0..5000_i64).prop_map(|(session, at)| Op::Seen { session, at }),
        1 => (0..4_usize).prop_map(|session| Op::EndSession { session }),
        1 => (0..4_usize).prop_map(|who| Op::EndAll { who }),
        3 => (0..2_usize, 0..5000_i64).prop_map(|(throttle, at)| Op::Try { throttle, at }),
        1 => (0..2_usize).prop_map(|throttle| Op::Forgive { throttle }),
    ];
    plain.prop_recursive(1, 4, 4, |inner| {
        proptest::collection::vec(inner, 1..4).prop_map(Op::Undone)
    })
}

fn user_id(who: usize) -> UserId {
    UserId::new(format!("user-{who}"))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn person(realm: &RealmId, who: usize, name: usize, address: usize) -> User {
    User {
        id: user_id(who),
        auth_epoch: AuthEpoch::new("first"),
        ..new_user(realm, NAMES[name], ADDRESSES[address], at(1))
    }
}

/// Applies an operation; answers what it said. The caller keeps to what every caller of these functions keeps to:
/// ids are fresh, and the person exists.
fn apply(tx: &mut Tx<'_>, realm: &RealmId, op: &Op) -> Result<String, StoreError> {
    let exists = |tx: &mut Tx<'_>, who: usize| rows::in_realm(tx, realm, &user_id(who));
    Ok(match *op {
        Op::Insert {
            who,
            name,
            address,
            unique,
        } => match exists(tx, who)? {
            Some(_) => "there already".into(),
            None => format!(
                "{:?}",
                rows::insert(tx, &person(realm, who, name, address), unique)?
            ),
        },
        Op::Update {
            who,
            name,
            address,
            enabled,
        } => match exists(tx, who)? {
            None => "nobody".into(),
            Some(before) => {
                let after = User {
                    enabled,
                    auth_epoch: before.auth_epoch,
                    ..person(realm, who, name, address)
                };
                format!("{:?}", rows::update(tx, &after, true)?)
            }
        },
        Op::Delete { who } => format!("{:?}", rows::delete(tx, &user_id(who))?),
        Op::BumpEpoch { who, epoch } => {
            let epoch = AuthEpoch::new(epoch.to_string());
            format!("{:?}", rows::bump_epoch(tx, &user_id(who), &epoch)?)
        }
        Op::NotBefore { who, at: seconds } => {
            format!(
                "{:?}",
                vestibule::user::not_before::raise(tx, &[&user_id(who)], at(seconds))?
            )
        }
        Op::SetAction {
            who,
            action,
            due,
            mailbox,
        } => match exists(tx, who)? {
            None => "nobody".into(),
            Some(user) => {
                let waiting = WaitingAction {
                    action: ACTIONS[action].into(),
                    source: "admin".into(),
                    reason: mailbox.then(|| "leaked".into()),
                    since: at(due),
                    due_at: at(due),
                    reset_proof: if mailbox {
                        ResetProof::Mailbox
                    } else {
                        ResetProof::Password
                    },
                    set_by_job: None,
                };
                format!("{:?}", waiting::put(tx, &user.id, &waiting)?)
            }
        },
        Op::RemoveAction { who, action } => {
            format!("{:?}", waiting::remove(tx, &user_id(who), ACTIONS[action])?)
        }
        Op::SignIn {
            who,
            session,
            at: seconds,
        } => sign_in(tx, realm, who, session, at(seconds))?,
        Op::Seen {
            session,
            at: seconds,
        } => match session::rows::by_id(tx, &session_id(session))? {
            None => "no session".into(),
            Some(session) => format!("{:?}", session::rows::seen(tx, &session, at(seconds))?),
        },
        Op::EndSession { session } => {
            format!("{:?}", session::rows::delete(tx, &session_id(session))?)
        }
        Op::EndAll { who } => format!("{:?}", session::rows::delete_of_user(tx, &user_id(who))?),
        Op::Try {
            throttle,
            at: seconds,
        } => {
            format!(
                "{:?}",
                throttle::take(tx, &throttle_name(throttle), LIMIT, at(seconds))?
            )
        }
        Op::Forgive { throttle } => {
            format!("{:?}", throttle::forgive(tx, &throttle_name(throttle))?)
        }
        Op::Undone(ref inner) => inner
            .iter()
            .map(|op| apply(tx, realm, op))
            .collect::<Result<Vec<_>, _>>()?
            .join("; "),
    })
}

fn session_id(session: usize) -> SessionId {
    SessionId::new(format!("session-{session}"))
}

fn throttle_name(throttle: usize) -> String {
    format!("throttle-{throttle}")
}

fn sign_in(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    who: usize,
    session: usize,
    now: Timestamp,
) -> Result<String, StoreError> {
    let id = session_id(session);
    let Some(user) = rows::in_realm(tx, realm, &user_id(who))? else {
        return Ok("nobody".into());
    };
    if session::rows::by_id(tx, &id)?.is_some() {
        return Ok("the session is there already".into());
    }
    let session = Session {
        id,
        realm_id: realm.clone(),
        user_id: user.id.clone(),
        auth_epoch: user.auth_epoch,
        kind: SessionKind::Online,
        amr: vec!["pwd".into()],
        remember_me: who.is_multiple_of(2),
        auth_time: now,
        started_at: now,
        last_seen_at: now,
        ip_address: "192.0.2.7".into(),
    };
    let digest = format!("cookie-{}", session.id);
    session::rows::insert(tx, &session, Some(&digest))?;
    rows::note_sign_in(tx, &user.id, now)?;
    Ok("signed in".into())
}

/// Everything that the functions of the store show, as text.
fn everything(tx: &mut Tx<'_>, realm: &RealmId) -> Result<String, StoreError> {
    let mut seen = Vec::new();
    for who in 0..4 {
        let id = user_id(who);
        seen.push(format!("{:?}", rows::by_id(tx, &id)?));
        seen.push(format!("{:?}", waiting::of_user(tx, &id)?));
        let mut sessions = session::rows::of_user(tx, &id)?;
        // Sessions that began in the same second may come in any order.
        sessions.sort_by(|one, two| one.id.cmp(&two.id));
        seen.push(format!("{sessions:?}"));
        seen.push(format!("{:?}", rows::last_sign_in(tx, &id)?));
    }
    for login in NAMES.into_iter().chain(ADDRESSES.into_iter().flatten()) {
        seen.push(format!(
            "{:?}",
            rows::by_login(tx, realm, login)?.map(|user| user.id)
        ));
    }
    for session in 0..4 {
        let digest = format!("cookie-{}", session_id(session));
        seen.push(format!(
            "{:?}",
            session::rows::by_cookie(tx, realm, &digest)?
        ));
    }
    for throttle in 0..2 {
        seen.push(format!(
            "{:?}",
            throttle::shut_until(tx, &throttle_name(throttle), at(1))?
        ));
    }
    Ok(seen.join("\n"))
}

/// What the operations say and what is there afterwards.
fn run(database: &Database, realm: &RealmId, operations: &[Op]) -> Vec<String> {
    let mut said = Vec::new();
    for op in operations {
        let mut answer = String::new();
        let outcome = database.store.tx(|tx| {
            answer = apply(tx, realm, op)?;
            match op {
                Op::Undone(_) => Err(StoreError::Sealed("undone".into())),
                _ => Ok(()),
            }
        });
        match outcome {
            Ok(()) | Err(StoreError::Sealed(_)) => said.push(answer),
            Err(error) => panic!("{op:?} on {}: {error}", database.store.kind()),
        }
    }
    said.push(read(&database.store, |tx| everything(tx, realm)));
    said
}

#[test]
fn both_databases_answer_the_same() {
    let Some(postgres) = Database::postgres() else {
        return;
    };
    let sqlite = Database::sqlite();
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    // A realm of its own keeps each case apart from the others'; ids and throttles are emptied by hand.
    let lists = proptest::collection::vec(operation(), 1..40);
    let outcome = runner.run(&lists, |operations| {
        case.set(case.get() + 1);
        let realm = new_realm(&format!("realm-{}", case.get()), at(1));
        let mut answers = Vec::new();
        for database in [&sqlite, &postgres] {
            write(&database.store, |tx| realm::rows::insert(tx, &realm, at(1)));
            answers.push(run(database, &realm.id, &operations));
            write(&database.store, |tx| {
                realm::rows::delete(tx, &realm.id)?;
                (0..2).try_for_each(|throttle| throttle::reset(tx, &throttle_name(throttle)))
            });
        }
        prop_assert_eq!(&answers[0], &answers[1]);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Text that a database could take for something else comes back as it was.
#[test]
fn text_comes_back_byte_by_byte() {
    super::on_both(|database| {
        for text in [
            "",
            " ",
            "''",
            "\\",
            "%_",
            "\u{1f512}",
            "a\nb\r\n",
            "\u{feff}x",
            "NULL",
        ] {
            write(&database.store, |tx| meta::put(tx, "text", text));
            let stored = read(&database.store, |tx| meta::get(tx, "text"));
            assert_eq!(stored.as_deref(), Some(text));
        }
    });
}
