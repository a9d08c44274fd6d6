//! The goals: what the fastest peer did, carried over to this machine.
//!
//! The peers' figures (npm oidc-provider 9.13, which keeps everything in memory, and Rauthy 0.35,
//! each at its best) are from one two-core machine with the generator on the same cores. What that
//! machine signed and hashed per second on one thread is known, so each goal is multiplied by what
//! this machine signs or hashes in comparison. The goals stay meant for two cores.

use std::time::Duration;

use crate::limits::{Limits, Rate};
use crate::scenario::Scenario;

/// From the start of the process to ready, with an empty database.
pub const READY_WITHIN: Duration = Duration::from_millis(500);
/// Resident memory before the first request.
pub const IDLE_MIB: f64 = 60.0;
/// JWKS while passwords are being guessed.
pub const FLOOD_JWKS_P99_MS: f64 = 20.0;
/// The answer to somebody whose password is not looked at under a flood.
pub const FLOOD_SHED_P99_MS: f64 = 2_500.0;
/// From the end of a flood to a sign-in that works.
pub const FLOOD_RECOVERED_WITHIN: Duration = Duration::from_secs(5);

/// What one Argon2 hash holds while it runs.
const ARGON2_MIB: f64 = 19.0;

/// The reference machine, per second on one thread.
const REFERENCE_ES256: f64 = 50_600.0;
const REFERENCE_RS256: f64 = 2_821.0;
const REFERENCE_ARGON2: f64 = 69.0;

/// The best peer's figures at 1, 16 and 64 connections on the reference machine; where it was
/// measured at one of the two larger numbers only, that figure stands for both.
fn best_peer(scenario: Scenario) -> [Option<f64>; 3] {
    match scenario {
        Scenario::Discovery => [None, Some(52_000.0), Some(51_300.0)],
        Scenario::Jwks => [None, Some(72_600.0), Some(70_400.0)],
        Scenario::CcEs256 => [Some(5_800.0), Some(10_300.0), Some(10_200.0)],
        Scenario::CcRs256 => [Some(1_630.0), Some(3_200.0), Some(3_250.0)],
        Scenario::RefreshRotate | Scenario::RefreshKeep => {
            [Some(1_150.0), Some(3_150.0), Some(3_150.0)]
        }
        Scenario::Userinfo => [Some(4_500.0), Some(15_000.0), Some(15_000.0)],
        Scenario::Introspect => [Some(10_800.0), Some(13_500.0), Some(13_000.0)],
        Scenario::Login => [Some(33.0), Some(90.0), Some(90.0)],
        Scenario::Flood => [None, None, None],
    }
}

/// The goal of a scenario on this machine, per second; none where no peer was measured.
pub fn per_second(scenario: Scenario, connections: usize, limits: &Limits) -> Option<f64> {
    let [at_1, at_16, at_64] = best_peer(scenario);
    let peer = match connections {
        1 => at_1,
        16 => at_16,
        64 => at_64,
        _ => None,
    }?;
    let speed = |now: Rate, reference: f64| now.one_thread / reference;
    Some(match scenario {
        Scenario::CcRs256 => peer * speed(limits.rs256, REFERENCE_RS256),
        Scenario::Login | Scenario::Flood => peer * speed(limits.argon2, REFERENCE_ARGON2),
        Scenario::Discovery
        | Scenario::Jwks
        | Scenario::CcEs256
        | Scenario::RefreshRotate
        | Scenario::RefreshKeep
        | Scenario::Userinfo
        | Scenario::Introspect => peer * speed(limits.es256, REFERENCE_ES256),
    })
}

/// The most memory that a flood may lead to: what was resident before and one hash per core, and
/// a tenth more.
pub fn flood_peak_mib(before: f64, limits: &Limits) -> f64 {
    // No machine has more cores than an f64 holds exactly.
    (before + limits.cores as f64 * ARGON2_MIB) * 1.1
}

/// The word for a goal that was or was not met.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
