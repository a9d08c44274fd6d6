//! Every format from bytes, with the lines on which its rows start; and files that are none.

use std::io::{Cursor, Read, Write as _};

use super::*;
use crate::import::draft::Secret;

/// A row's line, and its name or what is wrong with it.
type Line = (u64, Result<String, String>);

fn all(bytes: impl Into<Vec<u8>>, format: Option<Format>) -> Result<Vec<Line>, String> {
    let said = |error: FileError| error.to_string();
    let (_, mut rows) = open(Cursor::new(bytes.into()), format).map_err(said)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(said)? {
        let draft = row
            .draft
            .map(|draft| draft.username.or(draft.email).unwrap_or_default())
            .map_err(|problem| format!("{:?} {}", problem.field, problem.reason));
        found.push((row.line, draft));
    }
    Ok(found)
}

fn names(bytes: impl Into<Vec<u8>>) -> Vec<(u64, String)> {
    all(bytes, None)
        .unwrap()
        .into_iter()
        .map(|(line, name)| (line, name.unwrap()))
        .collect()
}

fn refused(bytes: impl Into<Vec<u8>>, says: &str) {
    let error = all(bytes, None).err().unwrap_or_default();
    assert!(error.contains(says), "{says:?} in {error:?}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn owned(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter()
        .map(|(line, name)| (*line, (*name).to_owned()))
        .collect()
}

#[test]
fn a_row_of_csv_has_the_line_where_it_starts() {
    let text = "\u{feff}username,attribute.note\r\nada,\"two\r\nlines\"\r\nbob,\r\n\r\ncid,x";
    assert_eq!(names(text), owned(&[(2, "ada"), (4, "bob"), (6, "cid")]));
}

#[test]
fn cells_become_what_they_mean() {
    let text = "username,email,emailVerified,enabled,locale,groups,roles,requiredActions,password,temporary,attribute.team\n\
                ada,a@b.example,TRUE,false,de,/crew|/crew/night,captain|shop:buyer,UPDATE_PASSWORD, sp ace ,false,x|y\n";
    let (_, mut rows) = open(Cursor::new(text), None).unwrap();
    let draft = rows.next().unwrap().unwrap().draft.ok().unwrap();
    assert_eq!(
        (draft.email_verified, draft.enabled),
        (Some(true), Some(false))
    );
    assert_eq!(draft.groups, ["/crew", "/crew/night"]);
    assert_eq!(draft.roles.len(), 2);
    assert_eq!(draft.attributes["locale"], ["de"]);
    assert_eq!(draft.attributes["team"], ["x", "y"]);
    match draft.secret {
        Secret::Plain {
            password,
            temporary,
        } => assert_eq!((&**password, temporary), (" sp ace ", false)),
        Secret::None | Secret::Hash { .. } => panic!("no password"),
    }
}

#[test]
fn a_header_that_makes_no_sense_ends_the_file_with_a_hint() {
    refused("usrname,email\nx,y\n", "is it `username`?");
    refused("username;email\nx;y\n", "by commas");
    refused("username,username\n", "twice");
    refused("firstName\nx\n", "neither");
    refused(
        format!("username{}\n", ",attribute.a".repeat(100_000)),
        "columns",
    );
    refused("", "empty");
}

/// V147.
#[test]
fn what_is_wrong_with_a_row_is_that_rows_alone() {
    let text = [
        &b"username,enabled,attribute.a\n"[..],
        b"ada,true,x\n",
        b"bob,true\n",
        b"cid,perhaps,x\n",
        b"d\xff\xfe,true,x\n",
        b"eve,true,",
        &[b'x'; 1024 * 1024],
        b"\n",
        b"fay",
        &[b','; 1_000_000],
        b"\ngus,true,x\n",
    ]
    .concat();
    let rows = all(text, None).unwrap();
    let taken: Vec<_> = rows
        .iter()
        .filter_map(|(line, row)| Some((*line, row.as_ref().ok()?)))
        .collect();
    assert_eq!(taken, [(2, &"ada".to_owned()), (8, &"gus".to_owned())]);
    for (line, says) in [
        (3, "columns"),
        (4, "true"),
        (5, "UTF-8"),
        (6, "64 KiB"),
        (7, "1000001 columns"),
    ] {
        let row = rows.iter().find(|(at, _)| *at == line).unwrap();
        assert!(row.1.as_ref().err().unwrap().contains(says), "{row:?}");
    }
}

#[test]
fn a_quote_left_open_ends_the_file_before_it_takes_the_memory() {
    let mut text = b"username,email\nada,\"".to_vec();
    text.extend(std::iter::repeat_n(b'x', 6 * 1024 * 1024));
    refused(text, "line 2 is longer");
}

#[test]
fn lines_of_json_are_people() {
    let text =
        "{\"username\":\"ada\"}\n\n  {\"email\":\"b@c.example\"}\nnot json\n{\"username\":7}\n";
    let rows = all(text, None).unwrap();
    assert_eq!(rows[0], (1, Ok("ada".to_owned())));
    assert_eq!(rows[1], (3, Ok("b@c.example".to_owned())));
    assert!(rows[2].1.is_err() && rows[3].1.is_err());
    assert_eq!(rows[3].0, 5);
}

#[test]
fn people_are_found_inside_a_realm() {
    let text = "{\n \"realm\": \"x\", \"groups\": [{\"name\": \"}]\\\"users\\\":[\"}],\n \"n\": -1.5e3, \"b\": null,\n\
                \"users\": [\n  {\"username\": \"ada\",\n   \"attributes\": {\"a\": [\"]}\"]}},\n  {\"username\": \"bob\"}\n ],\n\
                \"clients\": []\n}";
    assert_eq!(names(text), owned(&[(5, "ada"), (7, "bob")]));
    assert_eq!(names("{\"users\":[]}"), []);
    refused("{\"realm\":\"x\"}", "has no \"users\"");
    refused("{\"users\":[{\"username\":\"a\"}", "ends at line 1");
    refused("{\"users\":[{\"username\":\"a\"", "ends inside");
    refused("{\"users\":[{} {}]}", "comma");
    refused("{\"users\":[{\"username\":\"a\"},]}", "comma");
}

#[test]
fn auth0_has_an_array_of_people() {
    let text =
        "[\n{\"email\":\"a@b.example\"},\n{\"email\":\"c@d.example\",\"blocked\":true},\n7\n]";
    let rows = all(text, None).unwrap();
    assert_eq!(rows[0], (2, Ok("a@b.example".to_owned())));
    assert_eq!(rows[1], (3, Ok("c@d.example".to_owned())));
    assert!(rows[2].1.is_err());
}

#[test]
fn a_packed_file_is_the_same_file() {
    assert_eq!(names(gzip(b"username\nada\n")), owned(&[(2, "ada")]));
}

/// V131, V147.
#[test]
fn archives_and_bombs_are_refused() {
    refused(b"PK\x03\x04rest".to_vec(), "archive");
    refused(b"BZh91AY".to_vec(), "archive");
    refused([0xff, 0xfe, b'u', 0], "UTF-16");
    let mut two = gzip(b"username\nada\n");
    two.extend(gzip(b"bob\n"));
    refused(two, "several gzip files");
    let mut bomb = b"username\n".to_vec();
    bomb.extend(std::iter::repeat_n(b'\n', 64 * 1024 * 1024));
    refused(gzip(&bomb), "100 times");
    let mut half = gzip(b"username\nada\n");
    half.truncate(half.len() - 4);
    refused(half, "cannot be read");
}

/// A source that hands out one byte at a time.
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let end = into.len().min(1);
        self.0.read(&mut into[..end])
    }
}

