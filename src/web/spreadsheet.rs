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

/// The cell with an apostrophe before it where it begins like a formula.
fn plain(cell: &str) -> String {
    // Also behind spaces, which a spreadsheet passes over.
    let first = cell.trim_start_matches([' ', '\u{a0}']).chars().next();
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
    );
    let control = cell.starts_with(['\t', '\r', '\n']);
    if formula || control {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
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
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"] {
            let line = row([cell]);
            assert!(
                line.trim_start_matches('"').starts_with('\''),
                "{cell:?} {line:?}"
            );
        }
        assert_eq!(row(["7", "a-b", "x@y.example"]), "7,a-b,x@y.example\r\n");
    }

    #[test]
    fn cells_with_separators_are_quoted() {
        assert_eq!(row(["a,b", "say \"x\""]), "\"a,b\",\"say \"\"x\"\"\"\r\n");
        assert_eq!(row(["a\nb", ""]), "\"a\nb\",\r\n");
    }
}
