//! `cargo lab bench`: this tree's xl against stock xl, in one boot of a machine whose time counts instructions.

use std::fmt::Write;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::machine::Said;
use crate::process::output;
use crate::profile::Profile;
use crate::progress;
use crate::session::{Lab, Program, copy_files, ends_of_logs, write_main};
use crate::stage::Build;
use crate::workspace::Workspace;

/// In software emulation at one instruction after the other this takes several minutes.
const LIMIT: Duration = Duration::from_secs(1800);

/// What a ratio ours/stock should not exceed.
const REACH: [(&str, &str, f64); 24] = [
    ("xl create -n, 200 lines", "instructions", 0.3),
    ("xl list, 1 domain", "ms", 0.2),
    ("xl list, 1 domain", "system calls", 0.25),
    ("xl list, 1 domain", "hypercalls", 0.25),
    ("xl list, 20 domains", "ms", 0.2),
    ("xl list, 20 domains", "system calls", 0.25),
    ("xl list, 20 domains", "hypercalls", 0.25),
    ("xl create -p, tiny PV", "ms", 0.5),
    ("xl create -p, tiny PV", "xenstore waits", 0.3),
    ("xl create -p, tiny PVH", "ms", 0.5),
    ("xl create -p, tiny PVH", "xenstore waits", 0.3),
    ("xl create -p, Debian's bzImage (xz)", "ms", 0.8),
    ("xl destroy NAME", "ms", 0.5),
    ("xl create -p and destroy, a disk and a vif", "ms", 0.4),
    ("xl create -p and destroy, a disk and a vif", "processes started", 0.0),
    ("xl save, PVH of 256 MiB", "ms", 0.6),
    ("xl save, PVH of 256 MiB", "system calls", 0.3),
    ("xl restore, PVH of 256 MiB", "ms", 0.6),
    ("xl restore, PVH of 256 MiB", "system calls", 0.3),
    ("the file of an idle guest, ours by --compress zstd", "KiB", 0.25),
    ("xl migrate, 80 MB written a second: the guest is silent", "ms", 0.7),
    ("the monitor of a domain", "KiB resident", 0.4),
    ("the monitor of a domain", "KiB private", 0.4),
    ("xl list, 20 domains", "xenstore waits", 0.25),
];

/// One value that measure.py prints.
#[derive(Debug, Deserialize)]
struct Sample {
    measure: String,
    unit: String,
    program: String,
    value: f64,
}

/// A measure taken from both programs.
#[derive(Debug, PartialEq)]
struct Row {
    measure: String,
    unit: String,
    stock: f64,
    ours: f64,
    reach: Option<f64>,
}

/// Measures, prints the tables and writes them to docs/performance.md.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let configuration = table(&rows(&without_xen()?));
    println!("{configuration}");
    let table = table(&rows(&under_xen(workspace)?));
    println!("{table}");
    let page = workspace.root.join("docs/performance.md");
    let text = include_str!("../bench/performance.md");
    let text = text.replace("{table}", &table).replace("{configuration}", &configuration);
    fs::write(&page, text).with_context(|| format!("writing {}", page.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What reading a configuration takes, which needs no Xen: tests/parity counts it on this machine.
fn without_xen() -> Result<Vec<Sample>> {
    progress::say("configuration: counting instructions (builds xl first)");
    let arguments = ["run", "--quiet", "--package", "parity", "--example", "instructions"];
    let lines = output(Command::new("cargo").args(arguments))?;
    lines.lines().map(|line| serde_json::from_str(line).with_context(|| format!("reading {line}"))).collect()
}

/// What commands take in dom0.
fn under_xen(workspace: &Workspace) -> Result<Vec<Sample>> {
    let profile = Profile::load(workspace, "deterministic")?;
    let lab = Lab::prepare(workspace, Program::Ours(Build::Release))?;
    let directories = lab.directories("bench")?;
    copy_files(&workspace.lab().join("bench"), &directories.share)?;
    write_main(&directories.share, "#!/bin/sh\nexec python3 /lab/measure.py\n")?;
    progress::say("machine: booting Xen and dom0 on a machine whose time counts instructions (about a minute)");
    let mut machine = lab.boot(&profile, &directories, LIMIT)?;
    let mut samples = Vec::new();
    loop {
        match machine.next() {
            Said::Line(line) => match serde_json::from_str::<Sample>(&line) {
                Ok(sample) => {
                    progress::say(&format!(
                        "{} {}: {:.3} {}",
                        sample.program, sample.measure, sample.value, sample.unit
                    ));
                    samples.push(sample);
                }
                Err(_) => println!("{line}"),
            },
            Said::Event(word, status) if word == "exit" => {
                anyhow::ensure!(status == "0", "measuring ended with status {status}");
                break;
            }
            Said::Event(..) => {}
            Said::End | Said::TimedOut => bail!("measuring did not end\n{}", ends_of_logs(&directories)),
        }
    }
    Ok(samples)
}

/// Pairs the samples of both programs, in the order in which they came.
fn rows(samples: &[Sample]) -> Vec<Row> {
    let of = |program: &'static str| samples.iter().filter(move |s| s.program == program);
    of("stock")
        .filter_map(|stock| {
            let same = |s: &&Sample| s.measure == stock.measure && s.unit == stock.unit;
            let reach = REACH.iter().find(|(m, u, _)| *m == stock.measure && *u == stock.unit).map(|r| r.2);
            let (measure, unit) = (stock.measure.clone(), stock.unit.clone());
            of("ours").find(same).map(|ours| Row { measure, unit, stock: stock.value, ours: ours.value, reach })
        })
        .collect()
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("| measure | unit | stock | ours | ours/stock | reach | |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let ratio = row.ours / row.stock;
        let verdict = match row.reach {
            Some(reach) if ratio <= reach => "met",
            Some(_) => "missed",
            None => "",
        };
        let reach = row.reach.map(|r| format!("≤ {r}")).unwrap_or_default();
        let (stock, ours) = (number(row.stock), number(row.ours));
        writeln!(text, "| {} | {} | {stock} | {ours} | {ratio:.2} | {reach} | {verdict} |", row.measure, row.unit)
            .expect("writing to a string does not fail");
    }
    text
}

/// Counts as they are, times with three digits.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(program: &str, unit: &str, value: f64) -> Sample {
        Sample { measure: "xl list, 1 domain".into(), unit: unit.into(), program: program.into(), value }
    }

    #[test]
    fn a_measure_of_one_program_only_gives_no_row() {
        let samples = [sample("stock", "ms", 100.0), sample("stock", "hypercalls", 12.0), sample("ours", "ms", 10.0)];
        let rows = rows(&samples);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].stock, rows[0].ours, rows[0].reach), (100.0, 10.0, Some(0.2)));
    }

    #[test]
    fn the_table_says_which_ratio_is_missed() {
        let samples = [
            sample("stock", "ms", 100.0),
            sample("ours", "ms", 20.0),
            sample("stock", "hypercalls", 12.0),
            sample("ours", "hypercalls", 6.0),
        ];
        let table = table(&rows(&samples));
        assert!(table.contains("| 100 | 20 | 0.20 | ≤ 0.2 | met |"), "{table}");
        assert!(table.contains("| 12 | 6 | 0.50 | ≤ 0.25 | missed |"), "{table}");
    }
}
