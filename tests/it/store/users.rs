//! People in the store: whose name is whose, and actions that wait on them.

use vestibule::kernel::{RealmId, Timestamp, UserId};
use vestibule::realm;
use vestibule::store::{StoreError, Tx};
use vestibule::user::rows::{self, Conflict};
use vestibule::user::waiting::{self, ResetProof, WaitingAction};
use vestibule::user::{AuthEpoch, User};

use super::{
    Database, POOL, Place, at_once, new_realm, new_user, on_both, postgres_rows, read, write,
};

struct Town<'a> {
    database: &'a Database,
    realm: RealmId,
    now: Timestamp,
}

impl<'a> Town<'a> {
    fn new(database: &'a Database) -> Self {
        let now = database.clock.now();
        let realm = new_realm("town", now);
        write(&database.store, |tx| realm::rows::insert(tx, &realm, now));
        Self {
            database,
            realm: realm.id,
            now,
        }
    }

    fn person(&self, username: &str, email: Option<&str>) -> User {
        new_user(&self.realm, username, email, self.now)
    }

    fn insert(&self, user: &User, unique_email: bool) -> Result<(), Conflict> {
        write(&self.database.store, |tx| {
            rows::insert(tx, user, unique_email)
        })
    }

    fn update(&self, user: &User) -> Result<(), Conflict> {
        write(&self.database.store, |tx| rows::update(tx, user, true))
    }

    fn who(&self, login: &str) -> Option<UserId> {
        read(&self.database.store, |tx| {
            rows::by_login(tx, &self.realm, login)
        })
        .map(|user| user.id)
    }
}

#[test]
fn a_name_is_taken_in_every_spelling() {
    on_both(|database| {
        let town = Town::new(database);
        let jose = town.person("jose\u{301}", Some("jose@people.example"));
        assert_eq!(town.insert(&jose, true), Ok(()));
        for spelling in [
            "jos\u{e9}",
            "JOS\u{c9}",
            "\u{ff4a}\u{ff4f}\u{ff53}\u{e9}",
            " jos\u{e9} ",
        ] {
            let other = town.person(spelling, None);
            assert_eq!(
                town.insert(&other, true),
                Err(Conflict::Username),
                "{spelling}"
            );
            assert_eq!(town.who(spelling), Some(jose.id.clone()), "{spelling}");
        }
        let other = town.person("other", Some("JOSE@People.Example"));
        assert_eq!(town.insert(&other, true), Err(Conflict::Email));
        assert_eq!(town.who("other"), None);
    });
}

#[test]
fn a_user_name_cannot_be_anothers_address_nor_an_address_anothers_name() {
    on_both(|database| {
        let town = Town::new(database);
        let alice = town.person("alice", Some("alice@people.example"));
        assert_eq!(town.insert(&alice, true), Ok(()));
        let thief = town.person("Alice@people.example", None);
        assert_eq!(town.insert(&thief, true), Err(Conflict::Username));
        let mailer = town.person("bob@people.example", None);
        assert_eq!(town.insert(&mailer, true), Ok(()));
        let second = town.person("carol", Some("bob@people.example"));
        assert_eq!(town.insert(&second, true), Err(Conflict::Email));
        // One's own address as one's user name is fine.
        let dora = town.person("dora@people.example", Some("dora@people.example"));
        assert_eq!(town.insert(&dora, true), Ok(()));
        assert_eq!(town.who("alice@people.example"), Some(alice.id));
        assert_eq!(town.who("bob@people.example"), Some(mailer.id));
        assert_eq!(town.who("dora@people.example"), Some(dora.id));
    });
}

#[test]
fn names_are_each_realms_own_and_shared_addresses_sign_nobody_in() {
    on_both(|database| {
        let town = Town::new(database);
        let other_realm = new_realm("village", town.now);
        write(&database.store, |tx| {
            realm::rows::insert(tx, &other_realm, town.now)
        });
        assert_eq!(town.insert(&town.person("alice", None), true), Ok(()));
        let namesake = new_user(&other_realm.id, "alice", None, town.now);
        assert_eq!(town.insert(&namesake, true), Ok(()));
        // Where a realm lets people share addresses, nobody signs in by one.
        for name in ["one", "two"] {
            let sharer = town.person(name, Some("family@people.example"));
            assert_eq!(town.insert(&sharer, false), Ok(()), "{name}");
        }
        assert_eq!(town.who("family@people.example"), None);
    });
}

