//! One QEMU process: its command line, its output, its end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::accel::Accelerator;
use crate::image::Image;
use crate::profile::Profile;

/// The directories that a machine works with.
pub(crate) struct Directories {
    /// `/lab` in dom0, writable: `main`, what it needs, what it leaves.
    pub share: PathBuf,
    /// What dom0 copies over its root, read-only; none for stock xl alone.
    pub stage: Option<PathBuf>,
    /// The console of Xen and of dom0's kernel goes to this file.
    pub console: PathBuf,
}

/// What a machine said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A line of the main program's output, without its end.
    Line(String),
    /// A line for the lab: a word and what follows it.
    Event(String, String),
    /// QEMU has ended.
    End,
    /// The deadline has passed.
    TimedOut,
}

/// A network card with its wire to another machine.
pub(crate) struct Link {
    /// Tells it from the card of the other machine.
    pub number: u8,
    /// This machine's end.
    pub wire: OwnedFd,
}

impl Link {
    /// The wire is QEMU's standard input.
    fn arguments(&self) -> [String; 4] {
        let card = format!("virtio-net-pci,netdev=link,mac=52:54:00:00:00:{:02x}", self.number);
        ["-netdev".into(), "socket,id=link,fd=0".into(), "-device".into(), card]
    }
}

/// A running machine; dropping it ends QEMU.
pub(crate) struct Machine {
    qemu: Child,
    lines: Receiver<String>,
    deadline: Instant,
    /// The machine at the other end of its network, which ends with this one.
    _second: Option<Box<Machine>>,
}

impl Machine {
    /// Boots `profile`; `limit` is the longest time that it may live. `link` connects it to another.
    pub(crate) fn boot(
        profile: &Profile,
        accelerator: Accelerator,
        image: &Image,
        directories: &Directories,
        link: Option<Link>,
        limit: Duration,
    ) -> Result<Self> {
        let errors = directories.console.with_extension("qemu");
        let network = link.iter().flat_map(Link::arguments);
        let mut qemu = qemu()
            .args(machine_arguments(profile, accelerator, image))
            .args(channel_arguments(directories))
            .args(network)
            .stdin(link.map_or_else(Stdio::null, |link| link.wire.into()))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&errors)?)
            .spawn()
            .context("starting qemu-system-x86_64")?;
        let output = qemu.stdout.take().context("QEMU's output is a pipe")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, lines, deadline: Instant::now() + limit, _second: None })
    }

    /// Lets `second` live as long as this one.
    pub(crate) fn keep(&mut self, second: Machine) {
        self._second = Some(Box::new(second));
    }

    /// Waits for the next thing that the machine says.
    pub(crate) fn next(&mut self) -> Said {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => parse_line(line),
            Err(RecvTimeoutError::Timeout) => Said::TimedOut,
            Err(RecvTimeoutError::Disconnected) => Said::End,
        }
    }

    /// Moves the deadline to `limit` from now.
    pub(crate) fn extend(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Errors mean that QEMU has ended already. Its disk is a snapshot: there is nothing to lose.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// QEMU, which ends with this program, however that ends.
fn qemu() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command
}

/// Runs a machine whose console is this terminal, until it powers off.
pub(crate) fn interact(
    profile: &Profile,
    accelerator: Accelerator,
    image: &Image,
    directories: &Directories,
    terminal: (u16, u16),
) -> Result<()> {
    let mut profile = profile.clone();
    profile.linux = format!("{} lab.tty={}x{}", profile.linux, terminal.0, terminal.1);
    let status = qemu()
        .args(machine_arguments(&profile, accelerator, image))
        .args(["-serial", "mon:stdio"])
        .args(share_arguments(directories))
        .status()
        .context("starting qemu-system-x86_64")?;
    anyhow::ensure!(status.success(), "qemu-system-x86_64: {status}");
    Ok(())
}

/// The byte that begins an event.
const EVENT: char = '\u{1e}';

fn parse_line(line: String) -> Said {
    match line.strip_prefix(EVENT) {
        Some(event) => {
            let (word, rest) = event.split_once(' ').unwrap_or((event, ""));
            Said::Event(word.to_owned(), rest.to_owned())
        }
        None => Said::Line(line),
    }
}

