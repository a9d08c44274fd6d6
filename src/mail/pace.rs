//! How fast the mails of a batch may go: token buckets as rows, shared by all nodes.
//!
//! A bucket knows how far apart mails are and how many may come at once, which is one second's worth, or half of it where
//! minutes are counted; what it stores is the time at which it would be full again. So in any minute there are at most as
//! many mails as are allowed in one, and half a second's worth more; together with those that were held up on their way
//! that stays within two percent (reliability R-06). Tokens are taken in the transaction that leases the mails; a
//! mail for which there is none waits until there will be one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::prelude::*;

use super::CONNECTIONS;
use crate::kernel::Timestamp;
use crate::store::schema::mail_paces;
use crate::store::{StoreError, Tx, db, dialect};

/// How often, and how long apart, buckets are looked for that another node has: it needs them for milliseconds, unless
/// it was frozen with them.
const LOOKS: u32 = 8;
const BETWEEN_LOOKS: Duration = Duration::from_millis(15);

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

/// The buckets that a mail may have to do with.
fn all_names(batch: &str, recipient: &str) -> impl Iterator<Item = String> + use<> {
    [
        second(batch),
        minute(batch),
        domains(batch),
        domain(batch, recipient),
    ]
    .into_iter()
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
#[derive(Clone, Copy)]
pub(super) struct Due<'a> {
    /// Its batch, if it is part of one.
    pub batch: Option<&'a str>,
    /// Where it goes.
    pub recipient: &'a str,
}

/// When a mail may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Now; its tokens are taken.
    Now,
    /// At that time, if nobody comes first.
    At(Timestamp),
    /// When one of those that are on their way has arrived, or the node that has its buckets is done with them.
    Next,
}

/// Takes tokens for as many of these mails as there are, and says of each when it may go; `taken` are on their way
/// already.
pub(super) fn take(
    tx: &mut Tx<'_>,
    (due, taken): (&[Due<'_>], usize),
    now: Timestamp,
) -> Result<Vec<Turn>, StoreError> {
    let mut names: Vec<String> = due
        .iter()
        .filter_map(|mail| Some((mail.batch?, mail.recipient)))
        .flat_map(|(batch, to)| all_names(batch, to))
        .collect();
    if names.is_empty() {
        return Ok(vec![Turn::Now; due.len()]);
    }
    names.sort_unstable();
    names.dedup();
    let (mut buckets, held) = lock(tx, names)?;
    if buckets.is_empty() && held.is_empty() {
        return Ok(vec![Turn::Now; due.len()]);
    }
    let is_free = |mail: &Due<'_>| {
        mail.batch
            .is_none_or(|batch| all_names(batch, mail.recipient).all(|name| !held.contains(&name)))
    };
    let free: Vec<bool> = due.iter().map(is_free).collect();
    let mine: Vec<Due<'_>> = (due.iter().zip(&free))
        .filter_map(|(mail, free)| free.then_some(*mail))
        .collect();
    for mail in &mine {
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
    let mut answers = shares(&mut buckets, (&mine, taken), now).into_iter();
    for (name, bucket) in &buckets {
        if loaded.get(name) != Some(bucket) {
            db!(tx, |c| diesel::update(
                mail_paces::table.filter(mail_paces::name.eq(name))
            )
            .set(mail_paces::next_at.eq(bucket.next_at))
            .execute(c))?;
        }
    }
    let turn = |free: bool| free.then(|| answers.next()).flatten();
    Ok(free
        .into_iter()
        .map(turn)
        .map(|own| own.unwrap_or(Turn::Next))
        .collect())
}

/// Locks what there is of these buckets. Those that another node keeps to itself are only named: it may be frozen, and
/// the mails of others shall not wait for it.
fn lock(
    tx: &mut Tx<'_>,
    names: Vec<String>,
) -> Result<(BTreeMap<String, Bucket>, BTreeSet<String>), StoreError> {
    let mut buckets = BTreeMap::new();
    let mut missing = names;
    for _ in 0..LOOKS {
        let (locked, held) = dialect::lock_paces(tx, &missing)?;
        buckets.extend(locked.into_iter().map(|(name, every, burst, next_at)| {
            let bucket = Bucket {
                every,
                burst,
                next_at,
            };
            (name, bucket)
        }));
        missing = held;
        if missing.is_empty() {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    Ok((buckets, missing.into_iter().collect()))
}

/// How many mails with a pace may be on their way at a time: an eighth of a second's worth of the slowest of their
/// buckets. Tokens are taken when a mail sets out, so if its server hangs for a while, that many arrive at once later.
fn abreast(buckets: &BTreeMap<String, Bucket>, names: &[String]) -> Option<usize> {
    let bursts = names.iter().filter_map(|name| buckets.get(name));
    let slowest = bursts.map(|bucket| bucket.burst).min()?;
    Some(usize::try_from(slowest / 8).unwrap_or(0).max(CONNECTIONS))
}

/// Takes what can be taken; the others are spread over the time to come, each after the one before it.
fn shares(
    buckets: &mut BTreeMap<String, Bucket>,
    (due, taken): (&[Due<'_>], usize),
    now: Timestamp,
) -> Vec<Turn> {
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
    let mut turns = vec![Turn::Now; due.len()];
    let mut late = Vec::new();
    let mut under_way = taken;
    for ((turn, mail), place) in turns.iter_mut().zip(due).zip(0..) {
        let names = own(mail);
        if ready(buckets, &names) > now {
            late.push((place, names));
        } else if abreast(buckets, &names).is_some_and(|most| under_way >= most) {
            *turn = Turn::Next;
        } else {
            take(buckets, &names, now);
            under_way = under_way.saturating_add(1);
        }
    }
    // What comes later is only a guess, so it is not stored.
    let mut ahead = buckets.clone();
    for (place, names) in late {
        let at = ready(&ahead, &names);
        take(&mut ahead, &names, at);
        if let Some(turn) = turns.get_mut::<usize>(place) {
            *turn = Turn::At(at);
        }
    }
    turns
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
            let answers = shares(&mut buckets, (&due, 0), Timestamp::from_micros(now));
            for (mail, answer) in due.iter().zip(answers) {
                if answer == Turn::Now {
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
        let answers = shares(&mut buckets, (&due, 0), now);
        let later = |micros| Turn::At(Timestamp::from_micros(now.micros() + micros));
        assert_eq!(
            answers,
            [
                Turn::Now,
                Turn::Now,
                later(500_000),
                later(1_000_000),
                later(1_500_000)
            ]
        );
        let single = [Due {
            batch: None,
            recipient: T,
        }];
        assert_eq!(shares(&mut buckets, (&single, 9), now), [Turn::Now]);
    }

    #[test]
    fn few_of_a_slow_batch_are_on_their_way_at_a_time() {
        let due: Vec<Due<'_>> = (0..40)
            .map(|_| Due {
                batch: Some("b"),
                recipient: T,
            })
            .collect();
        let now = Timestamp::from_seconds(1_000_000);
        for (per_second, taken, go) in [(10, 0, CONNECTIONS), (10, 3, 1), (10, 4, 0), (160, 0, 20)]
        {
            let mut buckets = BTreeMap::from([(second("b"), Bucket::of_second(per_second))]);
            let turns = shares(&mut buckets, (&due, taken), now);
            let count = |wanted| turns.iter().filter(|turn| **turn == wanted).count();
            assert_eq!(
                (count(Turn::Now), count(Turn::Next)),
                (go, 40 - go),
                "{per_second}"
            );
        }
    }
}
