//! Tests of the configuration, all through `Config::load`; here is what they share.

mod parts;
mod sources;

use super::{Config, ConfigError};

fn env(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    both("", variables)
}

fn file(toml: &str) -> Result<Config, ConfigError> {
    both(toml, &[])
}

fn both(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vestibule.toml");
    std::fs::write(&path, toml).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&path), variables)
}

/// The problems as an operator reads them, with the temporary directory left out.
fn problems(result: Result<Config, ConfigError>) -> Vec<String> {
    let Err(error) = result else {
        panic!("nothing is wrong");
    };
    error
        .problems
        .iter()
        .map(|problem| {
            let text = problem.to_string();
            match text.split_once("/vestibule.toml") {
                Some((before, after)) => {
                    let start = before.rfind(' ').map_or(0, |space| space + 1);
                    format!("{}vestibule.toml{after}", &before[..start])
                }
                None => text,
            }
        })
        .collect()
}

fn only_problem(result: Result<Config, ConfigError>) -> String {
    let problems = problems(result);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap()
}

fn loaded(result: Result<Config, ConfigError>) -> Config {
    match result {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}
