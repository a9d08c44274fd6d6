//! How fast the mails of a batch may go: token buckets as rows, shared by all nodes.
//!
//! A bucket knows how far apart mails are and how many may come at once, which is one second's worth, or half of it where
//! minutes are counted; what it stores is the time at which it would be full again. So in any minute there are at most as
//! many mails as are allowed in one, and half a second's worth more; together with those that were held up on their way
//! that stays within two percent (reliability R-06). Tokens are taken in the transaction that leases the mails; a
//! mail for which there is none waits until there will be one.

use std::collections::BTreeMap;

use diesel::prelude::*;

use crate::kernel::Timestamp;
use crate::store::schema::mail_paces;
use crate::store::{StoreError, Tx, db, dialect};

/// What a batch of mails is allowed; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Mails in a second.
    pub per_second: Option<i64>,
    /// Mails in a minute.
    pub per_minute: Option<i64>,
    /// Mails in a minute to addresses of one domain.
    pub per_domain_minute: Option<i64>,
}

/// A bucket, as loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    every: i64,
    burst: i64,
    next_at: Timestamp,
}

impl Bucket {
    /// `count` mails in a second, all of them at once where nothing came before.
    fn of_second(count: i64) -> Self {
        let count = count.max(1);
        Self {
            every: 1_000_000 / count,
            burst: count,
            next_at: Timestamp::from_micros(0),
        }
    }

    /// `count` mails in a minute, half a second's worth at once.
    fn of_minute(count: i64) -> Self {
        let count = count.max(1);
        Self {
            every: 60_000_000 / count,
            burst: (count / 120).max(1),
            next_at: Timestamp::from_micros(0),
        }
    }

    /// From when there is a token.
    fn ready_at(&self) -> Timestamp {
        let ahead = self.every.saturating_mul(self.burst.saturating_sub(1));
        Timestamp::from_micros(self.next_at.micros().saturating_sub(ahead))
    }

    fn take(&mut self, at: Timestamp) {
        let from = self.next_at.max(at);
        self.next_at = Timestamp::from_micros(from.micros().saturating_add(self.every));
    }
}

fn second(batch: &str) -> String {
    format!("{batch}/second")
}

fn minute(batch: &str) -> String {
    format!("{batch}/minute")
}

/// What the buckets of domains are made of.
fn domains(batch: &str) -> String {
    format!("{batch}/domain")
}

fn domain(batch: &str, recipient: &str) -> String {
    let domain = recipient.rsplit('@').next().unwrap_or_default();
    format!("{batch}/domain/{}", domain.to_lowercase())
}

/// Gives a batch its buckets; those it has keep what they have counted.
///
/// # Errors
/// The database fails.
pub fn set(tx: &mut Tx<'_>, batch: &str, pace: Pace) -> Result<(), StoreError> {
    let wanted = [
        (second(batch), pace.per_second.map(Bucket::of_second)),
        (minute(batch), pace.per_minute.map(Bucket::of_minute)),
        (
            domains(batch),
            pace.per_domain_minute.map(Bucket::of_minute),
        ),
    ];
    for (name, bucket) in wanted {
        if let Some(bucket) = bucket {
            insert(tx, batch, &name, &bucket)?;
        }
    }
    Ok(())
}

/// Forgets a batch's buckets: nothing of it will be sent any more.
///
/// # Errors
/// The database fails.
pub fn clear(tx: &mut Tx<'_>, batch: &str) -> Result<(), StoreError> {
    db!(tx, |c| diesel::delete(
        mail_paces::table.filter(mail_paces::batch.eq(batch))
    )
    .execute(c))?;
    Ok(())
}

fn insert(tx: &mut Tx<'_>, batch: &str, name: &str, bucket: &Bucket) -> Result<(), StoreError> {
    db!(tx, |c| diesel::insert_into(mail_paces::table)
        .values((
            mail_paces::name.eq(name),
            mail_paces::batch.eq(batch),
            mail_paces::every.eq(bucket.every),
            mail_paces::burst.eq(bucket.burst),
            mail_paces::next_at.eq(bucket.next_at),
        ))
        .on_conflict(mail_paces::name)
        .do_nothing()
        .execute(c))?;
    Ok(())
}

/// A mail that is due.
pub(super) struct Due<'a> {
    /// Its batch, if it is part of one.
    pub batch: Option<&'a str>,
    /// Where it goes.
    pub recipient: &'a str,
}

