//! What becomes of each row: the same in the dry run and the real one, on both databases.

use vestibule::import::run::Ended;
use vestibule::import::{IfExists, Options};
use vestibule::kernel::UserId;
use vestibule::link::{Purpose, Sender};

use super::{import, people};
use crate::link;
use crate::support::app::{TestApp, User};
use crate::support::database::on_both;

fn dry(options: &Options) -> Options {
    Options {
        dry_run: true,
        ..options.clone()
    }
}

const MIXED: &str = "username,email,groups,roles,requiredActions,password\r\n\
    ada,ada@harbour.example,,,,\r\n\
    ADA,other@harbour.example,,,,\r\n\
    ad\u{3b1},ADA@Harbour.Example,,,,\r\n\
    \u{ff42}\u{ff4f}\u{ff42},bob@harbour.example,,,terms_and_conditions,\r\n\
    bob,bob2@harbour.example,,,,\r\n\
    cid,\"cid@harbour.example\r\nBcc: x@y.example\",,,,\r\n\
    dan,,/nowhere,,,\r\n\
    eve,,,no-such-role,,\r\n\
    fay,,,,CONFIGURE_WINGS,\r\n\
    alice,,,,,\r\n\
    gus,gus@harbour.example,,,,a password for one\r\n";

on_both!(one_verdict_for_each_row_and_the_dry_run_says_the_same);
/// V147: duplicates in case and Unicode, header injection, missing things, unknown actions; lines are physical.
async fn one_verdict_for_each_row_and_the_dry_run_says_the_same(app: TestApp) {
    app.user("alice").await;
    let before = app.count("SELECT count(*) AS value FROM users");
    let options = Options::default();
    let tried = import(&app, &dry(&options), MIXED).await;
    assert_eq!(
        app.count("SELECT count(*) AS value FROM users"),
        before,
        "a dry run stores nobody"
    );
    let report = import(&app, &options, MIXED).await;
    let said = report.said();
    assert_eq!(tried.said(), said);
    let expected = [
        "2 accepted",
        "3 rejected username is that of the row at line 2",
        "4 rejected email is that of the row at line 2",
        "5 accepted",
        "6 rejected username is that of the row at line 5",
        "7 rejected email contains characters",
        "9 rejected groups there is no group /nowhere",
        "10 rejected roles there is no role no-such-role",
        "11 rejected requiredActions CONFIGURE_WINGS is not known here",
        "12 rejected username User exists with same username",
        "13 accepted",
    ];
    assert_eq!(said.len(), expected.len());
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said:?} {expected:?}");
    }
    assert_eq!(app.count("SELECT count(*) AS value FROM users"), before + 3);
    // A plain password is temporary unless its row says otherwise, and everybody has the default role.
    let gus = app.legacy.password_grant("gus", "a password for one").await;
    assert_eq!(gus.body["error_description"], "Account is not fully set up");
    let roles = app.sql(
        "SELECT r.name AS value FROM roles r JOIN user_roles m ON m.role_id = r.id \
         JOIN users u ON u.id = m.user_id WHERE u.username = 'gus'",
    );
    assert_eq!(roles, ["default-roles-t1"]);
}

on_both!(who_is_there_already_is_refused_passed_over_or_changed);
async fn who_is_there_already_is_refused_passed_over_or_changed(app: TestApp) {
    let first = "id,username,email,firstName,password,temporary,attribute.a\n\
                 7b,ada,ada@harbour.example,Ada,the first passphrase,false,1\n";
    let made = import(&app, &Options::default(), first).await;
    assert_eq!(made.count("accepted"), 1, "{:?}", made.said());
    let second = "username,email,lastName,attribute.b,requiredActions\n\
                  ada,ADA@new.example,Byron,2,TERMS_AND_CONDITIONS\n\
                  bob,,,,\n";
    let with = |if_exists| Options {
        if_exists,
        ..Options::default()
    };
    let refused = import(&app, &with(IfExists::Fail), "username\nada\n").await;
    assert_eq!(
        refused.said(),
        ["2 rejected username User exists with same username"]
    );
    let passed = import(&app, &with(IfExists::Skip), "username\nada\n").await;
    assert_eq!(
        (
            passed.count("skipped"),
            passed.rows[0].user.as_ref().unwrap().as_str()
        ),
        (1, "7b")
    );
    let tokens = app
        .legacy
        .password_grant("ada", "the first passphrase")
        .await;
    assert_eq!(tokens.status, 200);
    let changed = import(&app, &with(IfExists::Update), second).await;
    assert_eq!(
        (changed.count("updated"), changed.count("accepted")),
        (1, 1),
        "{:?}",
        changed.said()
    );
    let row = app.sql("SELECT email || ' ' || first_name || ' ' || last_name || ' ' || attributes AS value FROM users WHERE id = '7b'");
    assert_eq!(
        row,
        ["ADA@new.example Ada Byron {\"a\":[\"1\"],\"b\":[\"2\"]}"]
    );
    // V178: a changed address ends what was issued before; the new action waits.
    let refresh = tokens.text("refresh_token").to_owned();
    assert_eq!(app.legacy.refresh(&refresh).await.status, 400);
    let again = import(&app, &with(IfExists::Update), "username,id\nada,8c\n").await;
    assert!(
        again.said()[0].contains("ids never change"),
        "{:?}",
        again.said()
    );
}

