//! The database fails in the middle: of the gate's look, of the mint, of the commit. Nothing opens, and nothing is
//! half done.
//!
//! The faults are the database's own: a table that cannot be read, a row that cannot be written, a commit that is
//! refused. The product has no switch for them.

use super::{NEW, at_the_gate, stock};
use crate::support::app::{TestApp, User};
use crate::support::database::{Kind, on_both};

/// A statement that begins to fail, with what makes and what mends it.
pub struct Fault {
    pub name: &'static str,
    sqlite: (String, String),
    postgres: (String, String),
}

/// A table that is not there, as far as reads can tell.
fn unreadable(table: &'static str) -> Fault {
    let away = (
        format!("ALTER TABLE {table} RENAME TO {table}_away"),
        format!("ALTER TABLE {table}_away RENAME TO {table}"),
    );
    Fault {
        name: table,
        sqlite: away.clone(),
        postgres: away,
    }
}

/// Writes of this kind (`INSERT ON codes`) fail.
pub fn unwritable(write: &'static str) -> Fault {
    let table = write.rsplit(' ').next().expect("a table");
    Fault {
        name: write,
        sqlite: (
            format!(
                "CREATE TRIGGER fault BEFORE {write} BEGIN SELECT RAISE(ABORT, 'on purpose'); END"
            ),
            "DROP TRIGGER fault".into(),
        ),
        postgres: (
            format!(
                "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$; \
                 CREATE TRIGGER fault BEFORE {write} FOR EACH ROW EXECUTE FUNCTION fault()"
            ),
            format!("DROP TRIGGER fault ON {table}; DROP FUNCTION fault()"),
        ),
    }
}

/// The commit of a transaction that has written this (`INSERT ON codes`) fails: every statement before it went well.
pub fn uncommittable(write: &'static str) -> Fault {
    let table = write.rsplit(' ').next().expect("a table");
    Fault {
        name: write,
        sqlite: (
            format!(
                "CREATE TABLE fault (id TEXT REFERENCES realms(id) DEFERRABLE INITIALLY DEFERRED); \
                 CREATE TRIGGER fault_trigger AFTER {write} BEGIN INSERT INTO fault VALUES ('of none'); END"
            ),
            "DROP TRIGGER fault_trigger; DROP TABLE fault".into(),
        ),
        postgres: (
            format!(
                "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$; \
                 CREATE CONSTRAINT TRIGGER fault AFTER {write} DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION fault()"
            ),
            format!("DROP TRIGGER fault ON {table}; DROP FUNCTION fault()"),
        ),
    }
}

impl Fault {
    pub fn begin(&self, app: &TestApp) {
        self.execute(app, |of| &of.0);
    }

    pub fn end(&self, app: &TestApp) {
        self.execute(app, |of| &of.1);
    }

    fn execute(&self, app: &TestApp, which: impl Fn(&(String, String)) -> &String) {
        let statements = match app.kind() {
            Kind::Sqlite => &self.sqlite,
            Kind::Postgres => &self.postgres,
        };
        app.database().execute(which(statements));
    }
}

/// Every row of a person from which something could be got, and the state of the gate.
async fn state(app: &TestApp, user: &User) -> (Option<String>, Vec<String>, i64) {
    (
        app.password_hash(user).await,
        app.waiting(user).await,
        app.token_rows(&user.id),
    )
}

/// What the gate looks at cannot be read.
fn of_the_look() -> Vec<Fault> {
    ["users", "required_actions", "realms", "sessions"]
        .map(unreadable)
        .into()
}

on_both!(a_gate_that_cannot_look_lets_nobody_through);
/// V016: each table that the gate reads fails, and every path to a token is refused, for a person with a forced
/// reset and for one without.
async fn a_gate_that_cannot_look_lets_nobody_through(app: TestApp) {
    for (number, fault) in of_the_look().iter().enumerate() {
        let gated = app.user(&format!("gated-{number}")).await;
        let free = app.user(&format!("free-{number}")).await;
        stock(&app, &gated).await;
        let mut standing = stock(&app, &free).await;
        app.force_password_reset(&gated).await;
        let held = app.ledger.of(&free);

        fault.begin(&app);
        for (rp, refresh) in &held.refresh {
            let answer = rp.refresh(refresh).await;
            assert!(
                answer.status >= 500 && answer.body.get("access_token").is_none(),
                "{}: {} {}",
                fault.name,
                answer.status,
                answer.body
            );
        }
        for (code, asked) in &held.codes {
            let answer = asked.rp.redeem(code, &asked.verifier).await;
            assert!(answer.body.get("access_token").is_none(), "{}", fault.name);
        }
        for access in &held.access {
            let answer = app.rp.userinfo(access).await;
            assert!(answer.status >= 400, "{}: {}", fault.name, answer.status);
        }
        for user in [&gated, &free] {
            let answer = app
                .legacy
                .password_grant(&user.username, &user.password)
                .await;
            assert!(answer.body.get("access_token").is_none(), "{}", fault.name);
        }
        standing.authorize(&app.foreign).await;
        assert!(!standing.got_a_code(), "{}: {standing}", fault.name);
        fault.end(&app);

        // The gate is where it was.
        app.assert_no_tokens_for(&gated).await;
        let answer = app
            .legacy
            .password_grant(&free.username, &free.password)
            .await;
        assert_eq!(answer.status, 200, "{}: {}", fault.name, answer.body);
    }
}

