//! When a mail that was refused for now is tried again (reliability R-05).

use crate::kernel::{Entropy, Timestamp};

/// Minutes between one try and the next; with the longest jitter all of them lie within 24 hours.
const MINUTES: [i64; 7] = [1, 5, 15, 60, 360, 360, 360];

/// The time of the next try after `attempts` earlier ones and the one that just failed; `None` gives up, also where
/// the mail will have expired by then.
pub fn next_try(
    attempts: i64,
    now: Timestamp,
    expires_at: Timestamp,
    entropy: &Entropy,
) -> Option<Timestamp> {
    let [random] = entropy.bytes::<1>();
    let at = after(usize::try_from(attempts).ok()?, now, random)?;
    (at < expires_at).then_some(at)
}

/// A delay of the schedule, made up to 20 % shorter or longer, so that many mails do not come back at once.
fn after(attempts: usize, now: Timestamp, random: u8) -> Option<Timestamp> {
    let seconds = MINUTES.get(attempts)?.saturating_mul(60);
    let percent = 80_i64.saturating_add(i64::from(random).saturating_mul(40) / 255);
    Some(now.plus_seconds(seconds.saturating_mul(percent) / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_stay_within_a_fifth_and_end_within_a_day() {
        let start = Timestamp::from_seconds(1_000_000);
        for (random, percent) in [(0, 80), (255, 120)] {
            let mut now = start;
            for (attempts, minutes) in MINUTES.into_iter().enumerate() {
                let next = after(attempts, now, random).unwrap();
                assert_eq!(next.seconds_since(now), minutes * 60 * percent / 100);
                now = next;
            }
            assert_eq!(after(MINUTES.len(), now, random), None);
            assert!(now.seconds_since(start) <= 24 * 3600);
        }
    }

    #[test]
    fn nothing_is_tried_after_it_has_expired() {
        let now = Timestamp::from_seconds(1_000_000);
        let soon = now.plus_seconds(45);
        assert_eq!(next_try(0, now, soon, &Entropy), None);
        let later = next_try(0, now, now.plus_seconds(600), &Entropy).unwrap();
        assert!((48..=72).contains(&later.seconds_since(now)));
    }
}
