//! The doctor's look at the TLS certificate: readable, with its key, for the right name, and not about to end.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::Finding;
use crate::config::Config;
use crate::kernel::{Clock, Timestamp};
use crate::web::tls::Certificates;

const TLS: &str = "tls";

/// Days before its end at which a certificate should have been renewed.
const SOON: i64 = 14;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let Some(https) = &config.listeners.https else {
        return vec![Finding::ok(TLS, "no https listener of its own")];
    };
    let certificate = match Certificates::load(&https.cert, &https.key) {
        Ok(certificates) => certificates.end_entity(),
        Err(error) => {
            return vec![Finding::wrong(
                TLS,
                error.to_string(),
                "VESTIBULE_TLS_CERT must name a PEM file with the whole chain, VESTIBULE_TLS_KEY its key",
            )];
        }
    };
    let Some(certificate) = certificate else {
        return Vec::new();
    };
    vec![
        validity(not_after(&certificate), Clock::system().now()),
        name(&certificate, config),
    ]
}

fn validity(end: Option<Timestamp>, now: Timestamp) -> Finding {
    let fix = "renew it; the server reads the new one by itself";
    let Some(end) = end else {
        return Finding::warning(TLS, "the certificate does not say when it ends", fix);
    };
    let days = end.seconds_since(now).div_euclid(86_400);
    if end <= now {
        Finding::wrong(TLS, "the certificate has expired", fix)
    } else if days < SOON {
        Finding::warning(TLS, format!("the certificate ends in {days} days"), fix)
    } else {
        Finding::ok(TLS, format!("the certificate is good for {days} days"))
    }
}

fn name(certificate: &CertificateDer<'_>, config: &Config) -> Finding {
    let host = config.public_url.url().host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fits = ServerName::try_from(host).is_ok_and(|name| {
        match ParsedCertificate::try_from(certificate) {
            Ok(parsed) => verify_server_name(&parsed, &name).is_ok(),
            Err(_) => false,
        }
    });
    if fits {
        Finding::ok(TLS, format!("the certificate is for {host}"))
    } else {
        Finding::wrong(
            TLS,
            format!("the certificate is not for {host}, the host of the public URL"),
            "get one for that name, or mend VESTIBULE_PUBLIC_URL",
        )
    }
}

/// When a certificate ends (RFC 5280 section 4.1.2.5). `None` where it cannot be read.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, outer, _) = element(certificate)?;
    let (_, mut fields, _) = element(outer)?;
    // [0] version is optional; then serialNumber, signature, issuer, validity.
    let (tag, _, rest) = element(fields)?;
    if tag == 0xa0 {
        fields = rest;
    }
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    parse_time(tag, std::str::from_utf8(time).ok()?)
}

/// One DER element: tag, contents, what follows it.
fn element(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, data) = data.split_first()?;
    let (&first, mut data) = data.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let bytes = usize::from(first & 0x7f);
        let (coded, rest) = data.split_at_checked(bytes).filter(|_| bytes <= 4)?;
        length = coded
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        data = rest;
    }
    let (contents, rest) = data.split_at_checked(length)?;
    Some((tag, contents, rest))
}

/// `YYMMDDHHMMSSZ` (UTCTime) or `YYYYMMDDHHMMSSZ` (GeneralizedTime).
fn parse_time(tag: u8, text: &str) -> Option<Timestamp> {
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let rest = rest.strip_suffix('Z')?;
    let number = |from: usize| -> Option<i64> { rest.get(from..from + 2)?.parse().ok() };
    let (month, day) = (number(0)?, number(2)?);
    let (hour, minute, second) = (number(4)?, number(6)?, number(8)?);
    let days = days_since_epoch(year, month, day);
    Some(Timestamp::from_seconds(
        ((days * 24 + hour) * 60 + minute) * 60 + second,
    ))
}

/// Days from 1970-01-01 in the Gregorian calendar, with years that begin in March, so that the leap day is their last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (year, month, day, seconds) in [
            (2030, 1, 1, 1_893_456_000),
            (2028, 2, 29, 1_835_395_200),
            (2028, 3, 1, 1_835_481_600),
            (2049, 12, 31, 2_524_521_600),
            (2100, 3, 1, 4_107_542_400),
        ] {
            let mut params = CertificateParams::new(vec!["login.example.org".to_owned()]).unwrap();
            params.not_after = date_time_ymd(year, month, day);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(
                not_after(certificate.der()),
                Some(Timestamp::from_seconds(seconds)),
                "{year}-{month}-{day}"
            );
        }
        assert_eq!(not_after(b"no certificate"), None);
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let in_days = |days: i64| validity(Some(now.plus_seconds(days * 86_400)), now).health;
        assert_eq!(in_days(-1), super::super::Health::Wrong);
        assert_eq!(in_days(0), super::super::Health::Wrong);
        assert_eq!(in_days(13), super::super::Health::Warning);
        assert_eq!(in_days(14), super::super::Health::Ok);
    }
}
