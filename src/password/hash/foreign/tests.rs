//! Hashes of other systems, made by Python's hashlib, glibc's crypt and the systems' own documentation.

use super::super::{HashFormatError, PasswordHash};
use crate::password::Password;

const SALT: &str = "c2l4dGVlbiBieXRlIHNsdA";

fn verify(text: &str, typed: &str) -> bool {
    let hash = PasswordHash::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(hash.work().unwrap().blocks, 0);
    hash.verify(&Password::parse(typed).unwrap(), &mut [])
        .unwrap()
}

#[test]
fn every_form_opens_with_its_password_alone() {
    let in_all = [
        format!("$pbkdf2$i=1000${SALT}$+io2z1L80zxtuqWlbFc6d5TRoNW6jpoddAzw8ZIIOTswykFmjP5Qod1X1hmcZxbRrqxUt+9Lgm3go+bC5emn0A"),
        format!("$pbkdf2-sha1$1000${SALT}$.io2z1L80zxtuqWlbFc6d5TRoNW6jpoddAzw8ZIIOTswykFmjP5Qod1X1hmcZxbRrqxUt.9Lgm3go.bC5emn0A"),
        format!("$pbkdf2-sha256$i=1000,l=32${SALT}$c5QUhhzJnj7wFB9c2d0a39fA2UDUysXCg74o4Wch4QE"),
        format!("$pbkdf2-sha512$i=1000${SALT}$61x5/3Dh2/E6ly5wkGBJboNe8LSsWv117tu/Wl7fQjGS1VnUjc4ZL7v8eV26NXe/iRVtVS2tcHJz6HQUuXUymQ=="),
        format!("{{PBKDF2-SHA256}}1000${SALT}$c5QUhhzJnj7wFB9c2d0a39fA2UDUysXCg74o4Wch4QE"),
        "pbkdf2_sha256$1000$saltsalt$qQDPSZa3Ormyy9oK1Pu0ZLLwP2Svzmx3yu8OvDdq/J0=".to_owned(),
        "pbkdf2_sha1$1000$saltsalt$wQoBU7GXMNo2CJC+raijrf6key4=".to_owned(),
        format!("$scrypt$ln=10,r=8,p=1${SALT}$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II"),
        "scrypt$1024$saltsalt$8$1$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8lX839he8Xlnu1Hm6vBg8U0dik5GHfzXu1ax2apIYCXQ==".to_owned(),
        "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "$2a$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "{CRYPT}$2y$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuIvyWZlBcE3WoQXKqRnwrLYJ6nenE0Bq".to_owned(),
        "{SMD5}gQlIlPvqmB3jUXyzAFvuoWdyaXQ=".to_owned(),
        "{SSHA}qyU+IWVikOLGC5xZd/4NXCeBv1Rncml0".to_owned(),
        "{ssha256}ijL7ISpO/Phk4gbuXCMKWqEL29AMJ2Ug1H6hiIMIDLNncml0".to_owned(),
        "{SSHA384}VojUOy+TFgDoW2On7W9otWZu6Gi1Ato3HIClCPRfahZ42MVrA4iWpcQmUEa4GbC9Z3JpdA==".to_owned(),
        "{SSHA512}KePxX8j3yvmqakvqJFndE8VRo+u8eUIraLRoMnUQDpe/HRTHtxq0/l2J1fWLnh7y7amvCnoQih+xPKe65nll52dyaXQ=".to_owned(),
        "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=".to_owned(),
        "{MD5}PLTnMmMfR+brlh80VUt83g==".to_owned(),
        "sha1$salt$619a8b7fb0e2b3f5d24ab3bc0b53ce167a50f893".to_owned(),
        "md5$salt$de8498eb12b0309737310c8971cfc7a2".to_owned(),
        "$digest$a=sha256,s=prefix$cGVwcGVy$hpofoGCaHRWlw+uJFCi3psg5Wy7hDEdi6X/8oOvowLU".to_owned(),
        "$digest$a=sha1,s=suffix$Z3JpdA$qyU+IWVikOLGC5xZd/4NXCeBv1Q".to_owned(),
    ];
    for text in in_all {
        assert!(verify(&text, "correct horse"), "{text}");
        assert!(!verify(&text, "correct horsf"), "{text}");
    }
}

