//! The outbox on both databases: leases, fencing, crashes, two nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use super::outbox::{Claim, Outcome};
use super::server::{Script, Server as Fake};
use super::*;
use crate::store::dialect;

fn lease(rig: &Rig, limit: usize) -> Vec<Claim> {
    rig.tx(|tx| outbox::lease(tx, &Entropy, (&rig.realm.id, 0), (limit, 60)))
}

fn recover(rig: &Rig) -> outbox::Recovered {
    rig.tx(|tx| {
        let now = tx.now()?;
        outbox::recover(tx, now)
    })
}

fn settle(rig: &Rig, claim: &Claim, outcome: &Outcome) -> Option<State> {
    rig.tx(|tx| outbox::settle(tx, &Entropy, claim, outcome))
}

#[test]
fn a_lease_that_ended_before_sending_goes_back_and_its_holder_may_not_send() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        let id = rig.send_to("bob@people.example");
        let slept = lease(&rig, 4).remove(0);
        assert!(lease(&rig, 4).is_empty(), "one mail, two leases");
        rig.clock.advance(Duration::from_secs(61));
        assert!(
            !rig.tx(|tx| outbox::begin_sending(tx, &slept, 60)),
            "its time is over"
        );
        let recovered = recover(&rig);
        assert_eq!((recovered.requeued, recovered.in_doubt), (1, 0));
        let woke = lease(&rig, 4).remove(0);
        assert!(!rig.tx(|tx| outbox::begin_sending(tx, &slept, 60)));
        assert_eq!(settle(&rig, &slept, &Outcome::Sent), None);
        assert!(rig.tx(|tx| outbox::begin_sending(tx, &woke, 60)));
        assert!(
            !rig.tx(|tx| outbox::begin_sending(tx, &woke, 60)),
            "sent twice"
        );
        assert_eq!(settle(&rig, &woke, &Outcome::Sent), Some(State::Sent));
        assert_eq!(settle(&rig, &woke, &Outcome::Bounced("no".into())), None);
        assert_eq!(rig.entry(&id).state, State::Sent);
        assert_eq!(rig.entry(&id).attempts, 1);
    });
}

#[test]
fn a_node_that_died_while_sending_leaves_the_mail_in_doubt() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        let id = rig.send_to("bob@people.example");
        let died = lease(&rig, 4).remove(0);
        assert!(rig.tx(|tx| outbox::begin_sending(tx, &died, 60)));
        assert_eq!(recover(&rig).in_doubt, 0, "its time is not over");
        rig.clock.advance(Duration::from_secs(61));
        let recovered = recover(&rig);
        assert_eq!((recovered.requeued, recovered.in_doubt), (0, 1));
        assert!(lease(&rig, 4).is_empty());
        assert_eq!(rig.entry(&id).state, State::InDoubt);
        // It only slept, and tells what happened.
        assert_eq!(settle(&rig, &died, &Outcome::Sent), Some(State::Sent));
        // Once a person has decided, it has nothing to say any more.
        let id = rig.send_to("bob@people.example");
        let died = lease(&rig, 4).remove(0);
        assert!(rig.tx(|tx| outbox::begin_sending(tx, &died, 60)));
        rig.clock.advance(Duration::from_secs(61));
        recover(&rig);
        assert!(rig.tx(|tx| outbox::resend_in_doubt(tx, &rig.realm.id, &id)));
        assert_eq!(settle(&rig, &died, &Outcome::Sent), None);
        assert_eq!(rig.entry(&id).state, State::Queued);
    });
}

#[test]
fn single_mails_pass_before_bulk_and_only_what_is_due_is_leased() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        let mut bulk = rig.message("bulk@people.example");
        bulk.bulk = true;
        rig.queue(&bulk);
        rig.queue(&bulk);
        rig.send_to("single@people.example");
        let order: Vec<String> = (0..3).map(|_| lease(&rig, 1).remove(0).recipient).collect();
        assert_eq!(
            order,
            [
                "single@people.example",
                "bulk@people.example",
                "bulk@people.example"
            ]
        );
        rig.send_to("later@people.example");
        let claim = lease(&rig, 1).remove(0);
        let later = Outcome::TryLater("busy".into());
        assert_eq!(settle(&rig, &claim, &later), Some(State::Queued));
        assert!(lease(&rig, 1).is_empty());
        let due = |rig: &Rig| {
            rig.tx(|tx| {
                let now = tx.now()?;
                outbox::due_realms(tx, now)
            })
        };
        assert!(due(&rig).is_empty());
        rig.clock.advance(Duration::from_secs(73));
        assert_eq!(due(&rig), std::slice::from_ref(&rig.realm.id));
        assert_eq!(lease(&rig, 1).len(), 1);
    });
}

#[test]
fn content_is_sealed_and_gone_once_settled() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        let mut message = rig.message("bob@people.example");
        message.content.purpose = Purpose::VerifyEmailCode {
            code: "7K3QF-9XW2M".into(),
        };
        let id = rig.queue(&message);
        assert!(!sealed(&rig, &id).windows(5).any(|part| part == b"7K3QF"));
        let claim = lease(&rig, 1).remove(0);
        assert!(claim.content(&rig.mailer.inner.keyring).unwrap() == message.content);
        assert_eq!(
            settle(&rig, &claim, &Outcome::Released),
            Some(State::Queued)
        );
        assert_eq!(rig.entry(&id).attempts, 0);
        let claim = lease(&rig, 1).remove(0);
        settle(&rig, &claim, &Outcome::Sent);
        assert!(sealed(&rig, &id).is_empty());
        // One row's content opens in no other row.
        let (one, other) = (rig.queue(&message), rig.send_to("eve@people.example"));
        let stolen = sealed(&rig, &one);
        set_sealed(&rig, &other, &stolen);
        let claims = lease(&rig, 2);
        let moved = claims.iter().find(|claim| claim.id == other).unwrap();
        assert!(moved.content(&rig.mailer.inner.keyring).is_err());
    });
}

