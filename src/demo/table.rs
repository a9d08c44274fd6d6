//! A small aligned table for the terminal, at most 80 columns wide.
//!
//! The start message of the demo is printed with it. Cells wrap between words; a word is
//! cut only where it is wider than its column can be. Pure: it knows no terminal and no
//! demo, and writes to whatever it is given.

use std::io::{self, Write};

/// The widest line that is ever printed, in characters.
pub const WIDTH: usize = 80;

/// What stands between two columns.
const GAP: &str = "  ";

/// Prints `header`, a rule and `rows`, every column aligned to the left.
pub fn print<const N: usize>(
    out: &mut impl Write,
    header: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let widths = widths(&header, rows);
    line(out, &header, &widths)?;
    let rule = widths.map(|width| "-".repeat(width));
    line(out, &rule.each_ref().map(String::as_str), &widths)?;
    // Rows that wrap need air around them, or nobody sees where the next one begins.
    let airy = rows.iter().any(|row| {
        row.iter()
            .zip(widths)
            .any(|(cell, width)| wrap(cell, width).len() > 1)
    });
    for (index, row) in rows.iter().enumerate() {
        if airy && index > 0 {
            writeln!(out)?;
        }
        line(out, &row.each_ref().map(String::as_str), &widths)?;
    }
    Ok(())
}

/// One row, over as many lines as its tallest cell needs.
fn line<const N: usize>(
    out: &mut impl Write,
    cells: &[&str; N],
    widths: &[usize; N],
) -> io::Result<()> {
    let mut columns: Vec<_> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| wrap(cell, *width).into_iter())
        .collect();
    loop {
        let parts: Vec<Option<String>> = columns.iter_mut().map(Iterator::next).collect();
        if parts.iter().all(Option::is_none) {
            return Ok(());
        }
        let padded: Vec<String> = parts
            .into_iter()
            .zip(widths)
            .map(|(part, width)| format!("{:<width$}", part.unwrap_or_default()))
            .collect();
        writeln!(out, "{}", padded.join(GAP).trim_end())?;
    }
}

/// The width of each column: as wide as its content where the line has room. Otherwise the
/// columns with the most room to spare give way first, and words are cut only after no
/// column can give way between words.
fn widths<const N: usize>(header: &[&str; N], rows: &[[String; N]]) -> [usize; N] {
    let mut widths = [0; N];
    let mut words = [0; N];
    let all = rows.iter().map(|row| row.each_ref().map(String::as_str));
    for row in std::iter::once(*header).chain(all) {
        for ((cell, width), word) in row.into_iter().zip(&mut widths).zip(&mut words) {
            *width = (*width).max(length(cell));
            *word = (*word).max(cell.split_whitespace().map(length).max().unwrap_or(0));
        }
    }
    let room = WIDTH.saturating_sub(GAP.len() * N.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        // Every column gives way until it reaches its longest word, then the widest one does.
        let widest = widths
            .iter_mut()
            .zip(words)
            .max_by_key(|(width, word)| (width.saturating_sub(*word), **width));
        match widest {
            Some((width, _)) if *width > 1 => *width -= 1,
            _ => break,
        }
    }
    widths
}

/// `text` in lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![];
    let mut current = String::new();
    for word in text.split_whitespace() {
        if !current.is_empty() && length(&current) + 1 + length(word) <= width {
            current.push(' ');
        } else if !current.is_empty() {
            lines.push(std::mem::take(&mut current));
        }
        for letter in word.chars() {
            if length(&current) == width {
                lines.push(std::mem::take(&mut current));
            }
            current.push(letter);
        }
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// The length in characters; addresses and names of the demo are one column per character.
fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed<const N: usize>(header: [&str; N], rows: &[[&str; N]]) -> String {
        let rows: Vec<[String; N]> = rows.iter().map(|row| row.map(str::to_owned)).collect();
        let mut out = vec![];
        print(&mut out, header, &rows).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn short_rows_are_aligned_and_have_no_trailing_space() {
        let text = printed(["Open", "As"], &[["a", "ada"], ["long one", "b"]]);
        assert_eq!(
            text,
            "Open      As\n--------  ---\na         ada\nlong one  b\n"
        );
    }

    #[test]
    fn a_long_cell_wraps_between_words_below_itself() {
        let prose = "The page to set a new password appears, and no token is issued before \
                     a new one is set.";
        let text = printed(
            ["Sign in as", "You will see"],
            &[["temporary@example.org / Temp-1234", prose], ["x", "y"]],
        );
        assert_eq!(
            text,
            "Sign in as                         You will see\n\
             ---------------------------------  ---------------------------------------------\n\
             temporary@example.org / Temp-1234  The page to set a new password appears, and\n\
             \u{20}                                  no token is issued before a new one is set.\n\
             \n\
             x                                  y\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_eighty_columns_and_no_letter_is_lost() {
        let url = "http://localhost:8080/".to_owned() + &"realms/".repeat(20);
        let text = printed(["What", "Where"], &[["Admin console", &url], ["ü", "é"]]);
        assert!(text.lines().all(|line| length(line) <= WIDTH), "{text}");
        let letters = |text: &str| text.matches("realms/").count();
        let joined: String = text.split_whitespace().collect();
        assert_eq!(letters(&joined.replace("Adminconsole", "")), 20);
    }

    #[test]
    fn a_url_that_fits_is_never_cut() {
        let url = "http://localhost:8080/realms/demo/account/";
        let prose = "word ".repeat(40);
        let text = printed(["Open", "See"], &[[url, &prose]]);
        assert!(text.contains(url), "{text}");
    }

    #[test]
    fn no_rows_print_the_header_alone() {
        assert_eq!(printed(["A"], &[]), "A\n-\n");
    }
}
