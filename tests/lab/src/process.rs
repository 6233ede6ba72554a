//! Running other programs: quietly with a log file, or for their output.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress;

/// How often a long step shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Runs `command` with its output in `log`; says every ten seconds what its last line was, so that a long step
/// shows that it lives. On failure the error carries the end of the log.
pub(crate) fn run_logged(what: &str, command: &mut Command, log: &Path) -> Result<()> {
    progress::say(what);
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir)?;
    }
    let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("{what}: starting {}", command.get_program().to_string_lossy()))?;
    let mut spoke = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if spoke.elapsed() >= HEARTBEAT {
            let lines = last_lines(log, 20);
            let last = lines.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("started");
            progress::say(&format!("{what}: {}", last.trim()));
            spoke = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        bail!("{what}: {status}; the end of {}:\n{}", log.display(), last_lines(log, 20));
    }
    Ok(())
}

/// The standard output of `command`, which must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last `count` lines of a file, read from its last 64 KiB; empty if it cannot be read.
pub(crate) fn last_lines(path: &Path, count: usize) -> String {
    let tail = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(64 << 10)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&tail().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_shows_the_end_of_its_log() {
        let log = std::env::temp_dir().join(format!("lab-process-{}.log", std::process::id()));
        let error = run_logged("demo step", Command::new("sh").args(["-c", "echo broken >&2; exit 3"]), &log);
        let text = format!("{:#}", error.unwrap_err());
        fs::remove_file(log).unwrap();
        assert!(text.contains("demo step") && text.contains("exit status: 3") && text.contains("broken"), "{text}");
    }

    #[test]
    fn last_lines_of_a_short_file_are_all_of_it() {
        let file = std::env::temp_dir().join(format!("lab-last-{}.log", std::process::id()));
        fs::write(&file, "one\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&file, 2), "two\nthree");
        assert_eq!(last_lines(&file, 9), "one\ntwo\nthree");
        fs::remove_file(file).unwrap();
    }
}
