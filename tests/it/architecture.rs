//! The shape of the source tree, held by tests: which module may use which, where tokens are
//! signed, and that every file says what it is and stays short.
//!
//! An edge is any path `crate::<module>` in the code of another module. A module may use every
//! layer below its own; beside it only what [`BESIDE`] lists. A new module or edge is a decision,
//! made here.

mod secrets;
mod threats;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the ground up.
const LAYERS: &[&[&str]] = &[
    &["kernel", "password", "config", "logging"],
    &["store", "web"],
    &[
        "realm", "user", "client", "role", "group", "scope", "session", "mail", "link",
    ],
    &["flow", "login", "action"],
    &["federation", "oidc"],
    &["campaign", "import", "admin", "account", "console", "demo"],
    &["app"],
    &["cli"],
    &["main"],
];

/// What a module may use within its own layer.
const BESIDE: &[(&str, &[&str])] = &[
    ("password", &["kernel"]),
    ("config", &["kernel"]),
    ("logging", &["config"]),
    ("scope", &["realm"]),
    ("role", &["realm"]),
    ("group", &["realm", "role"]),
    ("client", &["realm", "role", "scope"]),
    ("user", &["realm", "role", "group"]),
    ("session", &["realm", "client", "user"]),
    ("mail", &["realm", "client", "user", "session"]),
    ("link", &["realm", "client", "user", "session", "mail"]),
    ("login", &["flow"]),
    ("action", &["flow"]),
    ("oidc", &["federation"]),
    ("import", &["campaign"]),
    ("admin", &["campaign", "import"]),
    (
        "demo",
        &["campaign", "import", "admin", "account", "console"],
    ),
];

/// A file of this many lines says too much at once.
const LONGEST_FILE: usize = 500;

/// The folder of the only mint.
const MINT: &str = "src/oidc/issue/";

/// What signs a token: the calls of aws-lc-rs's key pairs and jsonwebtoken's signing side.
const SIGNING: &[&str] = &[
    ".sign(",
    "RSA_PKCS1_SHA",
    "RSA_PSS_SHA",
    "EncodingKey",
    "issue::sign",
    "jsonwebtoken::crypto",
];

