//! Where the mail servers may lie that realms name (threat V100).

use crate::mail::pause::Trouble;

use super::server::{Script, Server as Fake};
use super::*;

fn opened(networks: &[&str]) -> Options {
    Options {
        outbound: Outbound::new(networks.iter().map(|text| text.parse().unwrap())),
        insecure_plain: true,
        timing: HASTY,
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_names_no_server_outside_the_networks_that_the_operator_opened() {
    let server = Fake::start(Script::default()).await;
    let connections = || server.seen.lock().connections;
    let database = sqlite();
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"] {
        let mut settings = smtp(server.port);
        settings["host"] = host.into();
        let database = sqlite();
        let rig = Rig::with(&database, settings, opened(&["10.0.0.0/8"]));
        let tried = rig
            .mailer
            .try_settings(&rig.realm, "a@people.example", Locale::ENGLISH);
        for refused in [rig.mailer.probe(&rig.realm).await, tried.await] {
            let Err(Failure::Server(Trouble::Configuration, why)) = refused else {
                panic!("{host}: {refused:?}");
            };
            assert!(why.contains("outbound_networks"), "{why}");
        }
    }
    assert_eq!(connections(), 0, "nobody was asked");

    // In one of them, with none opened, and where the operator names the server himself.
    let rig = Rig::with(&database, smtp(server.port), opened(&["127.0.0.0/8"]));
    assert_eq!(rig.mailer.probe(&rig.realm).await, Ok(()));
    let realm = rig.realm.clone();
    let open = Mailer::new(
        database.store.clone(),
        (Arc::clone(&rig.mailer.inner.keyring), Entropy),
        (Arc::new(Texts::builtin()), Arc::new(NoLinks)),
        &"https://id.rosewood.example".parse().unwrap(),
        opened(&[]),
    )
    .unwrap();
    assert_eq!(open.probe(&realm).await, Ok(()));
    let mut default = opened(&["10.0.0.0/8"]);
    let route = rig.mailer.inner.route(&realm).unwrap();
    default.default = Some(DefaultTransport {
        server: Server {
            of_realm: false,
            ..route.server
        },
        from: "no-reply@id.example".parse().unwrap(),
    });
    let database = sqlite();
    let rig = Rig::with(&database, json!({}), default);
    assert_eq!(rig.mailer.probe(&rig.realm).await, Ok(()));
    assert_eq!(connections(), 3);
}

#[test]
fn servers_share_connections_where_all_that_is_said_of_them_is_the_same() {
    let server = |change: &dyn Fn(&mut Server)| {
        let mut server = Server {
            host: "mail.example".into(),
            port: 587,
            security: Security::StartTls,
            login: Some(Login {
                user: "idp".into(),
                proof: Proof::Password("a secret".into()),
            }),
            of_realm: true,
        };
        change(&mut server);
        server.name()
    };
    let same = server(&|_| {});
    assert_eq!(same, server(&|_| {}));
    assert!(!same.contains("secret"));
    let login = |user: &str, password: &str| {
        Some(Login {
            user: user.into(),
            proof: Proof::Password(password.into()),
        })
    };
    let others = [
        server(&|server| server.host = "mail2.example".into()),
        server(&|server| server.port = 25),
        server(&|server| server.security = Security::Implicit),
        server(&|server| server.of_realm = false),
        server(&|server| server.login = None),
        server(&|server| server.login = login("idp", "another")),
        server(&|server| server.login = login("idpa", " secret")),
    ];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(&same, other, "{at}");
        assert!(!others[..at].contains(other), "{at}");
    }
}
