//! Machine profiles: the shape of the machine that a case boots, one small TOML file each in tests/lab/profiles.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::Workspace;

/// The shape of a machine. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Profile {
    /// The machine's memory in MiB.
    pub memory: u32,
    /// dom0's share of it in MiB.
    pub dom0_memory: u32,
    /// CPUs.
    pub cpus: u32,
    /// NUMA nodes; memory and CPUs are dealt out evenly.
    pub numa_nodes: u32,
    /// An Intel IOMMU, on a q35 machine.
    pub iommu: bool,
    /// An e1000e behind a PCIe root port (needs `iommu`): a device to pass through.
    pub extra_nic: bool,
    /// A USB mouse and a USB stick, which can be given to a guest.
    pub usb: bool,
    /// A second host of the same shape, and a network between the two (tests/lab/share/two-hosts.sh).
    pub second_host: bool,
    /// More of Xen's command line.
    pub xen: String,
    /// More of dom0's kernel command line.
    pub linux: String,
    /// Time counts instructions, on one CPU: equal from run to run to within 1 %. Always software emulation.
    pub deterministic: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            memory: 4096,
            dom0_memory: 2048,
            cpus: 1,
            numa_nodes: 1,
            iommu: false,
            extra_nic: false,
            usb: false,
            second_host: false,
            xen: String::new(),
            linux: String::new(),
            deterministic: false,
        }
    }
}

impl Profile {
    /// Reads `tests/lab/profiles/<name>.toml`.
    pub(crate) fn load(workspace: &Workspace, name: &str) -> Result<Self> {
        let path = workspace.lab().join("profiles").join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).with_context(|| format!("reading profile {}", path.display()))?;
        let profile = Self::parse(&text).with_context(|| format!("profile {}", path.display()))?;
        Ok(profile)
    }

    fn parse(text: &str) -> Result<Self> {
        let profile: Self = toml::from_str(text)?;
        anyhow::ensure!(profile.cpus >= 1 && profile.numa_nodes >= 1, "cpus and numa_nodes start at 1");
        anyhow::ensure!(profile.cpus >= profile.numa_nodes, "each NUMA node needs a CPU");
        anyhow::ensure!(profile.memory > profile.dom0_memory, "memory must exceed dom0_memory");
        anyhow::ensure!(profile.iommu || !profile.extra_nic, "extra_nic needs iommu");
        anyhow::ensure!(!profile.deterministic || profile.cpus == 1, "a deterministic machine has one CPU");
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_profile_is_the_default_machine() {
        assert_eq!(Profile::parse("").unwrap(), Profile::default());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(Profile::parse("cpu = 2").is_err());
    }

    #[test]
    fn shapes_that_cannot_be_built_are_refused() {
        for text in
            ["numa_nodes = 2", "extra_nic = true", "deterministic = true\ncpus = 2", "memory = 1024", "cpus = 0"]
        {
            assert!(Profile::parse(text).is_err(), "{text}");
        }
    }
}
