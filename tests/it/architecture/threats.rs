//! `docs/threat-tests.md` is kept true: every row of the list is in it, and every test that it names is there.

use std::collections::BTreeSet;
use std::fs;

/// Where the table names tests.
const TABLE: &str = "docs/threat-tests.md";

/// The last number of the list.
const LAST: u32 = 193;

/// Numbers that the list leaves out.
const LEFT_OUT: [u32; 16] = [
    20, 26, 45, 46, 64, 72, 80, 83, 112, 118, 120, 125, 128, 130, 134, 140,
];

/// What is said of a row that no test keeps: what this version does not have, or what keeps it instead.
const WITHOUT_TEST: [&str; 2] = ["not there yet: ", "kept otherwise: "];

/// The rows: a threat, and what is said about it.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| V"))
        .filter_map(|line| line.strip_suffix(" |")?.split_once(" | "))
        .collect()
}

/// What stands in the file of an integration test, or of a module of the source where `unit: ` is said.
fn source_of(file: &str) -> Option<String> {
    let stem = match file.strip_prefix("unit: ") {
        Some(module) => format!("src/{module}"),
        None => format!("tests/it/{file}"),
    };
    let places = [
        format!("{stem}.rs"),
        format!("{stem}/mod.rs"),
        format!("{stem}/tests.rs"),
    ];
    let found: Vec<String> = places
        .iter()
        .filter_map(|place| fs::read_to_string(place).ok())
        .collect();
    (!found.is_empty()).then(|| found.concat())
}

/// What is wrong with one mention, `` `file`: test ``.
fn fault(mention: &str) -> Option<String> {
    let Some((file, test)) = mention
        .strip_prefix('`')
        .and_then(|rest| rest.split_once("`: "))
    else {
        return Some(format!("`{mention}` names no test"));
    };
    let Some(source) = source_of(file) else {
        return Some(format!("there is no file {file}"));
    };
    let of_the_file = test == "(the whole file)" && source.contains("fn ");
    let declared = format!("fn {test}(");
    let named = of_the_file || source.contains(&declared);
    (!named).then(|| format!("{file} has no test {test}"))
}

#[test]
fn every_test_that_the_threat_list_names_is_there() {
    let text = fs::read_to_string(TABLE).expect("the table");
    let rows = rows(&text);
    let mut faults = Vec::new();
    for (row, said) in rows {
        if WITHOUT_TEST.iter().any(|words| said.starts_with(words)) {
            continue;
        }
        let found = said
            .split(", `")
            .enumerate()
            .filter_map(|(place, mention)| {
                let mention = if place == 0 {
                    mention.to_owned()
                } else {
                    format!("`{mention}")
                };
                fault(&mention)
            });
        faults.extend(found.map(|fault| format!("V{row}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_row_of_the_threat_list_has_one_line() {
    let text = fs::read_to_string(TABLE).expect("the table");
    let numbers: Vec<u32> = rows(&text)
        .into_iter()
        .map(|(row, _)| row.parse().expect("a number"))
        .collect();
    let once: BTreeSet<u32> = numbers.iter().copied().collect();
    let wanted: BTreeSet<u32> = (1..=LAST).filter(|row| !LEFT_OUT.contains(row)).collect();
    assert_eq!(once, wanted, "rows without a line, or lines without a row");
    assert_eq!(numbers.len(), once.len(), "a row has two lines");
}

#[test]
fn a_mention_of_nothing_is_found() {
    assert_eq!(
        fault("`architecture/threats`: a_mention_of_nothing_is_found"),
        None
    );
    assert_eq!(fault("`architecture/threats`: (the whole file)"), None);
    assert_eq!(
        fault("`unit: user/name`: names_that_look_alike_are_one_name"),
        None
    );
    for wrong in [
        "`architecture/threats`: no_such_test",
        "`architecture/threat`: a_mention_of_nothing_is_found",
        "`unit: user/name`: no_such_test",
        "**no test yet**",
        "see elsewhere",
    ] {
        assert!(fault(wrong).is_some(), "{wrong}");
    }
}
