//! Two nodes on one PostgreSQL.

use super::process::Place;
use crate::support::services;

/// An empty database of its own on the tests' server.
async fn database() -> Option<String> {
    let server = services::postgres_url()?;
    let (client, connection) = tokio_postgres::connect(&server, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let name = format!("operations_{}", std::process::id());
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&name);
    Some(url.into())
}

/// V193: and doctor warns of the missing synchronous standby.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_a_database_and_stop_before_the_master_key_is_rotated() {
    let Some(database) = database().await else {
        return;
    };
    let first = Place::new().set("VESTIBULE_DATABASE_URL", &database);
    let second = Place::new()
        .set("VESTIBULE_DATABASE_URL", &database)
        .set(
            "VESTIBULE_MASTER_KEY_FILE",
            first.path("master.key").display().to_string(),
        )
        .set("VESTIBULE_PUBLIC_URL", first.url());
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let runs = [&first, &second]
                .map(|place| scope.spawn(|| place.run(&["migrate", "--json"]).json()));
            let ids = runs.map(|run| run.join().unwrap()["masterKey"]["id"].clone());
            assert_eq!(ids[0], ids[1]);
        });
        let stranger = Place::new().set("VESTIBULE_DATABASE_URL", &database);
        stranger
            .run(&["migrate"])
            .refused(2, "there is no master key");

        // At once: one of them makes realm master, which holds the other one up for as long as keys take.
        let (one, two) = std::thread::scope(|scope| {
            let runs = [&first, &second].map(|place| scope.spawn(|| place.serve()));
            let [one, two] = runs.map(|run| run.join().unwrap());
            (one, two)
        });
        let jwks = "/realms/master/protocol/openid-connect/certs";
        let keys = one.get(jwks).json();
        assert_eq!(keys, two.get(jwks).json());
        for arguments in [["admin", "create", "boss"], ["admin", "reset", "boss"]] {
            let ran = second.run(&arguments);
            assert_eq!(ran.code, 0, "{}", ran.err);
        }
        first
            .run(&["keys", "rotate-master"])
            .refused(1, "stop every node first");
        drop((one, two));

        let rotated = first.run(&["keys", "rotate-master", "--json"]).json();
        assert!(rotated["resealed"]["signingKeys"].as_u64().unwrap() >= 3);
        let again = second.serve();
        assert_eq!(again.get(jwks).json(), keys);
        let doctor = first.run(&["doctor"]);
        assert!(
            doctor.out.contains("no standby is synchronous"),
            "{}",
            doctor.out
        );
    });
}
