//! A boot for a purpose: everything prepared, a main program in dom0, its output followed to its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::MachineOptions;
use crate::accel::Accelerator;
use crate::image::Image;
use crate::machine::{Directories, Link, Machine, Said};
use crate::process::last_lines;
use crate::profile::Profile;
use crate::stage::Build;
use crate::workspace::Workspace;
use crate::{progress, setup, stage};

/// Longest time from QEMU's start to dom0's readiness.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Whose program `xl` is in dom0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// This tree's, built so.
    Ours(Build),
    /// The one that came with Xen.
    Stock,
}

/// All that a boot needs, made once: packages, dom0's image, the staged tree.
pub(crate) struct Lab<'a> {
    workspace: &'a Workspace,
    pub image: Image,
    program: Program,
}

impl<'a> Lab<'a> {
    /// Makes what is not there yet. The program is built while dom0's packages are fetched.
    pub(crate) fn prepare(workspace: &'a Workspace, program: Program) -> Result<Self> {
        let _lock = workspace.lock_cache()?;
        setup::host_packages(workspace)?;
        let (image, built) = std::thread::scope(|scope| {
            let build = scope.spawn(|| match program {
                Program::Ours(build) => stage::build(workspace, build),
                Program::Stock => Ok(()),
            });
            let image = setup::dom0(workspace).and_then(|dom0| Image::prepare(workspace, &dom0));
            (image, build.join().expect("the build thread does not panic"))
        });
        built?;
        Ok(Self { workspace, image: image?, program })
    }

    /// The accelerator for machines of `profile`.
    pub(crate) fn accelerator(&self, profile: &Profile) -> Result<Accelerator> {
        Accelerator::choose(self.workspace, profile, &self.image)
    }

    /// Fresh directories for a boot called `name`. They stay after the end, to be looked at; the next boot of any
    /// later process removes them.
    pub(crate) fn directories(&self, name: &str) -> Result<Directories> {
        let runs = self.workspace.cache().join("run");
        remove_runs_of_ended_processes(&runs)?;
        self.directories_in(&runs.join(format!("{}-{name}", std::process::id())))
    }

    fn directories_in(&self, dir: &Path) -> Result<Directories> {
        let share = dir.join("share");
        fs::create_dir_all(&share).with_context(|| format!("making {}", share.display()))?;
        let stage = match self.program {
            Program::Ours(build) => {
                let stage = dir.join("stage");
                stage::install(self.workspace, build, &stage)?;
                Some(stage)
            }
            Program::Stock => None,
        };
        Ok(Directories { share, stage, console: dir.join("console.log") })
    }

    /// Boots `profile` with the main program of `directories` and waits until dom0 is ready for it; from then on the
    /// machine may live for `limit`. Where the profile has a second host, that is booted first, and ends with this one.
    pub(crate) fn boot(&self, profile: &Profile, directories: &Directories, limit: Duration) -> Result<Machine> {
        if !profile.second_host {
            return self.boot_one(profile, directories, None, limit);
        }
        let dir = directories.share.parent().context("the share is in a directory")?.join("second");
        let of_second = self.directories_in(&dir)?;
        copy_files(&self.workspace.lab().join("share"), &of_second.share)?;
        write_main(&of_second.share, "#!/bin/sh\nexec bash /lab/second-host\n")?;
        let (near, far) = UnixStream::pair().context("a wire for the network")?;
        let second = self.boot_one(profile, &of_second, Some(Link { number: 2, wire: far.into() }), limit)?;
        let mut machine = self.boot_one(profile, directories, Some(Link { number: 1, wire: near.into() }), limit)?;
        machine.keep(second);
        Ok(machine)
    }

    fn boot_one(
        &self,
        profile: &Profile,
        directories: &Directories,
        link: Option<Link>,
        limit: Duration,
    ) -> Result<Machine> {
        let accelerator = self.accelerator(profile)?;
        let mut machine = Machine::boot(profile, accelerator, &self.image, directories, link, BOOT_LIMIT)?;
        loop {
            match machine.next() {
                Said::Event(word, _) if word == "booted" => break,
                Said::Line(_) | Said::Event(..) => {}
                Said::End => bail!("QEMU ended before dom0 was up\n{}", ends_of_logs(directories)),
                Said::TimedOut => bail!("dom0 was not up after {BOOT_LIMIT:?}\n{}", ends_of_logs(directories)),
            }
        }
        machine.extend(limit);
        Ok(machine)
    }
}

/// Removes the directories "PID-NAME" whose process is no more.
fn remove_runs_of_ended_processes(runs: &Path) -> Result<()> {
    fs::create_dir_all(runs)?;
    for entry in fs::read_dir(runs)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default();
        if pid != std::process::id().to_string() && !Path::new("/proc").join(pid).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Makes `text` the program that dom0 runs.
pub(crate) fn write_main(share: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(share)?;
    let main = share.join("main");
    fs::write(&main, text)?;
    Ok(fs::set_permissions(main, fs::Permissions::from_mode(0o755))?)
}

/// Copies the files of directory `from` into `to`.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().context("a file has a name")?))?;
    }
    Ok(())
}

/// What QEMU, Xen and dom0's kernel said last.
pub(crate) fn ends_of_logs(directories: &Directories) -> String {
    let [console, qemu] = [&directories.console, &directories.console.with_extension("qemu")];
    format!("{}\n{}\n(whole: {})", last_lines(qemu, 10), last_lines(console, 40), console.display())
}

/// Prints a main program's output as it comes, and returns its exit status. Events go to `event`.
pub(crate) fn follow(
    machine: &mut Machine,
    directories: &Directories,
    mut event: impl FnMut(&str, &str),
) -> Result<u8> {
    loop {
        match machine.next() {
            Said::Line(line) => println!("{line}"),
            Said::Event(word, rest) if word == "exit" => return rest.parse().context("reading the exit status"),
            Said::Event(word, rest) => event(&word, &rest),
            Said::End => bail!("QEMU ended too early\n{}", ends_of_logs(directories)),
            Said::TimedOut => bail!("out of time\n{}", ends_of_logs(directories)),
        }
    }
}

/// `cargo lab run`: a script in a fresh dom0.
pub(crate) fn run_script(
    workspace: &Workspace,
    script: &Path,
    options: &MachineOptions,
    limit: u64,
) -> Result<ExitCode> {
    let text = fs::read_to_string(script).with_context(|| format!("reading {}", script.display()))?;
    let profile = Profile::load(workspace, &options.profile)?;
    let lab = Lab::prepare(workspace, options.program())?;
    let directories = lab.directories("run")?;
    fs::write(directories.share.join("script"), text)?;
    write_main(&directories.share, "#!/bin/sh\nexec sh /lab/script\n")?;
    progress::say("machine: booting Xen and dom0");
    let mut machine = lab.boot(&profile, &directories, Duration::from_secs(limit))?;
    let status = follow(&mut machine, &directories, |_, _| {})?;
    Ok(ExitCode::from(status))
}
