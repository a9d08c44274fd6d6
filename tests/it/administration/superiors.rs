//! Nobody takes over whom they do not outrank: every route about a person, as a clerk calls it.

use reqwest::Method;

use super::{World, body, call, facts, filled, holes, manager, of_person, routes};
use crate::support::app::TestApp;
use crate::support::database::on_both;

/// Whether the route is about one person, or a thing of theirs.
fn of_somebody(pattern: &str) -> bool {
    let holes = holes(pattern);
    ["user", "session", "link"]
        .iter()
        .any(|kind| holes.contains(kind))
}

on_both!(a_clerk_changes_nothing_about_the_boss);
/// V137: each route that changes a person, a session or a link, with the right body. `manage-users` opens all of them
/// for everybody else, which the same calls show.
async fn a_clerk_changes_nothing_about_the_boss(app: TestApp) {
    let mut world = World::build(&app, "t1").await;
    let (_, clerk) = manager(
        &app,
        "clerk",
        &["manage-users", "view-users", "impersonation"],
    )
    .await;
    let (boss, _) = manager(&app, "boss", &["realm-admin"]).await;
    let plain = app.user("plain").await;
    let changing: Vec<(Method, String)> = routes()
        .into_iter()
        .filter(|(method, pattern)| *method != Method::GET && of_somebody(pattern))
        .collect();
    assert!(changing.len() > 15, "{changing:?}");

    world.things.extend(of_person(&app, &boss).await);
    let before = facts(&app);
    for (method, pattern) in &changing {
        let path = filled(pattern, "t1", |_, kind| world.thing(kind));
        let answer = call(
            &app,
            &clerk,
            (method, &path),
            body(method, pattern, &world).as_ref(),
        )
        .await;
        assert_eq!(answer.status, 403, "{method} {pattern}: {answer:?}");
    }
    assert_eq!(facts(&app), before);
    let links = format!(
        "SELECT revoked_at AS value FROM links WHERE user_id = '{}'",
        boss.id
    );
    let links =
        format!("SELECT count(*) AS value FROM ({links} AND revoked_at IS NOT NULL) AS ended");
    assert_eq!(app.count(&links), 0);
    let tokens = app.legacy.password_grant("boss", &boss.password).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);

    world.things.extend(of_person(&app, &plain).await);
    for (method, pattern) in &changing {
        let path = filled(pattern, "t1", |_, kind| world.thing(kind));
        let answer = call(
            &app,
            &clerk,
            (method, &path),
            body(method, pattern, &world).as_ref(),
        )
        .await;
        assert!(
            matches!(answer.status, 200..=299 | 409),
            "{method} {pattern}: {answer:?}"
        );
    }
}