#[test]
fn rows_do_not_depend_on_how_the_bytes_come() {
    for text in [
        "username,email\nada,\"a\"\"b\"\nbob,\n",
        "{\"users\":[{\"username\":\"\\\"ada\\\\\"},{\"username\":\"bob\"}]}",
        "{\"username\":\"ada\"}\n{\"username\":\"bob\"}",
    ] {
        let (_, mut rows) = open(Drip(Cursor::new(text.as_bytes().to_vec())), None).unwrap();
        let mut count = 0;
        while let Some(row) = rows.next().unwrap() {
            assert!(row.draft.is_ok());
            count += 1;
        }
        assert_eq!(count, 2, "{text}");
    }
}

proptest::proptest! {
    /// F-09: no bytes make the reader panic, whatever they are taken for.
    #[test]
    fn any_bytes_are_read_to_an_end(bytes: Vec<u8>, format in 0_usize..5) {
        let format = Format::ALL.get(format).copied();
        let _ = all(bytes, format);
    }

    /// Every row of JSON-like text has a verdict or the file ends.
    #[test]
    fn any_brackets_are_read_to_an_end(text in "[\\[\\]{},:\"a\\\\ \n]{0,200}") {
        let _ = all(format!("[{text}"), Some(Format::Auth0));
        let _ = all(format!("{{\"users\":[{text}"), Some(Format::Keycloak));
    }
}
