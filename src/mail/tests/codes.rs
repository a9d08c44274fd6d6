//! The code that proves an address, on both databases.

use std::time::Duration;

use super::verify_code::{Checked, Issued, check, issue};
use super::*;

struct Codes {
    rig: Rig,
    user: User,
}

impl Codes {
    fn new(database: &Database) -> Self {
        let rig = Rig::new(database, json!({}));
        let user = rig.user("bob", "bob@people.example");
        Self { rig, user }
    }

    fn issue(&self) -> Issued {
        let tools = self.rig.mailer.tools();
        self.rig
            .tx(|tx| issue(tx, tools, &self.user, Locale::ENGLISH))
    }

    fn check(&self, typed: &str) -> Checked {
        let keyring = &self.rig.mailer.inner.keyring;
        self.rig.tx(|tx| check(tx, keyring, &self.user.id, typed))
    }

    /// The code of the one mail that waits.
    fn mailed(&self) -> String {
        let rig = &self.rig;
        let claims = rig.tx(|tx| outbox::lease(tx, &Entropy, (&rig.realm.id, 0), (10, 60)));
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].recipient, self.user.email.clone().unwrap());
        match claims[0]
            .content(&rig.mailer.inner.keyring)
            .unwrap()
            .purpose
        {
            Purpose::VerifyEmailCode { code } => code,
            _ => panic!("another mail"),
        }
    }

    fn pass(&self, seconds: u64) {
        self.rig.clock.advance(Duration::from_secs(seconds));
    }

    fn set_email(&self, email: Option<&str>) {
        let mut user = self.user.clone();
        user.email = email.map(str::to_owned);
        let changed = self.rig.tx(|tx| user::rows::update(tx, &user, true));
        assert_eq!(changed, Ok(()));
    }
}

fn proved() -> Checked {
    Checked::Right {
        email: "bob@people.example".into(),
    }
}

#[test]
fn a_code_proves_its_address_once_however_it_is_typed() {
    on_both(|database| {
        let codes = Codes::new(database);
        assert_eq!(
            codes.check("7K3QF-9XW2M"),
            Checked::Over,
            "nothing was mailed"
        );
        assert_eq!(codes.issue(), Issued::Mailed);
        let code = codes.mailed();
        assert_eq!(codes.check(""), Checked::Wrong);
        let typed = code.to_lowercase().replace('-', " ");
        assert_eq!(codes.check(&typed), proved());
        assert_eq!(codes.check(&code), Checked::Over);
    });
}

#[test]
fn five_wrong_tries_end_a_code_and_so_do_ten_minutes() {
    on_both(|database| {
        let codes = Codes::new(database);
        codes.issue();
        let code = codes.mailed();
        for _ in 0..4 {
            assert_eq!(codes.check("00000-00000"), Checked::Wrong);
        }
        assert_eq!(codes.check("00000-00000"), Checked::Over);
        assert_eq!(codes.check(&code), Checked::Over);
        codes.pass(61);
        assert_eq!(codes.issue(), Issued::Mailed);
        let code = codes.mailed();
        codes.pass(599);
        let waiting = || {
            let rig = &codes.rig;
            rig.tx(|tx| verify_code::is_waiting(tx, &codes.user.id))
        };
        assert!(waiting());
        codes.pass(1);
        assert!(!waiting());
        assert_eq!(codes.check(&code), Checked::Over);
    });
}

#[test]
fn a_code_proves_no_other_address_than_the_one_it_was_mailed_to() {
    on_both(|database| {
        let codes = Codes::new(database);
        codes.issue();
        let code = codes.mailed();
        codes.set_email(Some("eve@evil.example"));
        assert_eq!(codes.check(&code), Checked::Over);
        codes.set_email(None);
        assert_eq!(codes.check(&code), Checked::Over);
        codes.pass(61);
        assert_eq!(codes.issue(), Issued::NoAddress);
        codes.set_email(Some("bob@people.example"));
        assert_eq!(codes.check(&code), proved());
    });
}

#[test]
fn mails_come_a_minute_apart_and_five_an_hour_and_the_newest_code_counts() {
    on_both(|database| {
        let codes = Codes::new(database);
        assert_eq!(codes.issue(), Issued::Mailed);
        assert!(matches!(codes.issue(), Issued::TooSoon { .. }));
        let mut code = codes.mailed();
        for _ in 0..4 {
            codes.pass(61);
            assert_eq!(codes.issue(), Issued::Mailed);
            let older = std::mem::replace(&mut code, codes.mailed());
            assert_eq!(codes.check(&older), Checked::Wrong);
        }
        codes.pass(61);
        let Issued::TooSoon { again_at } = codes.issue() else {
            panic!("a sixth mail in an hour");
        };
        assert!((3000..=3600).contains(&again_at.seconds_since(codes.rig.clock.now())));
        assert_eq!(codes.check(&code), proved(), "what was mailed stays good");
        codes.pass(3600);
        assert_eq!(codes.issue(), Issued::Mailed);
    });
}

#[test]
fn a_new_code_calls_back_a_mail_that_still_waits() {
    on_both(|database| {
        let codes = Codes::new(database);
        codes.issue();
        codes.pass(61);
        codes.issue();
        let code = codes.mailed();
        assert_eq!(codes.check(&code), proved());
    });
}

#[test]
fn parallel_guesses_get_no_more_than_five_tries() {
    on_both(|database| {
        let codes = Codes::new(database);
        codes.issue();
        let code = codes.mailed();
        let tries: Vec<Checked> = std::thread::scope(|scope| {
            // Few enough that none waits a second for the row, the longest that a lock is waited for.
            let guesses: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| codes.check("00000-00000")))
                .collect();
            guesses
                .into_iter()
                .map(|guess| guess.join().unwrap())
                .collect()
        });
        let wrong = tries
            .iter()
            .filter(|tried| **tried == Checked::Wrong)
            .count();
        assert_eq!(wrong, 4, "the fifth ends it");
        assert_eq!(codes.check(&code), Checked::Over);
    });
}

#[test]
fn a_right_code_typed_twice_at_once_counts_once() {
    on_both(|database| {
        let codes = Codes::new(database);
        codes.issue();
        let code = codes.mailed();
        let tries: Vec<Checked> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..5).map(|_| scope.spawn(|| codes.check(&code))).collect();
            tries
                .into_iter()
                .map(|tried| tried.join().unwrap())
                .collect()
        });
        assert_eq!(tries.iter().filter(|tried| **tried == proved()).count(), 1);
    });
}
