//! Counts the instructions that reading a configuration takes, of stock xl and ours: `xl create -n` from its start to
//! its end, user code only, by valgrind. One JSON object a line, as `cargo lab bench` takes them:
//!
//! ```sh
//! cargo run -p parity --example instructions
//! ```

use anyhow::{Context, Result, ensure};
use parity::runner::Runner;
use parity::stock::Stock;
use std::path::Path;
use std::process::Command;

const VALGRIND: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];

/// What is measured, and the configuration in `guests/`.
const MEASURES: [(&str, &str); 2] =
    [("xl create -n, 200 lines", "web1.cfg"), ("xl create -n, 9 lines", "unikernel.cfg")];

fn main() -> Result<()> {
    let runner = Runner::of_profile(Stock::fetch()?, "instructions", "lab")?;
    for (measure, guest) in MEASURES {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(guest);
        let call = ["create", "-n", "-q", &file.to_string_lossy()];
        for (program, command) in [
            ("stock", runner.stock_command("none", &VALGRIND, &call)),
            ("ours", runner.our_command("none", &VALGRIND, &call)),
        ] {
            let value = instructions(command)?;
            println!(
                "{{\"measure\": \"{measure}\", \"unit\": \"instructions\", \"program\": \"{program}\", \"value\": {value}}}"
            );
        }
    }
    Ok(())
}

/// Runs a command under valgrind and reads off its line `Collected : 123`.
fn instructions(mut command: Command) -> Result<u64> {
    let output = command.output().context("running valgrind (Debian's package valgrind)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    let count = said.lines().find_map(|line| line.split_once("Collected :")).context("valgrind tells no count")?;
    Ok(count.1.trim().parse()?)
}