/// The machine itself: accelerator, CPU, memory, devices, and what it boots.
fn machine_arguments(profile: &Profile, accelerator: Accelerator, image: &Image) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&w| w.to_owned()));
    match accelerator {
        Accelerator::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
        Accelerator::Tcg if profile.deterministic => {
            add(&["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=off", "-cpu", TCG_CPU]);
        }
        Accelerator::Tcg => add(&["-accel", "tcg,thread=multi", "-cpu", TCG_CPU]),
    }
    add(&["-m", &profile.memory.to_string(), "-smp", &profile.cpus.to_string()]);
    if profile.iommu {
        add(&["-machine", "q35,kernel-irqchip=split", "-device", "intel-iommu,intremap=on"]);
    }
    if profile.extra_nic {
        add(&["-device", "pcie-root-port,id=passthrough,slot=1", "-device", "e1000e,bus=passthrough"]);
    }
    if profile.usb {
        add(&["-device", "qemu-xhci", "-device", "usb-mouse"]);
        add(&[
            "-blockdev",
            "null-co,node-name=stick,size=1048576,read-zeroes=on",
            "-device",
            "usb-storage,drive=stick",
        ]);
    }
    if profile.numa_nodes > 1 {
        for node in 0..profile.numa_nodes {
            add(&[
                "-object",
                &format!("memory-backend-ram,id=node{node},size={}M", share(profile.memory, profile, node)),
            ]);
            add(&["-numa", &format!("node,nodeid={node},cpus={},memdev=node{node}", cpu_range(profile, node))]);
        }
    }
    add(&["-nodefaults", "-no-reboot", "-display", "none"]);
    let disk = format!("file={},if=virtio,format=raw,snapshot=on", option(&image.disk()));
    add(&["-drive", &disk]);
    let dom0_memory = format!("dom0_mem={0}M,max:{0}M", profile.dom0_memory);
    let xen = format!("console=com1 com1=115200,8n1 {dom0_memory} loglvl=all guest_loglvl=all {}", profile.xen);
    add(&["-kernel", &image.xen().display().to_string(), "-append", xen.trim()]);
    // The first module is dom0's kernel with its command line, the second its ramdisk.
    let linux = format!("console=hvc0 rdinit=/init random.trust_cpu=on quiet {QUICKLY} {}", profile.linux);
    add(&[
        "-initrd",
        &format!("{} {},{}", option(&image.kernel()), option_text(linux.trim()), option(&image.initrd())),
    ]);
    arguments
}

/// Without what takes long when Debian's kernel boots: tests of its ciphers and of its own mappings, keys of modules.
const QUICKLY: &str = "cryptomgr.notests rodata=off initcall_blacklist=load_system_certificate_list";

/// Software emulation with what guests need: AMD's virtualisation with nested paging; RDRAND, without which dom0
/// has no entropy for its first minutes and programs that make a UUID wait for it.
const TCG_CPU: &str = "qemu64,+svm,+npt,+rdrand";

/// The console to its file, the main program's output to QEMU's stdout, the shared directories.
fn channel_arguments(directories: &Directories) -> Vec<String> {
    let mut arguments = vec!["-serial".into(), format!("file:{}", directories.console.display())];
    for words in [
        ["-chardev", "file,id=output,path=/dev/stdout"],
        ["-device", "virtio-serial-pci"],
        ["-device", "virtserialport,chardev=output,name=lab"],
    ] {
        arguments.extend(words.map(String::from));
    }
    arguments.extend(share_arguments(directories));
    arguments
}

fn share_arguments(directories: &Directories) -> Vec<String> {
    let share = |tag: &str, path: &Path, more: &str| {
        let path = option(path);
        ["-virtfs".into(), format!("local,path={path},mount_tag={tag},security_model=none,multidevs=remap{more}")]
    };
    let mut arguments = share("lab", &directories.share, "").to_vec();
    if let Some(stage) = &directories.stage {
        arguments.extend(share("stage", stage, ",readonly=on"));
    }
    arguments
}

/// Node `node`'s part of `total`, dealt out evenly.
fn share(total: u32, profile: &Profile, node: u32) -> u32 {
    total / profile.numa_nodes + u32::from(node < total % profile.numa_nodes)
}

fn cpu_range(profile: &Profile, node: u32) -> String {
    let first: u32 = (0..node).map(|n| share(profile.cpus, profile, n)).sum();
    format!("{first}-{}", first + share(profile.cpus, profile, node) - 1)
}

/// A path inside a QEMU option, where a comma is written twice.
fn option(path: &Path) -> String {
    option_text(&path.display().to_string())
}

fn option_text(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(toml: &str) -> String {
        let profile = toml::from_str(toml).unwrap();
        machine_arguments(&profile, Accelerator::Tcg, &Image::at("/i,1".into())).join(" ")
    }

    #[test]
    fn the_default_machine_boots_xen_with_dom0_as_its_modules() {
        let line = arguments("");
        assert!(line.contains("-kernel /i,1/xen -append console=com1 "), "{line}");
        assert!(line.contains("-initrd /i,,1/vmlinuz console=hvc0 "), "{line}");
        assert!(line.ends_with(",/i,,1/initrd.gz"), "{line}");
        assert!(!line.contains("-numa"), "{line}");
    }

    #[test]
    fn numa_nodes_share_memory_and_cpus() {
        let line = arguments("numa_nodes = 2\ncpus = 3\nmemory = 4097");
        assert!(line.contains("id=node0,size=2049M") && line.contains("id=node1,size=2048M"), "{line}");
        assert!(line.contains("nodeid=0,cpus=0-1,") && line.contains("nodeid=1,cpus=2-2,"), "{line}");
    }

    #[test]
    fn a_deterministic_machine_counts_instructions() {
        assert!(arguments("deterministic = true\ncpus = 1").contains("-icount shift=1,sleep=off"));
    }

    #[test]
    fn events_are_told_from_output() {
        assert_eq!(parse_line("exit 3".into()), Said::Line("exit 3".into()));
        assert_eq!(parse_line("\u{1e}exit 3".into()), Said::Event("exit".into(), "3".into()));
        assert_eq!(parse_line("\u{1e}booted".into()), Said::Event("booted".into(), String::new()));
    }
}
