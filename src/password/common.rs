//! The list of common passwords, embedded and searched where it lies.
//!
//! 100,000 of the most common and nearly 10,000 more of 15 characters and up (ASVS 5.0
//! section 6.2.4, NIST SP 800-63B-4 section 3.1.1.2). No start-up cost and no memory of its
//! own: a lookup is one SHA-256 and a binary search in a few pages of the binary. Five bytes
//! of digest decide, so one password in ten million is called common and is not.
//! `assets/make-common-passwords.py` makes the file and describes its format.

use aws_lc_rs::digest::{SHA256, digest};

use super::Password;

static LIST: &[u8] = include_bytes!("../../assets/common-passwords.bin");

const BUCKETS: usize = 256;
const HEADER_BYTES: usize = (BUCKETS + 1) * 4;

/// Whether the password is on the list, in any case, or is something short or listed written
/// several times over (`aaaaaaaaaaaaaaa`, `letmeinletmein`).
pub fn is_common(candidate: &Password) -> bool {
    let folded = candidate.folded();
    is_listed(&folded)
        || repeated_unit(&folded).is_some_and(|unit| unit.chars().count() < 4 || is_listed(unit))
}

fn is_listed(folded: &str) -> bool {
    let digest = digest(&SHA256, folded.as_bytes());
    let Some((&[bucket, suffix @ ..], _)) = digest.as_ref().split_first_chunk::<5>() else {
        return false;
    };
    bucket_entries(bucket).is_some_and(|entries| entries.binary_search(&suffix).is_ok())
}

/// The sorted entries of one bucket.
fn bucket_entries(bucket: u8) -> Option<&'static [[u8; 4]]> {
    let (header, entries) = LIST.split_at_checked(HEADER_BYTES)?;
    let starts = header.as_chunks::<4>().0;
    let start = |index: usize| {
        starts
            .get(index)
            .map(|bytes| u32::from_le_bytes(*bytes) as usize)
    };
    let bucket = usize::from(bucket);
    entries
        .as_chunks::<4>()
        .0
        .get(start(bucket)?..start(bucket + 1)?)
}

/// The shortest text of which this one consists, at least twice.
fn repeated_unit(text: &str) -> Option<&str> {
    (1..=text.len() / 2)
        .filter(|length| text.len().is_multiple_of(*length))
        .filter_map(|length| text.split_at_checked(length))
        // A text that equals itself moved on by one unit is that unit again and again.
        .find(|(unit, rest)| text.starts_with(rest) && rest.ends_with(unit))
        .map(|(unit, _)| unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(typed: &str) -> bool {
        is_common(&Password::parse(typed).unwrap())
    }

    #[test]
    fn the_file_is_whole_and_sorted() {
        let mut total = 0;
        for bucket in 0..=255 {
            let entries = bucket_entries(bucket).unwrap();
            assert!(
                entries.is_sorted_by(|one, next| one < next),
                "bucket {bucket}"
            );
            total += entries.len();
        }
        assert!(total >= 100_000, "{total}");
        assert_eq!(LIST.len(), HEADER_BYTES + total * 4);
        assert!(LIST.len() < 500_000);
    }

    #[test]
    fn common_passwords_are_found_in_any_case() {
        for typed in [
            "123456",
            "password",
            "PassWord",
            "trustno1",
            "1qaz2wsx3edc4rfv",
            "passwordpassword",
            "Qwertyuiop123456789",
            "vjhtrhsvdctcegth",
        ] {
            assert!(common(typed), "{typed}");
        }
    }

    #[test]
    fn uncommon_ones_are_not() {
        for typed in [
            "correct horse battery staple",
            "password with a lighthouse",
            "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c} \u{434}\u{43b}\u{44f} \u{43c}\u{430}\u{44f}\u{43a}\u{430}",
            "a\0password",
            "ms9-tulip-fjord-83",
        ] {
            assert!(!common(typed), "{typed}");
        }
        let many = (0..10_000)
            .filter(|number| common(&format!("heron {number} over Oslo")))
            .count();
        assert_eq!(many, 0);
    }

    #[test]
    fn a_common_password_said_again_is_no_less_common() {
        assert_eq!(repeated_unit("letmeinletmein"), Some("letmein"));
        assert_eq!(repeated_unit("aaaaaaaaaaaaaaaaaaa"), Some("a"));
        assert_eq!(repeated_unit("\u{e9}\u{e9}\u{e9}"), Some("\u{e9}"));
        assert_eq!(repeated_unit("letmeinletmeinx"), None);
        assert_eq!(repeated_unit("abcab"), None);
        assert!(common("letmeinletmeinletmein"));
        assert!(common("xyzxyzxyzxyzxyzxyz"));
        assert!(!common("heron over Osloheron over Oslo"));
    }
}
