//! Who has an account here is nobody's business: every wrong try is answered alike, byte by byte and in its time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::browser::{Browser, encode};
use crate::support::database::{Kind, on_both, run, soak};

/// What a name may stand for. Names of equal length, so that no page differs by one.
const CLASSES: [&str; 8] = [
    "unknown", "ordinar", "disable", "flagged", "nopassw", "expired", "lockedu", "onetime",
];

/// One person of each class but the unknown one; `suffix` tells rounds apart.
async fn people(app: &TestApp, suffix: &str) {
    let name = |class: &str| format!("{class}-{suffix}");
    app.user(&name("ordinar")).await;
    app.user(&name("disable")).disabled().await;
    app.user(&name("flagged")).force_password_reset().await;
    app.user(&name("nopassw")).without_password().await;
    app.user(&name("expired"))
        .expired_temporary_password("Winter2025")
        .await;
    app.user(&name("onetime"))
        .temporary_password("Winter2026")
        .await;
    let locked = app.user(&name("lockedu")).await;
    app.change_user(&locked, |user| {
        user.locked_until = Some(vestibule::kernel::Timestamp::from_micros(i64::MAX / 2));
    })
    .await;
}

/// A text without what differs between any two answers: the name that was typed, and random values.
fn masked(text: &str, name: &str) -> String {
    let mut masked = String::new();
    let mut run = String::new();
    for letter in text.replace(name, "NAME").chars().chain(['\n']) {
        if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.') {
            run.push(letter);
        } else {
            // Ids, form tokens and cookies are the only words of this length that hold a digit or a capital.
            let odd = |letter: char| letter.is_ascii_digit() || letter.is_ascii_uppercase();
            let random = run.len() >= 20 && run.contains(odd);
            masked.push_str(if random { "RANDOM" } else { &run });
            run.clear();
            masked.push(letter);
        }
    }
    masked
}

/// Status, headers and body of the browser's last answer, masked.
fn seen(browser: &Browser, name: &str) -> String {
    told(&browser.answer, name)
}

/// Status, headers and body of an answer, without what differs between any two answers about that name.
pub fn told(answer: &Answer, name: &str) -> String {
    let headers: BTreeMap<&str, String> = answer
        .headers
        .iter()
        .filter(|(header, _)| !matches!(header.as_str(), "date" | "x-request-id"))
        .map(|(header, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (header.as_str(), masked(&value, name))
        })
        .collect();
    let (status, body) = (answer.status, masked(&answer.body, name));
    format!("{status}\n{headers:#?}\n{body}")
}

/// A way to try a name without its password.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The sign-in page.
    Page(&'static str),
    /// The password grant.
    Grant(&'static str),
    /// A name in the request, before anything is typed.
    LoginHint,
}

async fn try_name(app: &TestApp, way: Way, name: &str) -> String {
    match way {
        Way::Page(password) => {
            let mut browser = app.browser();
            browser.authorize(&app.rp).await.assert_page("login");
            let mut form = browser.page().form_with("password").clone();
            form.fill("username", name).fill("password", password);
            browser.submit_form(form, Some("login")).await;
            assert!(browser.cookie("sid").is_none(), "{name}");
            seen(&browser, name)
        }
        Way::Grant(password) => {
            let answer = app.legacy.password_grant(name, password).await;
            format!("{} {}", answer.status, answer.body)
        }
        Way::LoginHint => {
            let mut browser = app.browser();
            browser
                .authorize_with(&app.rp, &[("login_hint", name)])
                .await
                .assert_page("login");
            seen(&browser, name)
        }
    }
}

on_both!(no_answer_tells_whether_an_account_exists);
/// V052: status, headers and body are the same for every class of name, at every door and at every try, also when
/// the limit of tries is reached; and each try costs one hash, with an empty password as with a wrong one.
async fn no_answer_tells_whether_an_account_exists(app: TestApp) {
    people(&app, "a").await;
    let ways = [
        Way::LoginHint,
        Way::Page("not the passphrase of anybody"),
        Way::Page(""),
        Way::Page("x"),
        Way::Grant("not the passphrase of anybody"),
        Way::Grant(""),
        Way::Page("the limit of wrong tries is behind us"),
        Way::Grant("the limit of wrong tries is behind us"),
    ];
    for way in ways {
        let mut answers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut hashes: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for class in CLASSES {
            let before = app.engine().hasher.load().computed;
            let answer = try_name(&app, way, &format!("{class}-a")).await;
            answers.entry(answer).or_default().push(class);
            let computed = app.engine().hasher.load().computed - before;
            hashes.entry(computed).or_default().push(class);
        }
        assert_eq!(hashes.len(), 1, "{way:?}: hashes computed: {hashes:?}");
        if let Way::Page(password) | Way::Grant(password) = way {
            let expected = u64::from(!password.is_empty());
            assert!(
                hashes.keys().all(|count| *count >= expected),
                "{way:?}: {hashes:?}"
            );
        }
        let groups: Vec<_> = answers.values().collect();
        assert_eq!(groups.len(), 1, "{way:?}: {groups:?}\n{answers:#?}");
        // The limit per address is not what makes them alike.
        app.advance(Duration::from_secs(61));
    }
}

/// The answers to `rounds` wrong passwords for each class, interleaved, in microseconds.
async fn timings(app: &TestApp, rounds: usize, page: bool) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(rounds); CLASSES.len()];
    for round in 0..rounds {
        for place in 0..CLASSES.len() {
            // Each class comes first, last and in between equally often.
            let class = (place + round) % CLASSES.len();
            let name = format!("{}-a", CLASSES[class]);
            let took = if page {
                let mut browser = app.browser();
                browser.authorize(&app.rp).await;
                let mut form = browser.page().form_with("password").clone();
                form.fill("username", &name);
                form.fill("password", "not the passphrase of anybody");
                let body = encode(&form.pairs(Some("login")));
                let kind = crate::support::browser::FORM;
                let began = Instant::now();
                browser
                    .send(reqwest::Method::POST, &form.action, Some((kind, body)))
                    .await;
                began.elapsed()
            } else {
                let began = Instant::now();
                let wrong = "not the passphrase of anybody";
                let answer = app.legacy.password_grant(&name, wrong).await;
                let took = began.elapsed();
                assert_eq!(answer.text("error"), "invalid_grant");
                took
            };
            samples[class].push(took.as_secs_f64() * 1e6);
        }
        // So that nobody's limit of wrong tries is reached, except where the class is about that.
        app.advance(Duration::from_secs(1900));
    }
    samples
}

