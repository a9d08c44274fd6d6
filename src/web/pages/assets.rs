//! Files that pages load from our own origin, compiled in and named by their content, so
//! that browsers may keep them for ever.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};

static STYLESHEET: LazyLock<(String, &str)> = LazyLock::new(|| {
    named(
        "style.css",
        concat!(
            include_str!("../../../assets/theme.css"),
            "\n",
            include_str!("../../../assets/style.css")
        ),
    )
});
static ICON: LazyLock<(String, &str)> =
    LazyLock::new(|| named("icon.svg", include_str!("../../../assets/icon.svg")));

/// The one stylesheet: its path below the public URL, and its text (`text/css`).
#[must_use]
pub fn stylesheet() -> (&'static str, &'static str) {
    (&STYLESHEET.0, STYLESHEET.1)
}

/// Our mark: its path below the public URL, and its text (`image/svg+xml`).
#[must_use]
pub fn icon() -> (&'static str, &'static str) {
    (&ICON.0, ICON.1)
}

fn named(name: &str, content: &'static str) -> (String, &'static str) {
    let hash = digest(&SHA256, content.as_bytes());
    let short: String = hash
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (format!("/resources/{short}/{name}"), content)
}
