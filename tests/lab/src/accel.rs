//! Which accelerator runs Xen here. KVM does only where it nests (Xen's guests need SVM or VMX), and that is known
//! only by booting: the probe boots dom0 once under KVM and the answer is kept.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use nix::unistd::{AccessFlags, access};

use crate::image::Image;
use crate::machine::{Directories, Machine, Said};
use crate::process::output;
use crate::profile::Profile;
use crate::progress;
use crate::workspace::{self, Workspace};

/// How QEMU runs the machine's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The host's own virtualisation.
    Kvm,
    /// QEMU's software emulation.
    Tcg,
}

/// Whether Xen says that it can run guests which need hardware support.
const PROBE: &str = "#!/bin/sh\nstockxl info | grep '^virt_caps.* hvm'\n";

/// A dom0 under KVM is up in a few seconds; a KVM that cannot run Xen hangs.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

impl Accelerator {
    /// KVM where it can run Xen with `image`, else TCG.
    pub(crate) fn choose(workspace: &Workspace, profile: &Profile, image: &Image) -> Result<Self> {
        if profile.deterministic || !kvm_may_nest() {
            return Ok(Self::Tcg);
        }
        let machine = output(std::process::Command::new("uname").arg("-rv"))?;
        let dir = workspace::cached(&workspace.cache(), "accel", &workspace::key(&machine), |dir| {
            progress::say("machine: trying whether KVM can run Xen");
            let answer = if kvm_runs_xen(workspace, image)? { "kvm" } else { "tcg" };
            progress::say(&format!("machine: {answer}"));
            Ok(fs::write(dir.join("answer"), answer)?)
        })?;
        Ok(if fs::read_to_string(dir.join("answer"))? == "kvm" { Self::Kvm } else { Self::Tcg })
    }
}

/// Whether /dev/kvm can be opened and its module says that it nests.
fn kvm_may_nest() -> bool {
    let nested = ["kvm_intel", "kvm_amd"].map(|module| format!("/sys/module/{module}/parameters/nested"));
    let nests = nested.iter().filter_map(|p| fs::read_to_string(p).ok()).any(|v| matches!(v.trim(), "Y" | "1"));
    nests && access("/dev/kvm", AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
}

fn kvm_runs_xen(workspace: &Workspace, image: &Image) -> Result<bool> {
    let dir = workspace.cache().join("probe");
    let directories = Directories { share: dir.join("share"), stage: None, console: dir.join("console.log") };
    crate::session::write_main(&directories.share, PROBE)?;
    let mut machine = Machine::boot(&Profile::default(), Accelerator::Kvm, image, &directories, None, PROBE_LIMIT)?;
    loop {
        match machine.next() {
            Said::Event(word, status) if word == "exit" => return Ok(status == "0"),
            Said::End | Said::TimedOut => return Ok(false),
            Said::Line(_) | Said::Event(..) => {}
        }
    }
}