/// The one in the middle.
pub fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// The two-sided p of Mann and Whitney's test, by its normal approximation.
pub fn mann_whitney(one: &[f64], other: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = one
        .iter()
        .map(|time| (*time, true))
        .chain(other.iter().map(|time| (*time, false)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    #[allow(clippy::cast_precision_loss, reason = "counts of samples")]
    let (n, m, ranks) = (
        one.len() as f64,
        other.len() as f64,
        (1..)
            .zip(&all)
            .filter(|(_, (_, of_one))| *of_one)
            .map(|(rank, _)| f64::from(rank))
            .sum::<f64>(),
    );
    let u = ranks - n * (n + 1.0) / 2.0;
    let z = ((u - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()).abs();
    // Abramowitz and Stegun 7.1.26.
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let sum: f64 = (1..)
        .zip(series)
        .map(|(power, factor)| factor * t.powi(power))
        .sum();
    sum * (-x * x).exp()
}

async fn no_time_tells(app: TestApp) {
    people(&app, "a").await;
    let long = soak();
    let rounds = if long { 2000 } else { 200 };
    for page in [false, true] {
        // Caches and connections are warm before anything is measured.
        timings(&app, 5, page).await;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut samples = timings(&app, rounds, page).await;
            let unsorted = samples.clone();
            for class in &mut samples {
                class.sort_by(f64::total_cmp);
            }
            let medians: Vec<f64> = samples.iter().map(|class| median(class)).collect();
            let (least, most) = medians
                .iter()
                .fold((f64::MAX, 0.0_f64), |(least, most), one| {
                    (least.min(*one), most.max(*one))
                });
            for (class, name) in CLASSES.iter().enumerate() {
                eprintln!(
                    "V052 {} {} {name}: median {:.0} us, p against an ordinary person {:.3}",
                    if page { "page" } else { "grant" },
                    app.store().kind(),
                    medians[class],
                    mann_whitney(&unsorted[class], &unsorted[1]),
                );
            }
            // Two milliseconds, as promised; on a machine that is busy with other things, a fifth of the answer's time.
            let allowed = if long {
                2000.0
            } else {
                (least / 5.0).max(5000.0)
            };
            if most - least < allowed {
                break;
            }
            assert!(
                tries < 3,
                "medians differ by {:.0} us: {medians:?}",
                most - least
            );
        }
    }
}

/// V052 and promise P7: how long an answer takes tells nothing either. 200 interleaved samples per class, or 2,000 on
/// each database with `VESTIBULE_SOAK=1`, where the medians may differ by less than two milliseconds. The p of Mann and
/// Whitney is printed and not asserted: with so many samples a difference of microseconds, which no network shows,
/// is significant on one run in a few.
#[test]
fn no_answers_time_tells_whether_an_account_exists() {
    run(Kind::Sqlite, no_time_tells);
    if soak() {
        run(Kind::Postgres, no_time_tells);
    }
}
