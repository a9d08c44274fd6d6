//! The command line: parse, call, print. Logic lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::run()
}
