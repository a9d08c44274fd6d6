//! Which texts are mail addresses: everything else reaches nobody, because it is never stored.

use vestibule::user::name::{name_key, parse_email};

/// What no address has inside, on either side of its sign: what ends it, begins another one, hides, or is read as
/// something else.
fn fragments() -> Vec<String> {
    let mut all: Vec<String> = ('\0'..='\u{20}')
        .chain('\u{7f}'..='\u{a0}')
        .map(String::from)
        .collect();
    let hidden = [
        '\u{1680}', '\u{2003}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}',
        '\u{2028}', '\u{2029}', '\u{202a}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}',
        '\u{2069}', '\u{3000}', '\u{feff}', '\u{ff20}', '\u{fe6b}',
    ];
    all.extend(hidden.map(String::from));
    all.extend("\"(),:;<>[\\]@%".chars().map(String::from));
    let longer = [
        "\r\nBcc: x@evil.example\r\n",
        "\r\n.\r\n",
        "@evil.example,",
        "@evil.example;",
        "@evil.example ",
        "@evil.example\t",
        "@evil.example\n",
        "%0d%0a",
        "%40",
        "%00",
        "..",
        "(x)",
        "<x@evil.example>",
        "\"@\"",
        "\\@",
        "@@",
        "=?utf-8?q?=40?=@evil.example",
    ];
    all.extend(longer.map(str::to_owned));
    all
}

#[test]
fn three_hundred_texts_that_only_look_like_an_address_are_none() {
    let mut refused = Vec::new();
    for part in fragments() {
        refused.push(format!("ali{part}ce@people.example"));
        refused.push(format!("alice@peo{part}ple.example"));
        refused.push(format!("alice{part}@people.example"));
        refused.push(format!("alice@{part}people.example"));
    }
    for text in [
        "",
        "@",
        "alice",
        "alice@",
        "@people.example",
        "alice@@people.example",
        ".alice@people.example",
        "alice.@people.example",
        "al..ice@people.example",
        "alice@.people.example",
        "alice@people..example",
        "alice@-people.example",
        "alice@people-.example",
        "-alice@people.example",
        "-oQ/tmp@people.example",
        "alice@[127.0.0.1]",
        "alice@[IPv6:::1]",
        "alice@127.0.0.1:25",
        "alice@evil.example@people.example",
        "alice,bob@people.example",
        "alice@people.example,",
        "Alice <alice@people.example>",
        "mailto:alice@people.example",
    ] {
        refused.push(text.to_owned());
    }
    assert!(refused.len() >= 300, "{}", refused.len());
    let taken: Vec<&String> = refused
        .iter()
        .filter(|text| parse_email(text).is_ok())
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
}

#[test]
fn an_address_is_kept_as_it_is_and_known_by_its_key() {
    for local in [
        "alice", "Alice", "a", "a.b", "a+tag", "a_b", "a-b", "o'brien", "1", "a!b", "a#b", "a$b",
        "a&b", "a*b", "a/b", "a=b", "a?b", "a^b", "a`b", "a{b", "a|b", "a}b", "a~b",
    ] {
        let stored = parse_email(&format!("{local}@People.EXAMPLE")).unwrap();
        assert_eq!(
            stored,
            format!("{local}@people.example"),
            "mail goes to what was typed"
        );
        assert_eq!(parse_email(&stored).as_deref(), Ok(stored.as_str()));
    }
    // Whoever writes somebody's address in another way meets the same account, and its mail goes to the stored one.
    for (one, two) in [
        ("alice@people.example", "ALICE@PEOPLE.EXAMPLE"),
        ("mike@people.example", "mi\u{212a}e@people.example"),
        ("alice@people.example", "\u{ff41}lice@people.example"),
        ("strasse@people.example", "stra\u{df}e@people.example"),
        ("jos\u{e9}@people.example", "jose\u{301}@people.example"),
        ("fi@people.example", "\u{fb01}@people.example"),
    ] {
        assert_eq!(name_key(one), name_key(two), "{one} {two}");
    }
    for (one, two) in [
        ("alice@people.example", "al\u{131}ce@people.example"),
        ("alice@people.example", "\u{430}lice@people.example"),
        ("a.lice@people.example", "alice@people.example"),
    ] {
        assert_ne!(name_key(one), name_key(two), "{one} {two}");
    }
}
