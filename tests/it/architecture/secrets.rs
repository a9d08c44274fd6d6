//! Secrets are compared in a time that says nothing about where they differ: never by `==`.

use super::{code_only, is_word, source_files};

/// Words in the names of what somebody could try to guess.
const SECRETS: [&str; 13] = [
    "secret",
    "digest",
    "token",
    "mac",
    "hash",
    "hashed",
    "nonce",
    "verifier",
    "challenge",
    "password",
    "code",
    "otp",
    "signature",
];

/// Comparisons that name such a word and compare nothing secret: file, a part of the code, why.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "src/admin/clients.rs",
        "MASK",
        "the public text that stands for a secret left alone",
    ),
    (
        "src/admin/imports.rs",
        "earlier.digest",
        "a file's digest, told to who sent the file",
    ),
    (
        "src/admin/users/actions.rs",
        "force_password_reset",
        "a flag",
    ),
    ("src/campaign/work.rs", "has_password", "a flag"),
    (
        "src/demo/app.rs",
        "into_secret",
        "the demo's own state, in its visitor's own cookie",
    ),
    (
        "src/demo/app/relying_party.rs",
        "nonce.secret",
        "the demo's nonce, in a token already verified",
    ),
    (
        "src/demo/app/visits.rs",
        "state.secret",
        "the demo's own state, of its visitor alone",
    ),
    (
        "src/flow/rows.rs",
        "flow.browser_digest",
        "a digest by which the database finds the flows of a browser",
    ),
    (
        "src/import/commit.rs",
        "lease_token",
        "which process works a job: read from the database on both sides",
    ),
    (
        "src/import/format/elements.rs",
        "token",
        "a token of a JSON text",
    ),
    ("src/link/token.rs", "mac.len()", "a length"),
    (
        "src/login/password.rs",
        "password.id",
        "the id of a stored password",
    ),
    ("src/mail/outbox/lease.rs", "keep_token", "a flag"),
    ("src/mail/smtp.rs", "*code", "the number of an SMTP reply"),
    ("src/oidc/authorize.rs", "challenge.len()", "a length"),
    (
        "src/oidc/bearer.rs",
        "token.",
        "claims of a token whose signature was verified",
    ),
    (
        "src/oidc/grant/mod.rs",
        "Grant::ClientCredentials",
        "which grant it is",
    ),
    (
        "src/oidc/issue/refresh.rs",
        "SessionKind::Offline",
        "which session it is",
    ),
    (
        "src/oidc/new_password.rs",
        "old_credential",
        "the id of a stored password",
    ),
    (
        "src/oidc/once_more.rs",
        "flow.browser_digest",
        "a digest by which the database finds the flows of a browser",
    ),
    (
        "src/password/hash/foreign/forms.rs",
        "hash.bytes()",
        "a length",
    ),
    (
        "src/password/policy/pattern.rs",
        "Token::",
        "a token of a pattern",
    ),
];

/// Types that hold a secret: none of them can be compared by `==`.
const TYPES: [(&str, &str); 9] = [
    ("src/password/mod.rs", "pub struct Password("),
    ("src/kernel/seal.rs", "pub struct MasterKey {"),
    ("src/kernel/seal.rs", "pub struct Keyring {"),
    ("src/link/token.rs", "pub struct Presented {"),
    ("src/oidc/client_auth.rs", "pub struct Presented {"),
    ("src/mail/transport.rs", "pub struct Login {"),
    ("src/mail/transport.rs", "pub enum Proof {"),
    ("src/mail/transport.rs", "pub struct TokenSource {"),
    ("src/mail/transport.rs", "pub struct Server {"),
];

/// The code of a file without its unit tests.
fn product(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    code_only(&text[..tests])
}

/// The comparisons in the code that name something secret, white space folded.
fn suspicious(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for operator in ["==", "!="] {
        for (at, _) in code.match_indices(operator) {
            let (before, after) = (&code[..at], &code[at + 2..]);
            let left = ["&&", "||", ";", "{", "}", "|"]
                .iter()
                .filter_map(|end| before.rfind(end).map(|start| start + end.len()))
                .max()
                .unwrap_or(0);
            let right = ["&&", "||", ";", "{", "}", ",", "|"]
                .iter()
                .filter_map(|end| after.find(end))
                .min()
                .unwrap_or(after.len());
            let comparison = format!("{} {operator} {}", &before[left..], &after[..right]);
            if names_a_secret(&comparison) {
                let folded: Vec<&str> = comparison.split_whitespace().collect();
                found.push(folded.join(" "));
            }
        }
    }
    found.extend(called(code));
    found
}

