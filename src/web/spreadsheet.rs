//! CSV for people who open it in a spreadsheet: a cell that a spreadsheet would take for a formula is made a text
//! (threat V147, CWE-1236). Used by everything that exports lists.

/// The media type.
pub const CSV: &str = "text/csv; charset=utf-8";

/// One row with its line end (RFC 4180).
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            line.push(',');
        }
        line.push_str(&quoted(&plain(cell)));
    }
    line.push_str("\r\n");
    line
}

/// What ends a cell where a file is read by other rules than these: where the semicolon separates, a quote in the
/// middle of a line quotes nothing.
const ENDS: [char; 4] = [';', '\t', '\r', '\n'];

/// The cell with an apostrophe before whatever in it a spreadsheet could take for a formula: the cell itself, and what
/// comes after a character that may end one.
fn plain(cell: &str) -> String {
    let mut plain = String::with_capacity(cell.len().saturating_add(1));
    if cell.starts_with(['\t', '\r', '\n']) {
        plain.push('\'');
    }
    for part in cell.split_inclusive(ENDS) {
        if is_formula(part) {
            plain.push('\'');
        }
        plain.push_str(part);
    }
    plain
}

/// Whether it begins like a formula; also behind what a spreadsheet passes over.
fn is_formula(text: &str) -> bool {
    let invisible = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    text.trim_start_matches(invisible)
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n', '\'', ';', '\t']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_texts() {
        for cell in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            " =1",
            "\u{3000}=1",
            "\u{feff}=1",
            "\u{200b}@x",
            "＝1",
            "＋1",
            "－1",
            "＠x",
        ] {
            let line = row([cell]);
            assert!(
                line.trim_start_matches('"').starts_with('\''),
                "{cell:?} {line:?}"
            );
        }
        assert_eq!(row(["7", "a-b", "x@y.example"]), "7,a-b,x@y.example\r\n");
    }

    #[test]
    fn no_part_of_a_cell_is_a_formula_where_the_semicolon_separates() {
        for (cell, plain) in [
            ("smtp;=HYPERLINK(1)", "smtp;'=HYPERLINK(1)"),
            ("a; +1;b", "a;' +1;b"),
            (" \t=1", " \t'=1"),
            ("a\n=1", "a\n'=1"),
            ("a\t＝1", "a\t'＝1"),
            ("550; no such user", "550; no such user"),
        ] {
            assert_eq!(row([cell]), format!("\"{plain}\"\r\n"));
        }
    }

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(row(["a,b", "say \"x\""]), "\"a,b\",\"say \"\"x\"\"\"\r\n");
        assert_eq!(row(["a\nb", ""]), "\"a\nb\",\r\n");
    }
}
