//! Quiet hours: a part of each day, in the time of a place, in which nothing is sent.

use std::str::FromStr as _;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::kernel::Timestamp;

/// From one time of day to another, over midnight where it is the later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// When nothing is sent any more, as `22:00`.
    pub from: String,
    /// When it goes on, as `07:00`.
    pub to: String,
    /// The name of the time zone, as `Europe/Berlin`.
    pub time_zone: String,
}

/// Why hours cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietError {
    /// Not a time of day.
    #[error("quietHours has {0:?} where a time of day as \"22:00\" is expected")]
    Time(String),
    /// Not a time zone.
    #[error("quietHours has the time zone {0:?}, which is none: use a name as \"Europe/Berlin\"")]
    Zone(String),
    /// Nothing would ever be sent, or always.
    #[error("quietHours begins when it ends")]
    Empty,
}

impl QuietHours {
    fn parsed(&self) -> Result<(NaiveTime, NaiveTime, Tz), QuietError> {
        let time = |text: &str| {
            NaiveTime::parse_from_str(text, "%H:%M")
                .map_err(|_| QuietError::Time(text.chars().take(16).collect()))
        };
        let (from, to) = (time(&self.from)?, time(&self.to)?);
        let zone = Tz::from_str(&self.time_zone)
            .map_err(|_| QuietError::Zone(self.time_zone.chars().take(64).collect()))?;
        if from == to {
            return Err(QuietError::Empty);
        }
        Ok((from, to, zone))
    }

    /// Looks whether they can be.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self) -> Result<(), QuietError> {
        self.parsed().map(|_| ())
    }

    /// When they end, where they are now; `None` means that mails may go.
    pub fn end_if_now(&self, now: Timestamp) -> Option<Timestamp> {
        let (from, to, zone) = self.parsed().ok()?;
        let now = DateTime::from_timestamp_micros(now.micros())?.with_timezone(&zone);
        let (date, time) = (now.date_naive(), now.time());
        let end = if from < to {
            (from <= time && time < to).then_some(date)?
        } else if time >= from {
            date.checked_add_days(Days::new(1))?
        } else {
            (time < to).then_some(date)?
        };
        let end = moment(zone, end, to)?;
        Some(Timestamp::from_micros(end.timestamp_micros()))
    }
}

/// A time of day at a date and place; where the clocks jump over it, the first moment after.
fn moment(zone: Tz, date: NaiveDate, time: NaiveTime) -> Option<DateTime<Utc>> {
    let local = date.and_time(time);
    let found = zone.from_local_datetime(&local);
    found
        .earliest()
        .or_else(|| {
            let later = local.checked_add_signed(chrono::Duration::hours(1))?;
            zone.from_local_datetime(&later).earliest()
        })
        .map(|at| at.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
        QuietHours {
            from: from.into(),
            to: to.into(),
            time_zone: zone.into(),
        }
    }

    fn at(text: &str) -> Timestamp {
        let at = DateTime::parse_from_rfc3339(text).unwrap();
        Timestamp::from_micros(at.timestamp_micros())
    }

    #[test]
    fn a_night_is_over_midnight_and_in_the_time_of_its_place() {
        let night = hours("22:00", "07:00", "Europe/Berlin");
        for (now, end) in [
            ("2026-07-01T19:59:59Z", None),
            ("2026-07-01T20:00:00Z", Some("2026-07-02T05:00:00Z")),
            ("2026-07-02T04:59:59Z", Some("2026-07-02T05:00:00Z")),
            ("2026-07-02T05:00:00Z", None),
            // An hour later in winter.
            ("2026-12-01T20:30:00Z", None),
            ("2026-12-01T21:30:00Z", Some("2026-12-02T06:00:00Z")),
        ] {
            assert_eq!(night.end_if_now(at(now)), end.map(at), "{now}");
        }
        let noon = hours("12:00", "13:00", "Asia/Kolkata");
        assert_eq!(
            noon.end_if_now(at("2026-07-01T07:00:00Z")),
            Some(at("2026-07-01T07:30:00Z"))
        );
        assert_eq!(noon.end_if_now(at("2026-07-01T12:30:00Z")), None);
    }

    #[test]
    fn an_end_that_the_clocks_jump_over_is_an_hour_later() {
        let night = hours("22:00", "02:30", "Europe/Berlin");
        assert_eq!(
            night.end_if_now(at("2026-03-29T00:30:00Z")),
            Some(at("2026-03-29T01:30:00Z"))
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(hours("22:00", "07:00", "Europe/Berlin").check().is_ok());
        for (hours, word) in [
            (hours("25:00", "07:00", "Europe/Berlin"), "22:00"),
            (hours("22:00", "late", "Europe/Berlin"), "22:00"),
            (hours("22:00", "07:00", "Berlin"), "Europe/Berlin"),
            (hours("07:00", "07:00", "UTC"), "begins when it ends"),
        ] {
            let said = hours.check().unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