/// The example in the documentation of Firebase's own tool.
#[test]
fn firebase_encrypts_its_signer_key() {
    let text = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
                $42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    assert!(verify(text, "user1password"));
    assert!(!verify(text, "user2password"));
}

#[test]
fn django_and_directories_write_argon2_behind_a_word_of_their_own() {
    let bare =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    for text in [format!("argon2{bare}"), format!("{{ARGON2}}{bare}")] {
        let hash = PasswordHash::parse(&text).unwrap();
        assert_eq!(hash.as_str(), bare);
    }
}

/// V127.
#[test]
fn hostile_costs_are_refused_before_they_are_paid() {
    for text in [
        format!("$pbkdf2-sha256$i=3000001${SALT}$c5QUhhzJnj7wFB9c2d0a39fA2UDUysXCg74o4Wch4QE"),
        format!("$pbkdf2-sha256$i=0${SALT}$c5QUhhzJnj7wFB9c2d0a39fA2UDUysXCg74o4Wch4QE"),
        format!("$scrypt$ln=30,r=8,p=1${SALT}$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II"),
        format!("$scrypt$ln=19,r=8,p=1${SALT}$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II"),
        format!("$scrypt$ln=10,r=8,p=17${SALT}$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II"),
        format!("$scrypt$ln=300,r=8,p=1${SALT}$pm8pKHMuzBMnzWjY+J2K8bOo4zfV05STJL8ONhhN0II"),
        "$2b$16$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "$2b$31$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e".to_owned(),
        "scrypt$1000$saltsalt$8$1$ZGeSwropSvEgLQU1pjltINKrRvmEBSnohdqYXUe5EZ8=".to_owned(),
        "argon2$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned(),
    ] {
        assert_eq!(PasswordHash::parse(&text).err(), Some(HashFormatError::Cost), "{text}");
    }
}

#[test]
fn what_is_incomplete_or_unknown_is_refused() {
    for text in [
        "",
        "password",
        "$",
        "{SSHA}",
        "{SSHA}AAAA",
        "{SSHA",
        "$2b$04$short",
        "$pbkdf2-md5$1$YQ$YQ",
        "$pbkdf2-sha256$1000$YQ$YQ",
        "$pbkdf2-sha256$1000$YQ",
        "$1$abc$def",
        "$6$abc$def",
        "{CRYPT}$6$a$b",
        "$2x$04$abc",
        "md5$salt$xyz",
        "sha1$salt$00",
        "unsalted_md5$$00",
        "$digest$a=sha256,s=middle$YQ$YQ",
        "$fbscrypt$v=2$YQ$YQ",
        "!",
        "*",
        "!!",
    ] {
        assert!(PasswordHash::parse(text).is_err(), "{text}");
    }
}

/// V148: the report names hashes that a stolen copy would give away, and none is thought up to date.
#[test]
fn weak_ones_are_named() {
    let weak = |text: &str| PasswordHash::parse(text).unwrap().weakness();
    assert_eq!(
        weak("{SSHA}qyU+IWVikOLGC5xZd/4NXCeBv1Rncml0"),
        Some("one pass of SHA-1")
    );
    assert_eq!(
        weak("md5$salt$de8498eb12b0309737310c8971cfc7a2"),
        Some("one pass of MD5")
    );
    assert!(weak("{SSHA512}KePxX8j3yvmqakvqJFndE8VRo+u8eUIraLRoMnUQDpe/HRTHtxq0/l2J1fWLnh7y7amvCnoQih+xPKe65nll52dyaXQ=").is_some());
    assert_eq!(
        weak("$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"),
        None
    );
}
