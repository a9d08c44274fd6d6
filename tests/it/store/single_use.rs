//! What may happen once happens once, however many try at the same moment.

use vestibule::action::gate::{self, Provenance, Subject};
use vestibule::flow::{self, AuthorizationRequest, Flow, ResponseMode};
use vestibule::kernel::{Entropy, Timestamp};
use vestibule::oidc::code;
use vestibule::oidc::issue::refresh;
use vestibule::session::throttle::{self, Limit, Turn};
use vestibule::store::StoreError;

use super::{Database, Furniture, POOL, at_once, on_both, read, write};

/// Tries by so many threads, each that often.
const ROUNDS: usize = 7;

fn winners(attempts: Vec<Vec<bool>>) -> (usize, usize) {
    let attempts: Vec<bool> = attempts.into_iter().flatten().collect();
    (attempts.iter().filter(|won| **won).count(), attempts.len())
}

#[test]
fn a_refresh_token_is_spent_once() {
    on_both(|database| {
        let alice = database.furnish();
        let (realm, client) = (&alice.realm.id, &alice.client.id);
        let (user, session, epoch) = (&alice.user.id, &alice.session.id, &alice.user.auth_epoch);
        database.execute(&format!(
            "INSERT INTO refresh_tokens (digest, realm_id, client_uuid, user_id, session_id, grant_id, \
             auth_epoch, scope, issued_at, expires_at) \
             VALUES ('digest', '{realm}', '{client}', '{user}', '{session}', 'grant', '{epoch}', 'openid', 0, 0)"
        ));
        let spends = at_once(POOL, |_| {
            (0..ROUNDS)
                .map(|_| {
                    write(&database.store, |tx| {
                        refresh::spend(tx, "digest", alice.now)
                    })
                })
                .collect()
        });
        assert_eq!(winners(spends), (1, POOL * ROUNDS));
        assert!(!write(&database.store, |tx| refresh::spend(
            tx, "unknown", alice.now
        )));
    });
}

fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        redirect_uri: "https://app.example/callback".into(),
        scope: "openid".into(),
        state: None,
        nonce: None,
        code_challenge: None,
        response_mode: ResponseMode::Query,
        prompt_login: false,
        prompt_consent: false,
        max_age: None,
        login_hint: None,
        ui_locales: None,
        hinted_user: None,
        kc_action: false,
    }
}

fn issue_code(database: &Database, alice: &Furniture) -> String {
    let subject = Subject {
        realm: alice.realm.id.clone(),
        user: alice.user.id.clone(),
        provenance: Provenance::Session {
            session: alice.session.id.clone(),
            interactive: true,
        },
    };
    write(&database.store, |tx| {
        let cleared = gate::clear(tx, &subject)?.unwrap_or_else(|waiting| panic!("{waiting:?}"));
        let code = code::issue(tx, cleared, &alice.client.id, &request(), (60, &Entropy))?;
        Ok(code.unwrap())
    })
}

#[test]
fn a_code_is_redeemed_once() {
    on_both(|database| {
        let alice = database.furnish();
        let text = issue_code(database, &alice);
        let redemptions = at_once(POOL, |_| {
            (0..ROUNDS)
                .map(|_| {
                    write(&database.store, |tx| {
                        let code = code::find(tx, &alice.realm.id, &text)?.unwrap();
                        code::redeem(tx, &code, alice.now)
                    })
                })
                .collect()
        });
        assert_eq!(winners(redemptions), (1, POOL * ROUNDS));
        let used = read(&database.store, |tx| code::find(tx, &alice.realm.id, &text));
        assert_eq!(used.unwrap().used_at, Some(alice.now));
    });
}

#[test]
fn a_code_redeemed_in_a_transaction_that_fails_is_not_redeemed() {
    on_both(|database| {
        let alice = database.furnish();
        let text = issue_code(database, &alice);
        let redeem = |fails: bool| {
            database.store.tx(|tx| {
                let code = code::find(tx, &alice.realm.id, &text)?.unwrap();
                let first = code::redeem(tx, &code, alice.now)?;
                if fails {
                    return Err(StoreError::Sealed("on purpose".into()));
                }
                Ok(first)
            })
        };
        assert!(redeem(true).is_err());
        assert!(redeem(false).unwrap());
        assert!(!redeem(false).unwrap());
    });
}

#[test]
fn a_flow_goes_one_step_for_one_of_many_tabs() {
    on_both(|database| {
        let alice = database.furnish();
        let flow = Flow {
            id: Entropy.short_id(),
            realm_id: alice.realm.id.clone(),
            client_id: alice.client.id.clone(),
            browser_digest: "browser".into(),
            request: request(),
            step: 0,
            user_id: None,
            proof: None,
            remember_me: false,
            session_id: None,
            link_id: None,
            consented: false,
            flash: None,
            finished_at: None,
            created_at: alice.now,
            expires_at: alice.now.plus_seconds(1800),
        };
        write(&database.store, |tx| flow::rows::insert(tx, &flow));
        let steps = at_once(POOL, |_| {
            (0..ROUNDS)
                .map(|_| {
                    let mut mine = flow.clone();
                    write(&database.store, |tx| flow::rows::advance(tx, &mut mine))
                })
                .collect()
        });
        assert_eq!(winners(steps), (1, POOL * ROUNDS));
        let stored = read(&database.store, |tx| {
            flow::rows::of_browser(tx, &alice.realm.id, &flow.id, "browser")
        });
        assert_eq!(stored.unwrap().step, 1);
    });
}

#[test]
fn a_thousand_guesses_at_once_get_no_more_turns_than_the_limit() {
    const FIVE: Limit = Limit {
        tries: 5,
        window: 900,
        block: 60,
        longest: 900,
    };
    on_both(|database| {
        let now = database.clock.now();
        let take = |at: Timestamp| {
            write(&database.store, move |tx| {
                throttle::take(tx, "user:alice", FIVE, at)
            })
        };
        let turns: Vec<Turn> = at_once(20, |_| (0..10).map(|_| take(now)).collect::<Vec<_>>())
            .into_iter()
            .flatten()
            .collect();
        let shut = Turn::Shut(now.plus_seconds(60));
        assert_eq!(turns.iter().filter(|turn| **turn == Turn::Taken).count(), 5);
        assert_eq!(turns.iter().filter(|turn| **turn == shut).count(), 195);
        // The door opens for one more try and shuts for longer.
        let later = now.plus_seconds(60);
        assert_eq!(take(later), Turn::Taken);
        assert_eq!(take(later), Turn::Shut(later.plus_seconds(120)));
        // A right password at the open door forgets it all.
        write(&database.store, |tx| throttle::reset(tx, "user:alice"));
        assert_eq!(take(later), Turn::Taken);
    });
}