#[test]
fn of_many_who_want_one_name_at_once_one_gets_it() {
    on_both(|database| {
        let town = Town::new(database);
        for round in 0..10 {
            // Some meet at the user name, some at the address, some at another's address as their name.
            let outcomes = at_once(POOL, |number| {
                let shared = format!("shared{round}@people.example");
                let own = format!("own{round}.{number}");
                let person = match number % 3 {
                    0 => town.person(&shared, None),
                    1 => town.person(&own, Some(&shared)),
                    _ => town.person(&shared, Some(&format!("{own}@people.example"))),
                };
                let outcome = database.store.tx(|tx| rows::insert(tx, &person, true));
                (person, outcome)
            });
            let mut winners = Vec::new();
            for (person, outcome) in outcomes {
                match outcome {
                    Ok(Ok(())) => winners.push(person.id),
                    Ok(Err(Conflict::Username | Conflict::Email)) => {
                        // The loser left nothing behind.
                        assert!(read(&database.store, |tx| rows::by_id(tx, &person.id)).is_none());
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(winners.len(), 1);
            let owner = town.who(&format!("shared{round}@people.example"));
            assert_eq!(owner.as_ref(), winners.first());
        }
    });
}

#[test]
fn a_change_takes_its_names_or_leaves_everything_as_it_was() {
    on_both(|database| {
        let town = Town::new(database);
        let mut people: Vec<User> = (0..POOL)
            .map(|number| {
                town.person(
                    &format!("p{number}"),
                    Some(&format!("p{number}@people.example")),
                )
            })
            .collect();
        for person in &people {
            assert_eq!(town.insert(person, true), Ok(()));
        }
        // Everybody changes to one address at once.
        let outcomes = at_once(POOL, |number| {
            let mut person = people[number].clone();
            person.email = Some("wanted@people.example".into());
            database.store.tx(|tx| rows::update(tx, &person, true))
        });
        let mut winner = None;
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let old = format!("p{number}@people.example");
            match outcome.unwrap() {
                Ok(()) => {
                    assert_eq!(winner.replace(number), None, "two got the address");
                    assert_eq!(town.who(&old), None);
                }
                Err(conflict) => {
                    assert_eq!(conflict, Conflict::Email);
                    assert_eq!(town.who(&old), Some(people[number].id.clone()));
                }
            }
            assert_eq!(
                town.who(&format!("p{number}")),
                Some(people[number].id.clone())
            );
        }
        let winner = people.remove(winner.unwrap());
        assert_eq!(town.who("wanted@people.example"), Some(winner.id.clone()));
        // The address that was let go is free for another.
        let heir = town.person("heir", winner.email.as_deref());
        assert_eq!(town.insert(&heir, true), Ok(()));
        // A rename frees the old name, and a change to one's own names is none.
        let mut renamed = people.remove(0);
        let old = std::mem::replace(&mut renamed.username, "renamed".into());
        assert_eq!(town.update(&renamed), Ok(()));
        assert_eq!(town.update(&renamed), Ok(()));
        assert_eq!(
            (town.who(&old), town.who("renamed")),
            (None, Some(renamed.id))
        );
    });
}

#[test]
fn two_who_swap_their_addresses_at_once_both_hear_conflict() {
    on_both(|database| {
        let town = Town::new(database);
        let one = town.person("one", Some("one@people.example"));
        let two = town.person("two", Some("two@people.example"));
        assert_eq!(
            (town.insert(&one, true), town.insert(&two, true)),
            (Ok(()), Ok(()))
        );
        for _ in 0..20 {
            let outcomes = at_once(2, |number| {
                let (mut mine, theirs) = if number == 0 {
                    (one.clone(), &two)
                } else {
                    (two.clone(), &one)
                };
                mine.email = theirs.email.clone();
                database.store.tx(|tx| rows::update(tx, &mine, true))
            });
            for outcome in outcomes {
                assert_eq!(outcome.unwrap(), Err(Conflict::Email));
            }
        }
    });
}

#[test]
fn deleting_a_person_frees_the_names_and_takes_all_that_was_theirs() {
    on_both(|database| {
        let town = Town::new(database);
        let alice = town.person("alice", Some("alice@people.example"));
        assert_eq!(town.insert(&alice, true), Ok(()));
        write(&database.store, |tx| {
            waiting::put(tx, &alice.id, &action("UPDATE_PASSWORD", town.now))
        });
        write(&database.store, |tx| rows::delete(tx, &alice.id));
        assert_eq!(town.who("alice"), None);
        assert_eq!(
            read(&database.store, |tx| waiting::of_user(tx, &alice.id)),
            []
        );
        assert_eq!(
            town.insert(&town.person("alice", Some("alice@people.example")), true),
            Ok(())
        );
    });
}

fn action(name: &str, at: Timestamp) -> WaitingAction {
    WaitingAction {
        action: name.into(),
        source: "admin".into(),
        reason: None,
        since: at,
        due_at: at,
        reset_proof: ResetProof::Password,
        set_by_job: None,
    }
}

/// The column that the mint's lock sees change.
fn gate_version(database: &Database, user: &UserId) -> i64 {
    let sql = format!("SELECT gate_version FROM users WHERE id = '{user}'");
    match &database.place {
        Place::Postgres { name } => {
            let rows = postgres_rows(name, &sql);
            rows[0][0].as_deref().unwrap().parse().unwrap()
        }
        Place::Sqlite(_) => super::sqlite::number(database, &sql),
    }
}

type Change<'a> = &'a dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>;

/// Each write of a fact that the gate reads must meet the mint's lock, so it must write the user's row.
#[test]
fn every_change_of_a_gate_fact_writes_the_users_row() {
    on_both(|database| {
        let town = Town::new(database);
        let alice = town.person("alice", None);
        assert_eq!(town.insert(&alice, true), Ok(()));
        let store = &database.store;
        let later = town.now.plus_seconds(60);
        let (id, flag) = (&alice.id, &action("UPDATE_PASSWORD", later));
        let epoch = &AuthEpoch::new("second");
        let disabled = &User {
            enabled: false,
            ..alice.clone()
        };
        let changes: [(&str, Change<'_>); 8] = [
            ("put", &|tx| waiting::put(tx, id, flag)),
            ("put again", &|tx| waiting::put(tx, id, flag)),
            ("remove", &|tx| {
                waiting::remove(tx, id, &flag.action).map(|was| assert!(was))
            }),
            ("remove none", &|tx| {
                waiting::remove(tx, id, &flag.action).map(|was| assert!(!was))
            }),
            ("epoch", &|tx| rows::bump_epoch(tx, id, epoch)),
            ("not before", &|tx| {
                vestibule::user::not_before::raise(tx, &[id], later)
            }),
            ("lock", &|tx| rows::set_locked_until(tx, id, Some(later))),
            ("update", &|tx| {
                rows::update(tx, disabled, true).map(|done| assert_eq!(done, Ok(())))
            }),
        ];
        for (name, change) in changes {
            let before = gate_version(database, id);
            write(store, |tx| change(tx));
            assert_eq!(gate_version(database, id), before + 1, "{name}");
        }
        // A sign-in is noted beside the row, or every mint would wait for every other.
        let before = gate_version(database, &alice.id);
        write(store, |tx| rows::note_sign_in(tx, &alice.id, later));
        assert_eq!(gate_version(database, &alice.id), before);
        assert_eq!(
            read(store, |tx| rows::last_sign_in(tx, &alice.id)),
            Some(later)
        );
    });
}

#[test]
fn an_action_that_is_set_again_keeps_since_and_takes_the_rest() {
    on_both(|database| {
        let town = Town::new(database);
        let alice = town.person("alice", None);
        assert_eq!(town.insert(&alice, true), Ok(()));
        let first = action("UPDATE_PASSWORD", town.now);
        let again = WaitingAction {
            reason: Some("leaked".into()),
            reset_proof: ResetProof::Mailbox,
            ..action("UPDATE_PASSWORD", town.now.plus_seconds(60))
        };
        for waiting in [&first, &again] {
            write(&database.store, |tx| waiting::put(tx, &alice.id, waiting));
        }
        let stored = read(&database.store, |tx| waiting::of_user(tx, &alice.id));
        assert_eq!(
            stored,
            [WaitingAction {
                since: town.now,
                ..again
            }]
        );
        // An action of a user who is not there is an error of the database, not a row that nobody reads.
        let nobody = UserId::new("nobody");
        let orphan: Result<(), StoreError> =
            database.store.tx(|tx| waiting::put(tx, &nobody, &first));
        assert!(matches!(orphan, Err(StoreError::Query(_))), "{orphan:?}");
    });
}
