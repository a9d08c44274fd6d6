//! Health on the management port, in the shape of Keycloak's (hardening H023).
//!
//! `live` says that the process answers. `ready` says that requests may be sent here: the database is reached and has
//! the schema, the signing keys are in memory, the clocks agree, and nobody has told the node to stop. Mail servers
//! that cannot be used make a node no worse than its neighbours, so they are only called degraded.

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::kernel::Timestamp;
use crate::mail::pause;
use crate::oidc::engine::Engine;
use crate::oidc::provision::MASTER;
use crate::store::{StoreError, Tx, migrations};

/// A node that is further from the database's clock than this is not ready (reliability R-14).
const MAX_SKEW: i64 = 30;

/// `/health/live`, `/health/started`.
pub(super) async fn up() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "UP", "checks": [] }))
}

/// What one look at the database tells.
struct Seen {
    now: Timestamp,
    missing: Vec<String>,
    keys: bool,
    resting: usize,
}

fn look(tx: &mut Tx<'_>, engine: &Engine) -> Result<Seen, StoreError> {
    let missing = migrations::missing(tx)?;
    // Without the schema there is nothing more to ask.
    if !missing.is_empty() {
        let (keys, resting) = (false, 0);
        let now = tx.now()?;
        return Ok(Seen {
            now,
            missing,
            keys,
            resting,
        });
    }
    let master = engine.catalog.current(tx, MASTER);
    let keys = match master {
        Ok(config) => config.is_some_and(|config| config.keys.iter().next().is_some()),
        // A key that the master key does not open.
        Err(StoreError::Sealed(_)) => false,
        Err(error) => return Err(error),
    };
    Ok(Seen {
        resting: pause::all(tx)?.len(),
        now: tx.now()?,
        missing,
        keys,
    })
}

/// `/health/ready`: 200 where every check is up, else 503 and which is not.
pub(super) async fn ready(
    engine: web::Data<Engine>,
    draining: web::Data<AtomicBool>,
) -> HttpResponse {
    let shared = engine.clone();
    let seen = engine
        .store
        .run(move |store| store.read(|tx| look(tx, &shared)))
        .await;
    let here = engine.store.clock().now();
    let serving = !draining.load(Ordering::SeqCst);
    let seen = match seen {
        Ok(seen) => Some(seen),
        Err(error) => {
            tracing::warn!(%error, "not ready: the database cannot be asked");
            None
        }
    };
    let check = |name: &str, up: bool, data: Value| {
        let mut check = json!({ "name": name, "status": if up { "UP" } else { "DOWN" } });
        if let (Value::Object(check), Value::Object(_)) = (&mut check, &data) {
            check.insert("data".to_owned(), data);
        }
        (up, check)
    };
    let mut checks = vec![check("database", seen.is_some(), Value::Null)];
    let mut degraded = Vec::new();
    if let Some(seen) = &seen {
        let skew = here.seconds_since(seen.now);
        let missing = json!({ "missing": seen.missing });
        let schema = seen.missing.is_empty();
        checks.push(check(
            "schema",
            schema,
            if schema { Value::Null } else { missing },
        ));
        checks.push(check("keys", seen.keys, Value::Null));
        checks.push(check(
            "clock",
            skew.abs() <= MAX_SKEW,
            json!({ "secondsAhead": skew }),
        ));
        if seen.resting > 0 {
            degraded.push(json!({
                "name": "smtp", "status": "DEGRADED", "data": { "restingRealms": seen.resting }
            }));
        }
    }
    checks.push(check("serving", serving, Value::Null));
    let up = checks.iter().all(|(up, _)| *up);
    let checks: Vec<Value> = checks
        .into_iter()
        .map(|(_, check)| check)
        .chain(degraded)
        .collect();
    let body = json!({ "status": if up { "UP" } else { "DOWN" }, "checks": checks });
    if up {
        HttpResponse::Ok().json(body)
    } else {
        HttpResponse::ServiceUnavailable().json(body)
    }
}
