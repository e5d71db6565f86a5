//! `oncegate`: arguments in, exit code out.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    match oncegate::cli::run(std::env::args_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With nobody to tell, the exit code still says it.
            let _ = writeln!(io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}