on_both!(a_revocation_that_cannot_be_committed_says_so);
/// V091: the answer is 503 while the database fails, by a look, a write or the commit, and the token lives until it was
/// really revoked.
async fn a_revocation_that_cannot_be_committed_says_so(app: TestApp) {
    let bob = app.user("bob").await;
    let mut browser = app.browser();
    browser.authorize(&app.rp).await.sign_in(&bob).await;
    for (fault, whole) in [
        (unreadable("refresh_tokens"), true),
        (unwritable("DELETE ON refresh_tokens"), true),
        (uncommittable("DELETE ON refresh_tokens"), true),
        (unwritable("DELETE ON client_sessions"), true),
        (uncommittable("DELETE ON client_sessions"), true),
        (unwritable("INSERT ON revoked_tokens"), false),
        (uncommittable("INSERT ON revoked_tokens"), false),
    ] {
        browser.authorize(&app.rp).await;
        let tokens = browser.assert_redirect_to(&app.rp).exchange().await;
        let tokens = tokens.assert_tokens();
        let refresh = tokens.refresh.expect("a refresh token");
        let token = if whole { &refresh } else { &tokens.access };
        fault.begin(&app);
        let answer = app.rp.post("revoke", &[("token", token)]).await;
        assert_eq!(answer.status, 503, "{}: {}", fault.name, answer.body);
        fault.end(&app);
        assert_eq!(app.rp.userinfo(&tokens.access).await.status, 200);
        assert_eq!(app.rp.refresh(&refresh).await.status, 200);
        let answer = app.rp.post("revoke", &[("token", token)]).await;
        assert_eq!(answer.status, 200, "{}: {}", fault.name, answer.body);
        assert_eq!(app.rp.userinfo(&tokens.access).await.status, 401);
        let left = app.rp.refresh(&refresh).await.status;
        assert_eq!(left, if whole { 400 } else { 200 }, "{}", fault.name);
    }
}

/// What is written between the gate's yes and the token: by the statement, and at the commit.
fn of_the_mint() -> Vec<Fault> {
    let writes = [
        "INSERT ON sessions",
        "INSERT ON codes",
        "INSERT ON events",
        "DELETE ON required_actions",
    ];
    writes
        .into_iter()
        .flat_map(|write| [unwritable(write), uncommittable(write)])
        .collect()
}

on_both!(a_new_password_that_cannot_be_stored_whole_is_not_stored_at_all);
/// V016: the submit at the gate fails between the new password, the session, the code, the audit event and the
/// commit. The old hash stays, the gate stays shut, and there is no code; once the fault is gone the same page works.
async fn a_new_password_that_cannot_be_stored_whole_is_not_stored_at_all(app: TestApp) {
    for (number, fault) in of_the_mint().iter().enumerate() {
        let alice = app
            .user(&format!("alice-{number}"))
            .force_password_reset()
            .await;
        let mut browser = at_the_gate(&app, &alice).await;
        let page = browser.page().clone();
        let before = state(&app, &alice).await;

        fault.begin(&app);
        browser.set_new_password(NEW).await;
        assert!(!browser.got_a_code(), "{}: {browser}", fault.name);
        assert!(browser.answer.status >= 500, "{}: {browser}", fault.name);
        assert!(browser.cookie("sid").is_none(), "{}", fault.name);
        fault.end(&app);

        assert_eq!(state(&app, &alice).await, before, "{}", fault.name);
        assert_eq!(app.events(&alice, "GATE_PASSED"), 0, "{}", fault.name);
        app.assert_nothing_opens(&alice, &app.ledger.of(&alice).without_password(NEW))
            .await;
        browser.page = Some(page);
        browser
            .set_new_password(NEW)
            .await
            .assert_redirect_to(&app.rp)
            .exchange()
            .await
            .assert_tokens();
        assert_eq!(app.events(&alice, "GATE_PASSED"), 1, "{}", fault.name);
    }
}

on_both!(a_grant_that_cannot_be_committed_gives_nothing_and_spends_nothing);
/// V016: the token endpoint fails after the gate's yes; no token leaves, and the code or refresh token is as good as
/// before.
async fn a_grant_that_cannot_be_committed_gives_nothing_and_spends_nothing(app: TestApp) {
    let faults = ["INSERT ON refresh_tokens", "INSERT ON events"]
        .into_iter()
        .flat_map(|write| [unwritable(write), uncommittable(write)]);
    for (number, fault) in faults.enumerate() {
        let bob = app.user(&format!("bob-{number}")).await;
        let mut browser = app.browser();
        let arrival = browser
            .authorize(&app.native)
            .await
            .sign_in(&bob)
            .await
            .assert_redirect_to(&app.native);

        fault.begin(&app);
        let answer = app
            .native
            .redeem(arrival.code(), &arrival.asked.verifier)
            .await;
        assert!(answer.status >= 500, "{}: {}", fault.name, answer.body);
        assert!(answer.body.get("access_token").is_none(), "{}", fault.name);
        fault.end(&app);
        let tokens = arrival.exchange().await.assert_tokens();
        let refresh = tokens.refresh.expect("a refresh token");

        fault.begin(&app);
        let answer = app.native.refresh(&refresh).await;
        assert!(answer.status >= 500, "{}: {}", fault.name, answer.body);
        assert!(answer.body.get("access_token").is_none(), "{}", fault.name);
        fault.end(&app);
        let answer = app.native.refresh(&refresh).await;
        assert_eq!(answer.status, 200, "{}: {}", fault.name, answer.body);
    }
}
