//! The pages of the account for the gallery.

use super::*;

/// Each in every shape, with `words` wherever words come from outside.
pub(super) fn gallery(words: &dyn Fn(&str) -> String) -> Vec<Sample> {
    let action = || words("/realms/demo/account/email");
    let account = |name: &str, addresses: [Option<&str>; 2], changes: bool| {
        let [email, new_email] = addresses.map(|address| address.map(words));
        Account {
            sign_out: action(),
            flow: words("q3J0c2Fh"),
            username: words("alice"),
            name: name.to_owned(),
            email,
            new_email,
            change_email: Href::to("/realms/demo/account/email").filter(|_| changes),
        }
    };
    let own = Some("alice@example.org");
    let change = ChangeEmail {
        action: action(),
        flow: words("q3J0c2Fh"),
        account: words("alice"),
        present: own.map(words),
        pending: None,
        email: Field::default(),
        back: Href::to("/realms/demo/account/"),
    };
    let refused = ChangeEmail {
        present: None,
        pending: Some(words("alice@example.net")),
        email: Field {
            value: words("alice@example.com"),
            error: Some(Text::key("change-email-later").with("count", 12_u32)),
        },
        ..change.clone()
    };
    let moving = [own, Some("alice@example.net")];
    vec![
        sample("account", account("Alice Example", [own, None], true)),
        sample("account-moving", account("Alice Example", moving, true)),
        sample("account-bare", account("", [None; 2], false)),
        sample("change-email", change),
        sample("change-email-refused", refused),
    ]
}