on_both!(groups_and_roles_are_made_where_that_is_asked_for);
async fn groups_and_roles_are_made_where_that_is_asked_for(app: TestApp) {
    let text = "username,groups,roles\nada,/crew/night watch|crew,sailor\nbob,/crew,sailor|realm-management:view-users\n\
                cid,,no-client:x\n";
    let options = Options {
        create_missing: true,
        ..Options::default()
    };
    let tried = import(&app, &dry(&options), text).await;
    assert_eq!(app.count("SELECT count(*) AS value FROM groups"), 0);
    let report = import(&app, &options, text).await;
    assert_eq!(tried.said(), report.said());
    assert_eq!(
        (report.count("accepted"), report.count("rejected")),
        (2, 1),
        "{:?}",
        report.said()
    );
    assert_eq!(app.count("SELECT count(*) AS value FROM groups"), 2);
    assert_eq!(app.count("SELECT count(*) AS value FROM user_groups"), 3);
    assert_eq!(
        app.count("SELECT count(*) AS value FROM roles WHERE name = 'sailor'"),
        1
    );
    let again = import(
        &app,
        &Options::default(),
        "username,groups\ndan,/crew/night watch\n",
    )
    .await;
    assert_eq!(again.count("accepted"), 1, "{:?}", again.said());
}

on_both!(what_the_realm_asks_of_everybody_is_asked_of_the_imported);
/// Keycloak drops default actions and temporary passwords in an import; here both hold.
async fn what_the_realm_asks_of_everybody_is_asked_of_the_imported(app: TestApp) {
    app.tx(|tx| {
        let realm = vestibule::realm::rows::by_name(tx, "t1")?.expect("realm t1");
        let mut actions = vestibule::realm::rows::required_actions(tx, &realm.id)?;
        for action in &mut actions {
            action.default_action = action.alias == "TERMS_AND_CONDITIONS";
            vestibule::realm::rows::put_required_action(tx, &realm.id, action)?;
        }
        Ok(())
    })
    .await;
    let text = "{\"username\":\"ada\",\"requiredActions\":[],\"credentials\":[{\"type\":\"password\",\"value\":\"a secret of Ada\",\"temporary\":true}]}\n\
                {\"username\":\"bob\"}\n";
    let reset = Options {
        require_password_reset: true,
        ..Options::default()
    };
    import(&app, &Options::default(), text).await;
    import(&app, &reset, "username\ncid\n").await;
    let waiting = |name: &str| {
        app.sql(&format!(
            "SELECT a.action || ' ' || a.source AS value FROM required_actions a JOIN users u ON u.id = a.user_id \
             WHERE u.username = '{name}' ORDER BY 1"
        ))
    };
    assert_eq!(
        waiting("ada"),
        [
            "TERMS_AND_CONDITIONS default",
            "UPDATE_PASSWORD temporary-password"
        ]
    );
    assert_eq!(waiting("bob"), ["TERMS_AND_CONDITIONS default"]);
    assert_eq!(
        waiting("cid"),
        ["TERMS_AND_CONDITIONS default", "UPDATE_PASSWORD import"]
    );
    let ends = app.count("SELECT count(*) AS value FROM credentials WHERE expires_at IS NOT NULL");
    assert_eq!(ends, 1, "a temporary password has its end stored with it");
}

on_both!(one_password_for_fifty_is_refused_unless_it_is_wanted);
/// V192.
async fn one_password_for_fifty_is_refused_unless_it_is_wanted(app: TestApp) {
    let mut text = String::from("username,password\n");
    for number in 0..50 {
        text.push_str(&format!("person{number:02},Welcome1\n"));
    }
    for number in 0..3 {
        text.push_str(&format!("few{number},shared by three\n"));
    }
    let report = import(&app, &Options::default(), &text).await;
    assert_eq!(
        (report.count("rejected"), report.count("accepted")),
        (50, 3),
        "{:?}",
        report.said()
    );
    assert!(report.said().iter().all(|row| !row.contains("Welcome1")));
    let wanted = Options {
        allow_shared_passwords: true,
        if_exists: IfExists::Skip,
        ..Options::default()
    };
    let report = import(&app, &wanted, &text).await;
    assert_eq!(
        (report.count("accepted"), report.count("skipped")),
        (50, 3),
        "{:?}",
        report.said()
    );
    let answer = app.legacy.password_grant("person07", "Welcome1").await;
    assert_eq!(
        answer.body["error_description"],
        "Account is not fully set up"
    );
}