fn sealed(rig: &Rig, id: &OutboxId) -> Vec<u8> {
    use crate::store::{db, schema::outbox};
    use diesel::prelude::*;
    rig.tx(|tx| {
        db!(tx, |c| outbox::table
            .find(id)
            .select(outbox::content_sealed)
            .first(c))
    })
}

fn set_sealed(rig: &Rig, id: &OutboxId, bytes: &[u8]) {
    use crate::store::{db, schema::outbox};
    use diesel::prelude::*;
    rig.tx(|tx| {
        db!(tx, |c| diesel::update(outbox::table.find(id))
            .set(outbox::content_sealed.eq(bytes))
            .execute(c))
    });
}

#[test]
fn a_pause_has_one_beginning_and_one_probe_at_a_time() {
    on_both(|database| {
        use pause::{Door, Trouble};
        let rig = Rig::new(database, json!({}));
        let door = || rig.tx(|tx| pause::door(tx, &rig.realm.id, 60));
        assert_eq!(door(), Door::Open);
        let begin =
            |why: &str| rig.tx(|tx| pause::begin(tx, &rig.realm.id, (Trouble::Tls, why), 60));
        assert!(begin("expired"));
        rig.clock.advance(Duration::from_secs(5));
        assert!(!begin("unknown authority"));
        assert_eq!(door(), Door::Shut);
        rig.clock.advance(Duration::from_secs(61));
        assert_eq!((door(), door()), (Door::Probe, Door::Shut));
        let all = rig.store.read(pause::all).unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].reason, "unknown authority");
        assert!(rig.tx(|tx| pause::end(tx, &rig.realm.id)));
        assert!(!rig.tx(|tx| pause::end(tx, &rig.realm.id)));
        assert_eq!(door(), Door::Open);
    });
}

#[test]
fn two_nodes_send_every_mail_once() {
    on_both(|database| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(Fake::start(Script::default()));
        let rig = Rig::new(database, smtp(server.port));
        let ids: Vec<OutboxId> = (0..80)
            .map(|n| rig.send_to(&format!("person{n}@people.example")))
            .collect();
        let nodes = [rig.mailer.clone(), rig.second_node()];
        let running = runtime.block_on(async { nodes.map(|node| node.spawn()) });
        let begun = std::time::Instant::now();
        while ids.iter().any(|id| rig.entry(id).state != State::Sent) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "not all were sent"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        for node in running {
            runtime.block_on(node.stop());
        }
        let mails = server.mails();
        let people: BTreeSet<&String> = mails.iter().flat_map(|mail| &mail.to).collect();
        assert_eq!((mails.len(), people.len()), (80, 80));
    });
}

/// On SQLite there is one writer at a time, so nobody sleeps in a transaction beside another.
#[test]
fn a_pace_in_the_hands_of_a_frozen_node_holds_up_no_other_mail() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        if rig
            .store
            .read(dialect::synchronous_standbys)
            .unwrap()
            .is_none()
        {
            return;
        }
        let paced = rig.send_to("bob@people.example");
        let other = rig.send_to("alice@people.example");
        rig.tx(|tx| {
            outbox::batch::join(tx, &paced, "mailing", None)?;
            let pace = pace::Pace {
                per_domain_minute: Some(600),
                ..pace::Pace::default()
            };
            pace::set(tx, "mailing", pace)
        });
        let (frozen, is_frozen) = std::sync::mpsc::channel();
        let (thaw, thawed) = std::sync::mpsc::channel::<()>();
        let store = rig.store.clone();
        let sleeper = std::thread::spawn(move || {
            store.tx(|tx| {
                let names = ["mailing/domain".to_owned()];
                let locked = dialect::lock_paces(tx, &names)?;
                frozen.send(locked.0.len()).unwrap();
                let _ = thawed.recv_timeout(Duration::from_secs(4));
                Ok::<_, StoreError>(())
            })
        });
        assert_eq!(is_frozen.recv(), Ok(1));
        let taken: Vec<OutboxId> = lease(&rig, 4).into_iter().map(|mail| mail.id).collect();
        assert_eq!(taken, [other], "only what needs none of those buckets");
        thaw.send(()).unwrap();
        sleeper.join().unwrap().unwrap();
        let taken: Vec<OutboxId> = lease(&rig, 4).into_iter().map(|mail| mail.id).collect();
        assert_eq!(taken, [paced]);
    });
}

#[test]
fn a_deleted_user_takes_waiting_mail_along() {
    on_both(|database| {
        let rig = Rig::new(database, json!({}));
        let user = rig.user("bob", "bob@people.example");
        let mut message = rig.message("bob@people.example");
        message.user_id = Some(user.id.clone());
        let id = rig.queue(&message);
        let claim = lease(&rig, 1).remove(0);
        rig.tx(|tx| user::rows::delete(tx, &user.id));
        assert!(!rig.tx(|tx| outbox::begin_sending(tx, &claim, 60)));
        let gone = rig.store.read(|tx| outbox::by_id(tx, &rig.realm.id, &id));
        assert!(gone.unwrap().is_none());
    });
}
