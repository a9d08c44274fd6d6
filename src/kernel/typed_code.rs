//! Codes that people read in a mail and type: ten characters of base32 that are hard to confuse.
//!
//! Called by the code that proves an address and by the code that stands for a link.

/// Crockford's base32: no letter that looks like a digit, and no U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a code: 50 bits.
pub const LENGTH: usize = 10;

/// A code out of the first bytes of `bytes`, which are random or look it.
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(LENGTH)
        // 256 is a multiple of 32, so every character is as likely as any other.
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
        .map(|letter| char::from(*letter))
        .collect()
}

/// A code in two halves, as it is shown.
pub fn grouped(code: &str) -> String {
    match code.split_at_checked(LENGTH / 2) {
        Some((front, back)) => format!("{front}-{back}"),
        None => code.to_owned(),
    }
}

/// What was meant by what was typed, at most one character longer than a code: case, spaces and dashes do not
/// matter, nor does O for 0 or I and L for 1.
pub fn normalised(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'))
        .take(LENGTH + 1)
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_easy_to_read_and_forgiving_to_type() {
        let code = encode(&[0, 31, 32, 255, 10, 18, 17, 27, 9, 7, 3]);
        assert_eq!(code, "0Z0ZAJHV97");
        assert_eq!(grouped("7K3QF9XW2M"), "7K3QF-9XW2M");
        for typed in [
            "7K3QF-9XW2M",
            "7k3qf9xw2m",
            " 7K3QF – 9XW2M\n",
            "7 K 3 Q F 9 X W 2 M",
        ] {
            assert_eq!(normalised(typed), "7K3QF9XW2M", "{typed}");
        }
        assert_eq!(normalised("oOiIlL"), "001111");
        assert_eq!(normalised(&"7".repeat(1 << 20)).len(), LENGTH + 1);
    }
}