/// Takes tokens for as many of these mails as there are, and answers for each of the others when it may go.
pub(super) fn take(
    tx: &mut Tx<'_>,
    due: &[Due<'_>],
    now: Timestamp,
) -> Result<Vec<Option<Timestamp>>, StoreError> {
    let mut names: Vec<String> = due
        .iter()
        .filter_map(|mail| Some((mail.batch?, mail.recipient)))
        .flat_map(|(batch, to)| {
            [
                second(batch),
                minute(batch),
                domains(batch),
                domain(batch, to),
            ]
        })
        .collect();
    if names.is_empty() {
        return Ok(vec![None; due.len()]);
    }
    names.sort_unstable();
    names.dedup();
    let mut buckets: BTreeMap<String, Bucket> = dialect::lock_paces(tx, &names)?
        .into_iter()
        .map(|(name, every, burst, next_at)| {
            (
                name,
                Bucket {
                    every,
                    burst,
                    next_at,
                },
            )
        })
        .collect();
    if buckets.is_empty() {
        return Ok(vec![None; due.len()]);
    }
    for mail in due {
        let Some(batch) = mail.batch else { continue };
        let own = domain(batch, mail.recipient);
        if let Some(pattern) = buckets.get(&domains(batch)).cloned()
            && !buckets.contains_key(&own)
        {
            insert(tx, batch, &own, &pattern)?;
            buckets.insert(own, pattern);
        }
    }
    let loaded = buckets.clone();
    let answers = shares(&mut buckets, due, now);
    for (name, bucket) in &buckets {
        if loaded.get(name) != Some(bucket) {
            db!(tx, |c| diesel::update(
                mail_paces::table.filter(mail_paces::name.eq(name))
            )
            .set(mail_paces::next_at.eq(bucket.next_at))
            .execute(c))?;
        }
    }
    Ok(answers)
}

/// Takes what can be taken; the others are spread over the time to come, each after the one before it.
fn shares(
    buckets: &mut BTreeMap<String, Bucket>,
    due: &[Due<'_>],
    now: Timestamp,
) -> Vec<Option<Timestamp>> {
    let own = |mail: &Due<'_>| -> Vec<String> {
        mail.batch.map_or_else(Vec::new, |batch| {
            vec![second(batch), minute(batch), domain(batch, mail.recipient)]
        })
    };
    let ready = |buckets: &BTreeMap<String, Bucket>, names: &[String]| {
        names
            .iter()
            .filter_map(|name| buckets.get(name))
            .map(Bucket::ready_at)
            .max()
            .unwrap_or(now)
    };
    let take = |buckets: &mut BTreeMap<String, Bucket>, names: &[String], at| {
        for name in names {
            if let Some(bucket) = buckets.get_mut(name) {
                bucket.take(at);
            }
        }
    };
    let mut answers = vec![None; due.len()];
    let mut late = Vec::new();
    for (place, mail) in due.iter().enumerate() {
        let names = own(mail);
        if ready(buckets, &names) <= now {
            take(buckets, &names, now);
        } else {
            late.push((place, names));
        }
    }
    // What comes later is only a guess, so it is not stored.
    let mut ahead = buckets.clone();
    for (place, names) in late {
        let at = ready(&ahead, &names);
        take(&mut ahead, &names, at);
        if let Some(answer) = answers.get_mut(place) {
            *answer = Some(at);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "a@x.example";

    /// Sends as fast as it may for `seconds` and answers the times, in microseconds.
    fn run(pace: Pace, seconds: i64, recipients: &[&str]) -> Vec<(i64, String)> {
        let mut buckets = BTreeMap::new();
        if let Some(count) = pace.per_second {
            buckets.insert(second("b"), Bucket::of_second(count));
        }
        if let Some(count) = pace.per_minute {
            buckets.insert(minute("b"), Bucket::of_minute(count));
        }
        if let Some(count) = pace.per_domain_minute {
            for to in recipients {
                buckets.insert(domain("b", to), Bucket::of_minute(count));
            }
        }
        let start = 1_000_000_000_000;
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + seconds * 1_000_000 {
            let due: Vec<Due<'_>> = recipients
                .iter()
                .map(|recipient| Due {
                    batch: Some("b"),
                    recipient,
                })
                .collect();
            let answers = shares(&mut buckets, &due, Timestamp::from_micros(now));
            for (mail, answer) in due.iter().zip(answers) {
                if answer.is_none() {
                    sent.push((now, domain("b", mail.recipient)));
                }
            }
            now += 7_000;
        }
        sent
    }

    fn most_in(sent: &[(i64, String)], window: i64) -> usize {
        (0..sent.len())
            .map(|from| {
                let end = sent[from].0 + window;
                sent[from..].iter().take_while(|(at, _)| *at < end).count()
            })
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn no_minute_has_more_than_the_limit_and_two_percent() {
        let pace = Pace {
            per_minute: Some(600),
            ..Pace::default()
        };
        let sent = run(pace, 200, &[T; 20]);
        assert!(
            most_in(&sent, 60_000_000) <= 612,
            "{}",
            most_in(&sent, 60_000_000)
        );
        assert!(sent.len() >= 1990, "and it is used up: {}", sent.len());
    }

    #[test]
    fn no_second_has_more_than_two_seconds_worth() {
        let pace = Pace {
            per_second: Some(50),
            ..Pace::default()
        };
        let sent = run(pace, 20, &[T; 100]);
        assert!(most_in(&sent, 1_000_000) <= 100);
        assert!((1000..=1050).contains(&sent.len()), "{}", sent.len());
    }

    #[test]
    fn a_slow_domain_holds_up_no_other() {
        let pace = Pace {
            per_second: Some(100),
            per_domain_minute: Some(6),
            ..Pace::default()
        };
        let sent = run(pace, 120, &["a@slow.example", "b@other.example"]);
        for domain in ["b/domain/slow.example", "b/domain/other.example"] {
            let of: Vec<_> = sent
                .iter()
                .filter(|(_, to)| to == domain)
                .cloned()
                .collect();
            assert!((12..=13).contains(&of.len()), "{domain}: {}", of.len());
        }
    }

    #[test]
    fn who_has_to_wait_is_told_one_time_each() {
        let mut buckets = BTreeMap::from([(second("b"), Bucket::of_second(2))]);
        let due: Vec<Due<'_>> = (0..5)
            .map(|_| Due {
                batch: Some("b"),
                recipient: T,
            })
            .collect();
        let now = Timestamp::from_seconds(1_000_000);
        let answers = shares(&mut buckets, &due, now);
        let wait: Vec<Option<i64>> = answers
            .iter()
            .map(|at| at.map(|at| at.micros() - now.micros()))
            .collect();
        assert_eq!(
            wait,
            [None, None, Some(500_000), Some(1_000_000), Some(1_500_000)]
        );
        let single = [Due {
            batch: None,
            recipient: T,
        }];
        assert_eq!(shares(&mut buckets, &single, now), [None]);
    }
}
