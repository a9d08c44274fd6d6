//! A realm's colour, made readable.
//!
//! The realm chooses one colour. What is written on it, and how it is written with on light
//! and dark pages, is computed here to the contrasts of WCAG 2.2 (4.5 for words, 3 for edges),
//! so no choice makes a page unreadable. It is served as a stylesheet of its own, because the
//! content security policy allows no inline style.

/// The surfaces of `style.css` that coloured words and edges lie on: the card by day and night.
const LIGHT_CARD: Colour = Colour([0xff, 0xff, 0xff]);
const DARK_CARD: Colour = Colour([0x1b, 0x20, 0x1f]);
const WHITE: Colour = Colour([0xff, 0xff, 0xff]);
const BLACK: Colour = Colour([0x00, 0x00, 0x00]);

/// Contrast that words need (WCAG 2.2, 1.4.3), and that the edge of a control needs (1.4.11).
const WORDS: f64 = 4.5;
const EDGES: f64 = 3.0;

/// A colour of the sRGB space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// Reads `#rrggbb`, in either case, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Colour> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Colour([red, green, blue]))
    }

    /// The form `#rrggbb`, in lower case.
    #[must_use]
    pub fn hex(self) -> String {
        let Colour([red, green, blue]) = self;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Relative luminance as WCAG defines it, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        let Colour([red, green, blue]) = self;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }

    fn contrast(self, other: Colour) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// This colour with `share` percent of another in it.
    fn mixed(self, other: Colour, share: u16) -> Colour {
        let Colour([r, g, b]) = self;
        let Colour([r2, g2, b2]) = other;
        let mix = |own: u8, theirs: u8| {
            let sum = u16::from(own) * (100 - share) + u16::from(theirs) * share;
            u8::try_from(sum / 100).unwrap_or(u8::MAX)
        };
        Colour([mix(r, r2), mix(g, g2), mix(b, b2)])
    }

    /// The nearest shade towards `pole` that stands out from `surface` by `ratio`.
    fn against(self, surface: Colour, pole: Colour, ratio: f64) -> Colour {
        (0..=100)
            .step_by(4)
            .map(|share| self.mixed(pole, share))
            .find(|shade| shade.contrast(surface) >= ratio)
            .unwrap_or(pole)
    }

    /// White or black, whichever reads better on this colour.
    fn words_on_it(self) -> Colour {
        if self.contrast(WHITE) >= self.contrast(BLACK) {
            WHITE
        } else {
            BLACK
        }
    }
}

/// The stylesheet that gives pages a realm's colour. It sets the custom properties which
/// `style.css` draws buttons, links and focus with.
#[must_use]
pub fn brand_css(colour: Colour) -> String {
    let light = scheme(colour, LIGHT_CARD, BLACK);
    let dark = scheme(colour, DARK_CARD, WHITE);
    format!(":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n")
}

fn scheme(colour: Colour, card: Colour, pole: Colour) -> String {
    let words_on_it = colour.words_on_it();
    // Pressed and hovered buttons move away from their words, so they only get more readable.
    let away = if words_on_it == WHITE { BLACK } else { WHITE };
    format!(
        "--accent:{};--accent-deep:{};--accent-text:{};--accent-edge:{};--link:{}",
        colour.hex(),
        colour.mixed(away, 14).hex(),
        words_on_it.hex(),
        colour.against(card, pole, EDGES).hex(),
        colour.against(card, pole, WORDS).hex(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_digits_are_a_colour() {
        assert_eq!(
            Colour::parse("#0A7f5c").map(Colour::hex).as_deref(),
            Some("#0a7f5c")
        );
        for bad in [
            "",
            "#fff",
            "0a7f5c",
            "#0a7f5c;",
            "#+a7f5c",
            "#0a7f5\u{e9}",
            "red",
            "#0a7f5cff",
        ] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_colour_becomes_readable() {
        let steps = [0x00_u8, 0x33, 0x77, 0xaa, 0xff];
        for red in steps {
            for green in steps {
                for blue in steps {
                    let colour = Colour([red, green, blue]);
                    let words = colour.words_on_it();
                    assert!(colour.contrast(words) >= WORDS, "{colour:?}");
                    for (card, pole) in [(LIGHT_CARD, BLACK), (DARK_CARD, WHITE)] {
                        assert!(colour.against(card, pole, WORDS).contrast(card) >= WORDS);
                        assert!(colour.against(card, pole, EDGES).contrast(card) >= EDGES);
                    }
                }
            }
        }
    }

    #[test]
    fn the_stylesheet_knows_the_card_that_the_contrasts_were_computed_for() {
        let (_, css) = super::super::stylesheet();
        assert!(css.contains(&format!("--card: {};", LIGHT_CARD.hex())));
        assert!(css.contains(&format!("--card: {};", DARK_CARD.hex())));
        let brand = brand_css(Colour([0x12, 0x34, 0x56]));
        for property in [
            "--accent",
            "--accent-deep",
            "--accent-text",
            "--accent-edge",
            "--link",
        ] {
            assert!(
                css.contains(&format!("{property}:")) && css.contains(&format!("var({property})"))
            );
            assert_eq!(
                brand.matches(&format!("{property}:")).count(),
                2,
                "{property}"
            );
        }
    }

    #[test]
    fn a_yellow_realm_gets_dark_words_and_darker_links() {
        let css = brand_css(Colour::parse("#ffd800").unwrap());
        assert!(css.starts_with(":root{--accent:#ffd800;"), "{css}");
        assert!(css.contains("--accent-text:#000000"));
        assert!(!css.contains("--link:#ffd800;") && css.is_ascii());
    }
}