/// The same comparisons as calls, `secret.eq(&other)`. A path before the call (`refresh_tokens::digest`) is a column of
/// a table, which the database compares.
fn called(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for call in [".eq(", ".ne("] {
        for (at, _) in code.match_indices(call) {
            let (before, after) = code.split_at(at);
            let (mut start, mut inside) = (at, 0);
            for (index, c) in before.char_indices().rev() {
                match c {
                    ')' => inside += 1,
                    '(' if inside > 0 => inside -= 1,
                    c if inside > 0 || is_word(c) || matches!(c, '.' | ':') => {}
                    _ => break,
                }
                start = index;
            }
            let compared = &before[start..];
            let other = &after[call.len()..];
            let other = &other[..other.find([')', ';']).unwrap_or(other.len())];
            let comparison = format!("{compared}{call}{other})");
            if !compared.contains("::") && names_a_secret(&comparison) {
                found.push(comparison);
            }
        }
    }
    found
}

/// Whether a field, a variable or a function of the comparison is called after a secret. Names of modules and types
/// are not.
fn names_a_secret(comparison: &str) -> bool {
    let mut rest = comparison;
    while let Some(start) = rest.find(is_word) {
        let name = &rest[start..];
        let end = name.find(|c| !is_word(c)).unwrap_or(name.len());
        let (name, after) = name.split_at(end);
        rest = after;
        if !after.starts_with("::") && name.split('_').any(|word| SECRETS.contains(&word)) {
            return true;
        }
    }
    false
}

/// V089.
#[test]
fn secrets_are_not_compared_by_equality() {
    let mut faults = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for file in source_files("src") {
        if file.path.ends_with("tests.rs") {
            continue;
        }
        for comparison in suspicious(&product(&file.text)) {
            let allowed = ALLOWED
                .iter()
                .position(|(path, part, _)| *path == file.path && comparison.contains(part));
            match allowed {
                Some(index) => used[index] = true,
                None => faults.push(format!("{}: {comparison}", file.path)),
            }
        }
    }
    let idle = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    faults.extend(idle.map(|((path, part, _), _)| format!("{path}: {part:?} is no longer there")));
    assert!(
        faults.is_empty(),
        "compare by aws_lc_rs::constant_time, or say in ALLOWED why not:\n{}",
        faults.join("\n")
    );
}

/// V089: what cannot be compared by mistake.
#[test]
fn types_that_hold_secrets_have_no_equality() {
    let files = source_files("src");
    for (path, declaration) in TYPES {
        let file = files.iter().find(|file| file.path == path);
        let code = product(&file.unwrap_or_else(|| panic!("no {path}")).text);
        let (before, _) = code
            .split_once(declaration)
            .unwrap_or_else(|| panic!("{path} has no {declaration}"));
        let start = before.rfind(['}', ';']).map_or(0, |end| end + 1);
        let attributes = &before[start..];
        let name = declaration.trim_start_matches("pub struct ");
        let name = name.trim_start_matches("pub enum ");
        let name = name.trim_end_matches(['(', '{', ' ']);
        for forbidden in ["PartialEq", "Hash"] {
            assert!(!attributes.contains(forbidden), "{name} is {forbidden}");
            assert!(
                !code.contains(&format!("{forbidden} for {name} ")),
                "{path}: {forbidden} for {name}"
            );
        }
    }
}

#[test]
fn a_comparison_of_secrets_is_seen() {
    for bad in [
        "if digest == stored { }",
        "let same = a && client.secret_digest\n    != Some(other);",
        "x.is_some_and(|token| token.as_bytes() == y)",
        "(own == form.code)",
        "if self.secret.eq(other) { }",
        "Some(token).ne(&x)",
        "mine.eq(&form.code)",
    ] {
        assert_eq!(suspicious(bad).len(), 1, "{bad}");
    }
    for good in [
        "if token_count(x) && a == b { }",
        "action == update_password::NAME",
        "verify_slices_are_equal(digest, stored) && a == b",
        "let digest = x; a == b",
        "codes::table.filter(codes::digest.eq(&code.digest))",
        "names.iter().eq(others)",
    ] {
        assert!(suspicious(good).is_empty(), "{good}");
    }
}