#[test]
fn modules_use_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for file in source_files("src") {
        if file.path == "src/lib.rs" {
            continue; // It declares the modules and uses none.
        }
        let code = code_only(&file.text);
        let module = module_of(&file.path);
        faults.extend(
            forbidden_edges(module, &code)
                .into_iter()
                .map(|edge| format!("{}: {edge}", file.path)),
        );
        if climbs_to_the_root(&file.path, &code) {
            faults.push(format!(
                "{}: leaves its module by `super::`; say `crate::`",
                file.path
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_has_one_place() {
    let listed: Vec<&str> = LAYERS
        .iter()
        .flat_map(|layer| layer.iter().copied())
        .collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed.len(), unique.len(), "a module stands in two layers");
    for (module, beside) in BESIDE {
        let layer = layer_of(module).unwrap_or_else(|| panic!("{module} stands in no layer"));
        for other in *beside {
            assert_eq!(
                layer_of(other),
                Some(layer),
                "{module} and {other} are not beside each other"
            );
            assert!(
                !reaches(other, module),
                "{module} and {other} use each other"
            );
        }
    }
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "benches", "fuzz"]
        .into_iter()
        .flat_map(source_files)
    {
        if !file.text.starts_with("//! ") {
            faults.push(format!("{}: does not open with a `//!` header", file.path));
        }
        let lines = file.text.lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!(
                "{}: {lines} lines, more than {LONGEST_FILE}",
                file.path
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn tokens_are_signed_in_the_mint_alone() {
    let mut faults = Vec::new();
    for file in source_files("src") {
        let code = code_only(&file.text);
        if names_in("jsonwebtoken", &code)
            .iter()
            .any(|name| name == "encode")
        {
            faults.push(format!(
                "{}: jsonwebtoken::encode parses the key at each call",
                file.path
            ));
        }
        if !file.path.starts_with(MINT) {
            // HMAC calls its digest `sign`; the keyed digests are made in one place.
            let digest = |word: &str| word == ".sign(" && file.path == "src/kernel/seal.rs";
            let named = SIGNING
                .iter()
                .filter(|word| code.contains(*word) && !digest(word));
            faults.extend(named.map(|word| format!("{}: `{word}` outside {MINT}", file.path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

struct SourceFile {
    /// From the root of the project, with `/`.
    path: String,
    text: String,
}

/// All `.rs` files below a folder of the project; none where there is no such folder.
fn source_files(folder: &str) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop().filter(|folder: &PathBuf| folder.is_dir()) {
        for entry in fs::read_dir(&folder).expect("a folder that can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a file that can be read");
                let path = path.strip_prefix(root).expect("a path below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                found.push(SourceFile { path, text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// `src/user/rows.rs` belongs to `user`, `src/app.rs` to `app`.
fn module_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let first = inner.split('/').next().unwrap_or(inner);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn beside(module: &str) -> &'static [&'static str] {
    BESIDE
        .iter()
        .find(|(name, _)| *name == module)
        .map_or(&[], |(_, others)| others)
}

/// Whether `from` uses `to` through any number of neighbours.
fn reaches(from: &str, to: &str) -> bool {
    beside(from)
        .iter()
        .any(|next| *next == to || reaches(next, to))
}

/// One sentence for each edge of `module` that the table does not allow.
fn forbidden_edges(module: &str, code: &str) -> Vec<String> {
    let Some(layer) = layer_of(module) else {
        return vec![format!("{module} stands in no layer")];
    };
    // The binary sees the library by its name.
    let root = if module == "main" {
        "vestibule"
    } else {
        "crate"
    };
    let targets: BTreeSet<String> = names_in(root, code).into_iter().collect();
    let forbidden = targets
        .iter()
        .filter(|target| target.as_str() != module)
        .filter(|target| match layer_of(target) {
            Some(below) if below < layer => false,
            Some(same) if same == layer => !beside(module).contains(&target.as_str()),
            Some(_) | None => true,
        });
    forbidden
        .map(|target| format!("{module} must not use {target}"))
        .collect()
}

/// The first names after `root::`, groups opened: `root::{a::b, c}` gives `a` and `c`. Names that
/// end in `!` are exported macros, which live at the root wherever they are written.
fn names_in(root: &str, code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (start, _) in code.match_indices(root) {
        let before = code[..start].chars().next_back();
        let Some(path) = code[start + root.len()..].trim_start().strip_prefix("::") else {
            continue;
        };
        if before.is_some_and(|character| is_word(character) || character == ':') {
            continue;
        }
        let path = path.trim_start();
        let Some(group) = path.strip_prefix('{') else {
            names.extend(leading_name(path));
            continue;
        };
        let mut depth = 0_usize;
        let mut item = 0;
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.extend(leading_name(group[item..at].trim_start()));
                    item = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names
}

fn leading_name(path: &str) -> Option<String> {
    let end = path
        .find(|character| !is_word(character))
        .unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    (!name.is_empty() && !rest.starts_with('!')).then(|| name.to_owned())
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether a chain of `super::` leads out of the file's top-level module. A `mod tests` inside the
/// file may climb one step more than the file itself.
fn climbs_to_the_root(path: &str, code: &str) -> bool {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let steps = inner.split('/').filter(|step| *step != "mod.rs").count();
    let too_far = "super::".repeat(steps);
    let farther = "super::".repeat(steps + 1);
    code.contains(&farther)
        || code
            .lines()
            .any(|line| line.starts_with("use ") && line.contains(&too_far))
}

/// The code without comments and without the contents of strings and character literals.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skipped = match character {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, 1),
            'r' if !code.ends_with(is_word) || code.ends_with('b') || code.ends_with('c') => {
                raw_string(rest)
            }
            '\'' => character_literal(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(character);
            rest = &rest[character.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of a block comment, inner ones counted.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a literal whose contents begin at `start`, up to the same quote unescaped.
fn quoted(rest: &str, start: usize) -> usize {
    let bytes = rest.as_bytes();
    let mut at = start;
    while at < bytes.len() && bytes[at] != bytes[0] {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Length of `r"…"` or `r#"…"#`; 0 for a name that begins with r.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    if rest.as_bytes().get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    rest[start..]
        .find(&end)
        .map_or(rest.len(), |at| start + at + end.len())
}

/// Length of a character literal; 0 for a lifetime.
fn character_literal(rest: &str) -> usize {
    let mut characters = rest[1..].chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) => quoted(rest, 1),
        (Some(character), Some('\'')) => 2 + character.len_utf8(),
        _ => 0,
    }
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    let code = code_only(concat!(
        "//! crate::oidc\n/* crate::admin /* crate::admin */ crate::admin */ use crate::store;\n",
        "let a = \"crate::demo \\\" crate::demo\"; let b = br#\"crate::demo \" \"#; let c = '\"'; ",
        "fn f<'a>(x: &'a str) { crate::user::find('\\'', r\"\\\") } // crate::cli"
    ));
    assert_eq!(names_in("crate", &code), ["store", "user"]);
    let code = "use crate::{kernel::{Clock, Id},\n  store, web as w};\npub(in crate::oidc) x; $crate::db!(crate ::role)";
    assert_eq!(
        names_in("crate", code),
        ["kernel", "store", "web", "oidc", "role"]
    );
    assert!(names_in("crate", "mycrate::user; other::crate::user; crate::db!(x)").is_empty());
}

#[test]
fn an_edge_upwards_is_refused() {
    assert_eq!(
        forbidden_edges("kernel", "crate::store::Store"),
        ["kernel must not use store"]
    );
    assert_eq!(
        forbidden_edges("login", "use crate::{oidc, user};"),
        ["login must not use oidc"]
    );
    assert_eq!(
        forbidden_edges("realm", "crate::user"),
        ["realm must not use user"]
    );
    assert_eq!(
        forbidden_edges("main", "vestibule::cli; vestibule::nowhere"),
        ["main must not use nowhere"]
    );
    assert_eq!(
        forbidden_edges("unheard_of", ""),
        ["unheard_of stands in no layer"]
    );
    assert!(forbidden_edges("user", "crate::realm; crate::kernel; crate::user").is_empty());
    assert!(climbs_to_the_root(
        "src/user/rows.rs",
        "use super::super::oidc;"
    ));
    assert!(climbs_to_the_root("src/user/mod.rs", "use super::oidc;"));
    assert!(!climbs_to_the_root(
        "src/user/rows.rs",
        "use super::User;\nmod tests {\n    use super::super::User;\n}"
    ));
}

/// V106: RSA with private keys is aws-lc-rs's; the crate that leaks through timing is let in for verification alone.
#[test]
fn the_rsa_crate_is_banned_but_for_verifying() {
    let bans = std::fs::read_to_string("deny.toml").expect("deny.toml");
    let rsa = bans.lines().find(|line| line.contains("crate = \"rsa\""));
    let rsa = rsa.expect("a ban of rsa");
    assert!(rsa.contains("wrappers = [\"openidconnect\"]"), "{rsa}");
    let manifest = std::fs::read_to_string("Cargo.toml").expect("Cargo.toml");
    assert!(!manifest.lines().any(|line| line.starts_with("rsa ")));
}
