//! What is shown and asked before many people are mailed or get a link.

use std::io::IsTerminal as _;

use serde_json::json;

use super::Failure;
use super::output::{self, Format, agreed, say};
use crate::campaign::samples::Sample;

/// Prints whom a mailing would reach, and a mail of it.
pub(super) fn show_preview(total: i64, samples: &[Sample], format: Format) -> Result<(), Failure> {
    if format.json {
        return output::json(&json!({ "total": total, "samples": samples }));
    }
    let mut text = format!("{total} people would be mailed.");
    if let Some(sample) = samples.first() {
        text.push('\n');
        text.push_str(&sample_text(sample));
    }
    output::text(&text)
}

fn sample_text(sample: &Sample) -> String {
    format!(
        "\nTo: {} ({})\nSubject: {}\n\n{}",
        sample.email, sample.locale, sample.subject, sample.text
    )
}

/// Shows what would happen and asks. `unreachable` is given where passwords end first: how many of these people have no
/// address.
pub(super) fn before_mails(
    total: i64,
    unreachable: Option<i64>,
    sample: Option<&Sample>,
) -> Result<(), Failure> {
    let asked = question(total, unreachable);
    needs_terminal(&asked, "--dry-run shows a mail, --yes sends")?;
    say(&format!("{total} people will be mailed."));
    if let Some(sample) = sample {
        say(&sample_text(sample));
    }
    say(
        "People should know that this mail is coming. `-u` tries it on one person, such as yourself.",
    );
    if agreed(&format!("{asked} [y/N]"))? {
        return Ok(());
    }
    Err(Failure::failed(if unreachable.is_some() {
        "no password was ended, and nobody was mailed"
    } else {
        "nobody was mailed"
    }))
}

fn question(total: i64, unreachable: Option<i64>) -> String {
    match unreachable {
        None => format!("Mail {total} people?"),
        Some(0) => format!("End the passwords and sessions of {total} people, and mail them?"),
        Some(none) => format!(
            "End the passwords and sessions of {total} people, {none} of them without an address, and mail them?"
        ),
    }
}

/// Asks before links of many people are made: each ends the one that was mailed.
pub(super) fn before_links(total: i64) -> Result<(), Failure> {
    let asked = format!(
        "Print links for {total} people? Each is as good as the account, and ends the link that was mailed."
    );
    needs_terminal(&asked, "--dry-run only counts, --yes prints")?;
    if agreed(&format!("{asked} [y/N]"))? {
        Ok(())
    } else {
        Err(Failure::failed("no link was made"))
    }
}

/// Without a terminal there is nobody to ask.
fn needs_terminal(question: &str, instead: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{question} There is no terminal to ask at: {instead}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_says_what_will_be_done() {
        assert_eq!(question(3, None), "Mail 3 people?");
        assert_eq!(
            question(40, Some(1)),
            "End the passwords and sessions of 40 people, 1 of them without an address, and mail them?"
        );
        assert_eq!(
            question(2, Some(0)),
            "End the passwords and sessions of 2 people, and mail them?"
        );
    }
}
