//! Many configurations or calls through both programs, and what comes out differently.

use crate::cases::Case;
use crate::runner::{Runner, Seen};
use crate::stock::Stock;

/// Both programs, with a directory of this name.
///
/// # Panics
///
/// If stock xl is not to be had or ours does not build: a comparison that cannot be made has not passed.
pub fn runner(name: &str) -> Runner {
    let stock = Stock::fetch().unwrap_or_else(|e| {
        panic!(
            "stock xl, which these tests compare with, is not to be had here: {e:#}\n\
             (the other tests run without: cargo test --workspace --exclude parity)"
        )
    });
    Runner::new(stock, name).expect("building ours")
}

/// Compares what both make of each configuration.
///
/// # Panics
///
/// If any differ, with all of them.
pub fn configurations(runner: &Runner, cases: &[Case], what: &str) {
    let compared: Vec<(bool, Option<String>)> = cases.iter().map(|case| configuration(runner, case)).collect();
    let right = compared.iter().filter(|(right, _)| *right).count();
    println!("{what}: {} configurations, of which stock xl takes {right}", cases.len());
    let differences: Vec<String> = compared.into_iter().filter_map(|(_, difference)| difference).collect();
    assert!(differences.is_empty(), "{what}: {} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Whether stock xl takes the configuration, and how ours differs.
fn configuration(runner: &Runner, case: &Case) -> (bool, Option<String>) {
    let (stock, ours, messages) = runner.create(&case.name, &case.text).expect("both programs run");
    let difference = difference(&stock, &ours).map(|d| format!("{}: {d}\n{}{messages}", case.name, case.text));
    (stock.status == Some(0), difference)
}

/// How two runs differ: the statuses, and the first lines that are not the same.
pub fn difference(stock: &Seen, ours: &Seen) -> Option<String> {
    let first = stock
        .output
        .lines()
        .zip(ours.output.lines())
        .find(|(a, b)| a != b)
        .map(|(a, b)| format!("\n  stock: {a}\n  ours:  {b}"))
        .unwrap_or_default();
    (stock != ours).then(|| format!("status {:?}, ours {:?}{first}", stock.status, ours.status))
}
