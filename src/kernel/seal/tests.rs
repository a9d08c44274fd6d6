//! Tests of sealing and of the key's file.

use super::*;
use std::cell::Cell;
use std::path::PathBuf;

const PLACE: &str = "realm_keys/private_key/0191-7/demo";

/// Randomness that differs at each call and is the same in each run.
fn random(seed: u8) -> impl Fn(&mut [u8]) {
    let next = Cell::new(seed);
    move |bytes: &mut [u8]| {
        for byte in bytes {
            *byte = next.get();
            next.set(next.get().wrapping_mul(5).wrapping_add(17));
        }
    }
}

fn key(seed: u8) -> MasterKey {
    MasterKey::generate(&random(seed))
}

fn message(result: Result<MasterKey, MasterKeyError>) -> String {
    match result {
        Ok(_) => panic!("there is a key"),
        Err(error) => error.to_string(),
    }
}

fn path_in(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("keys/master.key")
}

#[test]
fn a_sealed_value_opens_at_its_place() {
    let key = key(1);
    for plaintext in [b"".as_slice(), b"x", &[7; 5000]] {
        let sealed = key.seal(plaintext, PLACE, &random(9)).unwrap();
        assert_eq!(sealed.len(), 1 + 8 + 12 + plaintext.len() + 16);
        assert_eq!(key.open(&sealed, PLACE).unwrap().as_slice(), plaintext);
    }
}

#[test]
fn a_sealed_value_moved_to_another_place_does_not_open() {
    let key = key(1);
    let sealed = key.seal(b"secret", PLACE, &random(9)).unwrap();
    for elsewhere in [
        "realm_keys/private_key/0191-8/demo",
        "realm_keys/private_key/0191-7/other",
        "realm_keys/smtp_password/0191-7/demo",
        "",
    ] {
        assert_eq!(key.open(&sealed, elsewhere), Err(SealError::Broken));
    }
}

#[test]
fn no_changed_bit_goes_unnoticed() {
    let key = key(1);
    let sealed = key.seal(b"secret", PLACE, &random(9)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(&changed, PLACE).is_err(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(
            key.open(&sealed[..length], PLACE).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn a_wrong_key_is_named_and_does_not_open() {
    let (right, wrong) = (key(1), key(2));
    let mut sealed = right.seal(b"secret", PLACE, &random(9)).unwrap();
    let refused = wrong.open(&sealed, PLACE);
    assert_eq!(refused, Err(SealError::UnknownKey(right.id())));
    // Nor does it when the value claims to be of that key.
    sealed[1..9].copy_from_slice(&wrong.id().0);
    assert_eq!(wrong.open(&sealed, PLACE), Err(SealError::Broken));
}

#[test]
fn each_sealing_has_its_own_nonce() {
    let (key, random) = (key(1), random(9));
    let first = key.seal(b"secret", PLACE, &random).unwrap();
    let second = key.seal(b"secret", PLACE, &random).unwrap();
    assert_ne!(first[9..], second[9..]);
}

#[test]
fn a_keyring_opens_old_values_and_seals_new_ones() {
    let old = key(1);
    let old_value = old.seal(b"secret", PLACE, &random(9)).unwrap();
    let old_digest = old.digest("client_secret", b"x");
    let mut ring = Keyring::new(key(2));
    assert_eq!(
        ring.open(&old_value, PLACE),
        Err(SealError::UnknownKey(old.id()))
    );
    assert!(!ring.is_digest("client_secret", b"x", &old_digest));
    ring.older.push(old);
    assert_eq!(ring.open(&old_value, PLACE).unwrap().as_slice(), b"secret");
    assert!(ring.is_digest("client_secret", b"x", &old_digest));
    assert!(!ring.is_digest("client_secret", b"y", &old_digest));
    assert!(!ring.is_digest("other", b"x", &old_digest));
    assert_eq!(ring.is_outdated(&old_value), Ok(true));
    let new_value = ring.seal(b"secret", PLACE, &random(9)).unwrap();
    assert_eq!(ring.is_outdated(&new_value), Ok(false));
    assert_eq!(sealed_by(&new_value), Ok(ring.current.id()));
}

#[test]
fn derived_keys_are_those_of_hkdf() {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let key = key(1);
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(key.bytes.as_slice());
    let info = [b"vestibule master key v1/derive/form token".as_slice()];
    let mut expected = [0; 32];
    extracted
        .expand(&info, HKDF_SHA256)
        .unwrap()
        .fill(&mut expected)
        .unwrap();
    assert_eq!(*key.derive("form token"), expected);
}

#[test]
fn uses_and_labels_have_keys_of_their_own() {
    let key = key(1);
    let mut values = vec![
        *key.derive("a"),
        *key.derive("b"),
        *key.derive(""),
        key.digest("a", b"x"),
        key.digest("b", b"x"),
        key.digest("a", b"y"),
        *expand(&key.bytes, "seal", ""),
        *expand(&key.bytes, "fingerprint", ""),
        *key.bytes,
    ];
    let count = values.len();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), count);
}

#[test]
fn a_digest_is_the_same_by_a_key_that_is_kept() {
    let key = key(1);
    for label in ["a", "b", "a", "b"] {
        for data in [b"x", b"y"] {
            let anew = hmac_sha256(&*expand(&key.bytes, "digest", label), &[data]);
            assert_eq!(key.digest(label, data), anew, "{label}");
        }
    }
}

#[test]
fn a_made_key_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let made = MasterKey::load_or_create(&path, true, &random(1)).unwrap();
    let read = MasterKey::load_or_create(&path, true, &random(2)).unwrap();
    assert_eq!(made.fingerprint(), read.fingerprint());
    assert!(read.check_fingerprint(&made.fingerprint()).is_ok());
    assert!(key(3).check_fingerprint(&made.fingerprint()).is_err());
    let line = std::fs::read_to_string(&path).unwrap();
    assert!(line.starts_with("vestibule-master-key-v1:") && line.ends_with("=\n"));
    let again = message(MasterKey::create(&path, &random(4)));
    assert!(again.contains("never overwritten"), "{again}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), line);
}

#[test]
fn no_key_is_made_beside_an_encrypted_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let error = message(MasterKey::load_or_create(&path, false, &random(1)));
    assert!(error.contains("backup") && error.contains("VESTIBULE_MASTER_KEY_FILE"));
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn the_file_is_private_and_an_open_one_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    MasterKey::create(&path, &random(1)).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for (bits, fine) in [
        (0o400, true),
        (0o640, false),
        (0o602, false),
        (0o644, false),
    ] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(bits)).unwrap();
        let loaded = MasterKey::load(&path);
        assert_eq!(loaded.is_ok(), fine, "{bits:o}");
        if !fine {
            let error = message(loaded);
            assert!(error.contains("chmod 600"), "{error}");
            assert!(error.contains(&format!("{bits:04o}")), "{error}");
        }
    }
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    MasterKey::create(&path, &random(1)).unwrap();
    for (content, reason) in [
        (b"".as_slice(), "not a master key"),
        (b"\xff\xfe", "not a master key"),
        (b"vestibule-master-key-v2:AAAA", "not a master key"),
        (b"vestibule-master-key-v1:???", "not a master key"),
        (b"vestibule-master-key-v1:AAAA\n", "3 bytes"),
        (&[b'A'; 5000], "not a master key"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = message(MasterKey::load(&path));
        assert!(error.contains(reason), "{error}");
    }
}