on_both!(a_spray_over_imported_people_ends_at_the_limit_of_its_network);
/// V192: where one password for many was wanted, thirty wrong tries close the network's door for the right one as well,
/// with the same words; a link opens whatever was tried.
async fn a_spray_over_imported_people_ends_at_the_limit_of_its_network(app: TestApp) {
    app.mailbox().await;
    let mut text = String::from("username,email,password\n");
    for number in 0..40 {
        text.push_str(&format!(
            "sprayed{number:02},sprayed{number:02}@people.example,Welcome1\n"
        ));
    }
    let wanted = Options {
        allow_shared_passwords: true,
        ..Options::default()
    };
    let report = import(&app, &wanted, &text).await;
    assert_eq!(report.count("accepted"), 40, "{:?}", report.said());
    let guess = async |number: usize, password: &str| {
        let name = format!("sprayed{number:02}");
        app.legacy.password_grant(&name, password).await
    };
    let right = guess(39, "Welcome1").await;
    assert_eq!(
        right.text("error_description"),
        "Account is not fully set up",
        "the right one, before the spray"
    );
    let mut said = Vec::new();
    for number in 0..31 {
        said.push(guess(number, "Welcome2").await);
    }
    said.push(guess(31, "Welcome1").await);
    for answer in &said {
        assert_eq!((answer.status, &answer.body), (400, &said[0].body));
    }
    let id = app.sql("SELECT id AS value FROM users WHERE username = 'sprayed31'");
    let person = User {
        id: UserId::new(id[0].clone()),
        realm: "t1".to_owned(),
        username: "sprayed31".to_owned(),
        email: "sprayed31@people.example".to_owned(),
        password: "Welcome1".to_owned(),
    };
    let what = (Purpose::ForgottenPassword, Sender::Person);
    link::send(&app, &person, what.0, what.1).await;
    let url = link::mails(&app, &person, 1).await.remove(0).url;
    let mut browser = app.browser();
    browser.open(url).await.assert_page("link");
    browser.press("open").await.assert_page("update-password");
    browser
        .set_new_password(link::NEW)
        .await
        .assert_page("message");
    assert_eq!(app.token_rows(&person.id), 1);
}

on_both!(a_file_that_breaks_off_keeps_what_came_before);
async fn a_file_that_breaks_off_keeps_what_came_before(app: TestApp) {
    let text = "{\"users\":[{\"username\":\"ada\"},{\"username\":\"bob\"";
    let report = import(&app, &Options::default(), text).await;
    assert!(
        matches!(report.ended, Ended::Failed(ref why, counts) if why.contains("ends inside") && counts.done == 1)
    );
    assert_eq!(report.said(), ["1 accepted"]);
    let none = import(&app, &Options::default(), "nonsense\n").await;
    assert!(matches!(none.ended, Ended::Failed(ref why, _) if why.contains("not known")));
}

on_both!(several_chunks_are_one_import);
async fn several_chunks_are_one_import(app: TestApp) {
    let mut text = people(2500);
    text.push_str("person0000003,x@people.example,,,,\n");
    text.push_str("later,PERSON0002000@people.example,,,,\n");
    let report = import(&app, &Options::default(), &text).await;
    assert_eq!(
        (report.count("accepted"), report.count("rejected")),
        (2500, 2)
    );
    let said = report.said();
    assert!(said[2500].contains("line 5,"), "{:?}", said[2500]);
    assert!(said[2501].contains("line 2002,"), "{:?}", said[2501]);
}

on_both!(people_without_a_password_are_mailed_by_a_campaign_once_the_file_is_through);
async fn people_without_a_password_are_mailed_by_a_campaign_once_the_file_is_through(app: TestApp) {
    let mailbox = app.mailbox().await;
    // Whoever was there before, and is changed by the file, is not one of its people.
    let eve = app.user("eve").without_password().await;
    let text = "username,email,password,enabled\nada,ada@harbour.example,,\nbob,bob@harbour.example,a secret of Bob,\n\
                cid,,,\ndan,dan@harbour.example,,false\nbad,nothing,,\neve,,,\n";
    let options = Options {
        pre_register: true,
        if_exists: IfExists::Update,
        ..Options::default()
    };
    let tried = import(&app, &dry(&options), text).await;
    assert_eq!((tried.count("accepted"), tried.count("updated")), (4, 1));
    assert_eq!(app.count("SELECT count(*) AS value FROM campaigns"), 0);
    import(&app, &options, text).await;
    let ids = app.sql("SELECT campaign_id AS value FROM import_jobs WHERE campaign_id IS NOT NULL");
    assert_eq!(ids.len(), 1, "the import names its campaign");
    let campaigns = app.sql("SELECT id || ' ' || kind AS value FROM campaigns");
    assert_eq!(campaigns, [format!("{} pre-registration", ids[0])]);
    let over = "SELECT count(*) AS value FROM campaigns WHERE state = 'done'";
    while app.count(over) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut people = app.sql(
        "SELECT username || ' ' || state || ' ' || coalesce(reason, '') AS value FROM campaign_recipients",
    );
    people.sort();
    assert_eq!(
        people,
        [
            "ada sent ",
            "cid skipped no-address",
            "dan skipped disabled"
        ]
    );
    let mail = mailbox.expect("ada@harbour.example").await;
    assert!(mail.text.as_ref().unwrap().contains("/login-actions/link/"));
    assert!(mailbox.to(&eve.email).is_empty());
    let links = app.sql("SELECT campaign_id AS value FROM links");
    assert_eq!(links, ids);
}
