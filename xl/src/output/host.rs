//! The host as stock xl's `info` shows it, and as JSON.

use libxc::host::{CpuTopology, HostCapabilities, NumaNode, PciAddress, PhysInfo, Version};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// All that `xl info` shows without `-n`.
pub(crate) struct Host {
    pub(crate) uname: Uname,
    pub(crate) physical: PhysInfo,
    pub(crate) sharing_freed_pages: u64,
    pub(crate) sharing_used_frames: u64,
    /// CPUs in no pool.
    pub(crate) free_cpus: u32,
    pub(crate) version: Version,
    pub(crate) scheduler: &'static str,
}

/// The control domain's kernel (uname(2)).
pub(crate) struct Uname {
    pub(crate) host: String,
    pub(crate) release: String,
    pub(crate) version: String,
    pub(crate) machine: String,
}

/// What `xl info -n` adds.
pub(crate) struct Topology {
    /// Where each CPU is; none for a number without a CPU.
    pub(crate) cpus: Vec<Option<CpuTopology>>,
    /// PCI devices and the node of each, where Xen knows it.
    pub(crate) devices: Vec<(PciAddress, Option<u32>)>,
    /// The memory of each node; none for a number without a node.
    pub(crate) nodes: Vec<Option<NumaNode>>,
}

/// One value of `xl info`.
enum Field {
    Number(u64),
    Text(String),
    /// Words with spaces between them.
    Words(String),
    /// Thousandths, shown with three digits after the point.
    Milli(u32),
}

/// The text of `xl info`; with a topology, of `xl info -n`.
pub(crate) fn info(host: &Host, topology: Option<&Topology>) -> String {
    let before = lines(kernel_fields(&host.uname)) + &lines(physical_fields(host));
    before + &topology.map(topology_text).unwrap_or_default() + &lines(xen_fields(host))
}

/// The values of the lines whose key begins with `key`, for `xl info KEY`.
pub(crate) fn info_values(host: &Host, key: &str) -> String {
    let text = info(host, None);
    let values = text.lines().filter(|line| line.starts_with(key)).filter_map(|line| line.split_once(": "));
    values.map(|(_, value)| format!("{value}\n")).collect()
}

/// The object of `xl info -o json`: the table's keys, numbers as numbers, lists of words as arrays.
pub(crate) fn info_json(host: &Host, topology: Option<&Topology>) -> impl Serialize + use<> {
    let fields = [kernel_fields(&host.uname), physical_fields(host), xen_fields(host)].into_iter().flatten();
    let mut object: Map<String, Value> = fields.map(|(key, field)| (key.to_string(), field.json())).collect();
    if let Some(topology) = topology {
        object.insert("cpu_topology".into(), cpus_json(topology));
        object.insert("device_topology".into(), devices_json(topology));
        object.insert("numa_info".into(), nodes_json(topology));
    }
    object
}

fn lines(fields: Vec<(&str, Field)>) -> String {
    fields.into_iter().map(|(key, field)| format!("{key:<23}:{}\n", field.text())).collect()
}

impl Field {
    /// The value with the space that goes before it.
    fn text(&self) -> String {
        match self {
            Field::Number(number) => format!(" {number}"),
            Field::Words(words) if words.is_empty() => String::new(),
            Field::Text(text) | Field::Words(text) => format!(" {text}"),
            Field::Milli(milli) => format!(" {}.{:03}", milli / 1000, milli % 1000),
        }
    }

    fn json(self) -> Value {
        match self {
            Field::Number(number) => number.into(),
            Field::Text(text) => text.into(),
            Field::Words(words) => words.split_whitespace().collect(),
            Field::Milli(milli) => (f64::from(milli) / 1000.0).into(),
        }
    }
}

fn kernel_fields(uname: &Uname) -> Vec<(&'static str, Field)> {
    let text = |text: &String| Field::Text(text.clone());
    vec![
        ("host", text(&uname.host)),
        ("release", text(&uname.release)),
        ("version", text(&uname.version)),
        ("machine", text(&uname.machine)),
    ]
}

fn physical_fields(host: &Host) -> Vec<(&'static str, Field)> {
    let Host { physical, version, .. } = host;
    let number = |number: u32| Field::Number(number.into());
    let pages_per_mib = (1 << 20) / u64::from(version.pagesize.clamp(1, 1 << 20));
    let mib = |pages: u64| Field::Number(pages / pages_per_mib);
    let hw_caps: Vec<_> = physical.hw_cap.iter().map(|word| format!("{word:08x}")).collect();
    vec![
        ("nr_cpus", number(physical.nr_cpus)),
        ("max_cpu_id", number(physical.max_cpu_id)),
        ("nr_nodes", number(physical.nr_nodes)),
        ("cores_per_socket", number(physical.cores_per_socket)),
        ("threads_per_core", number(physical.threads_per_core)),
        ("cpu_mhz", Field::Milli(physical.cpu_khz)),
        ("hw_caps", Field::Text(hw_caps.join(":"))),
        ("virt_caps", Field::Words(virt_caps(physical.capabilities))),
        ("total_memory", mib(physical.total_pages)),
        ("free_memory", mib(physical.free_pages.saturating_sub(physical.outstanding_pages))),
        ("sharing_freed_memory", mib(host.sharing_freed_pages)),
        ("sharing_used_memory", mib(host.sharing_used_frames)),
        ("outstanding_claims", mib(physical.outstanding_pages)),
        ("free_cpus", number(host.free_cpus)),
    ]
}

fn virt_caps(has: HostCapabilities) -> String {
    let hvm_directio = HostCapabilities::HVM | HostCapabilities::DIRECTIO;
    let pv_directio = HostCapabilities::PV | HostCapabilities::DIRECTIO;
    let words = [
        (HostCapabilities::PV, "pv"),
        (HostCapabilities::HVM, "hvm"),
        (hvm_directio, "hvm_directio"),
        (pv_directio, "pv_directio"),
        (HostCapabilities::HAP, "hap"),
        (HostCapabilities::SHADOW, "shadow"),
        (HostCapabilities::IOMMU_HAP_PT_SHARE, "iommu_hap_pt_share"),
        (HostCapabilities::VMTRACE, "vmtrace"),
        (HostCapabilities::VPMU, "vpmu"),
        (HostCapabilities::GNTTAB_V1, "gnttab-v1"),
        (HostCapabilities::GNTTAB_V2, "gnttab-v2"),
    ];
    let present: Vec<_> = words.into_iter().filter(|(needed, _)| has.contains(*needed)).map(|(_, word)| word).collect();
    present.join(" ")
}

fn xen_fields(host: &Host) -> Vec<(&'static str, Field)> {
    let version = &host.version;
    let text = |text: &str| Field::Text(text.to_string());
    vec![
        ("xen_major", Field::Number(version.major.into())),
        ("xen_minor", Field::Number(version.minor.into())),
        ("xen_extra", text(&version.extra)),
        ("xen_version", Field::Text(format!("{}.{}{}", version.major, version.minor, version.extra))),
        ("xen_caps", Field::Words(version.capabilities.clone())),
        ("xen_scheduler", text(host.scheduler)),
        ("xen_pagesize", Field::Number(version.pagesize.into())),
        ("platform_params", Field::Text(format!("virt_start=0x{:x}", version.virt_start))),
        ("xen_changeset", text(&version.changeset)),
        ("xen_commandline", text(&version.commandline)),
        ("cc_compiler", text(&version.compiler)),
        ("cc_compile_by", text(&version.compile_by)),
        ("cc_compile_domain", text(&version.compile_domain)),
        ("cc_compile_date", text(&version.compile_date)),
        ("build_id", text(&version.build_id)),
        // The version of the long gone xend's configuration: scripts may still look for it.
        ("xend_config_format", Field::Number(4)),
    ]
}

fn topology_text(topology: &Topology) -> String {
    let mut text = "cpu_topology           :\ncpu:    core    socket     node\n".to_string();
    for (cpu, place) in present(&topology.cpus) {
        let CpuTopology { core, socket, node } = place;
        let _ = writeln!(text, "{cpu:>3}:    {core:>4}     {socket:>4}     {node:>4}");
    }
    text += "device topology        :\ndevice           node\n";
    let mut known = topology.devices.iter().filter_map(|(device, node)| Some((device, (*node)?))).peekable();
    if known.peek().is_none() {
        text += "No device topology data available\n";
    }
    for (device, node) in known {
        let _ = writeln!(text, "{}      {node}", pci_address(device));
    }
    text += "numa_info              :\nnode:    memsize    memfree    distances\n";
    for (number, node) in present(&topology.nodes) {
        let distances: Vec<_> = node.distances.iter().map(|d| d.map_or("-1".to_string(), |d| d.to_string())).collect();
        let (size, free, distances) = (node.size >> 20, node.free >> 20, distances.join(","));
        let _ = writeln!(text, "{number:>4}:    {size:>6}     {free:>6}      {distances}");
    }
    text
}

/// The entries that exist, with their numbers.
fn present<T>(entries: &[Option<T>]) -> impl Iterator<Item = (usize, &T)> {
    entries.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.as_ref()?)))
}

fn pci_address(device: &PciAddress) -> String {
    format!("{:04x}:{:02x}:{:02x}.{:x}", device.segment, device.bus, device.devfn >> 3, device.devfn & 7)
}

fn cpus_json(topology: &Topology) -> Value {
    present(&topology.cpus)
        .map(|(cpu, t)| json!({"cpu": cpu, "core": t.core, "socket": t.socket, "node": t.node}))
        .collect()
}

fn devices_json(topology: &Topology) -> Value {
    let known = topology.devices.iter().filter_map(|(device, node)| Some((pci_address(device), (*node)?)));
    known.map(|(device, node)| json!({"device": device, "node": node})).collect()
}

fn nodes_json(topology: &Topology) -> Value {
    let node = |(number, node): (usize, &NumaNode)| json!({"node": number, "memory_bytes": node.size, "free_bytes": node.free, "distances": node.distances});
    present(&topology.nodes).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::Mfn;

    fn host() -> Host {
        let pages = |mib: u64| mib * 256;
        Host {
            uname: Uname {
                host: "labhost".into(),
                release: "6.1.0-56-amd64".into(),
                version: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)".into(),
                machine: "x86_64".into(),
            },
            physical: PhysInfo {
                threads_per_core: 1,
                cores_per_socket: 2,
                nr_cpus: 2,
                max_cpu_id: 1,
                nr_nodes: 1,
                max_node_id: 0,
                cpu_khz: 2_445_427,
                capabilities: HostCapabilities::PV
                    | HostCapabilities::HVM
                    | HostCapabilities::HAP
                    | HostCapabilities::GNTTAB_V1
                    | HostCapabilities::GNTTAB_V2,
                arch_capabilities: 0,
                total_pages: pages(4095),
                free_pages: pages(1876) + 3,
                scrub_pages: 0,
                outstanding_pages: 0,
                max_mfn: Mfn(0),
                hw_cap: [0x178bf3fd, 0x80002001, 0x20100800, 7, 0, 0, 0, 0],
            },
            sharing_freed_pages: 0,
            sharing_used_frames: 0,
            free_cpus: 0,
            version: Version {
                major: 4,
                minor: 17,
                extra: ".7".into(),
                compiler: "x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0".into(),
                compile_by: "pkg-xen-devel".into(),
                compile_domain: "lists.alioth.debian.org".into(),
                compile_date: "Wed Nov  4 16:52:28 UTC 2026".into(),
                capabilities: "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ".into(),
                changeset: String::new(),
                virt_start: 0xffff_8000_0000_0000,
                pagesize: 4096,
                commandline: "console=com1 com1=115200,8n1 dom0_mem=2048M,max:2048M loglvl=all guest_loglvl=all".into(),
                build_id: "151b373fd64b321593bf987fd923cd10dabadac4".into(),
            },
            scheduler: "credit2",
        }
    }

    fn topology() -> Topology {
        Topology {
            cpus: (0..2).map(|core| Some(CpuTopology { core, socket: 0, node: 0 })).chain([None]).collect(),
            devices: vec![(PciAddress { segment: 0, bus: 0, devfn: 0x1d }, None)],
            nodes: vec![Some(NumaNode { size: 5120 << 20, free: 1876 << 20, distances: vec![Some(10)] })],
        }
    }

    // The texts were printed by stock xl 4.17.

    const BEFORE: &str = "\
host                   : labhost
release                : 6.1.0-56-amd64
version                : #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)
machine                : x86_64
nr_cpus                : 2
max_cpu_id             : 1
nr_nodes               : 1
cores_per_socket       : 2
threads_per_core       : 1
cpu_mhz                : 2445.427
hw_caps                : 178bf3fd:80002001:20100800:00000007:00000000:00000000:00000000:00000000
virt_caps              : pv hvm hap gnttab-v1 gnttab-v2
total_memory           : 4095
free_memory            : 1876
sharing_freed_memory   : 0
sharing_used_memory    : 0
outstanding_claims     : 0
free_cpus              : 0
";
    const TOPOLOGY: &str = "\
cpu_topology           :
cpu:    core    socket     node
  0:       0        0        0
  1:       1        0        0
device topology        :
device           node
No device topology data available
numa_info              :
node:    memsize    memfree    distances
   0:      5120       1876      10
";
    const AFTER: &str = "xen_major              : 4
xen_minor              : 17
xen_extra              : .7
xen_version            : 4.17.7
xen_caps               : xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 \n\
xen_scheduler          : credit2
xen_pagesize           : 4096
platform_params        : virt_start=0xffff800000000000
xen_changeset          : \n\
xen_commandline        : console=com1 com1=115200,8n1 dom0_mem=2048M,max:2048M loglvl=all guest_loglvl=all
cc_compiler            : x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0
cc_compile_by          : pkg-xen-devel
cc_compile_domain      : lists.alioth.debian.org
cc_compile_date        : Wed Nov  4 16:52:28 UTC 2026
build_id               : 151b373fd64b321593bf987fd923cd10dabadac4
xend_config_format     : 4
";

    #[test]
    fn info_is_stock_xls_text() {
        assert_eq!(info(&host(), None), format!("{BEFORE}{AFTER}"));
        assert_eq!(info(&host(), Some(&topology())), format!("{BEFORE}{TOPOLOGY}{AFTER}"));
    }

    #[test]
    fn a_key_chooses_values_by_their_beginning() {
        assert_eq!(info_values(&host(), "nr_"), "2\n1\n");
        assert_eq!(info_values(&host(), "xen_version"), "4.17.7\n");
        assert_eq!(info_values(&host(), "virt_caps"), "pv hvm hap gnttab-v1 gnttab-v2\n");
        assert_eq!(info_values(&host(), "nothing"), "");
    }

    #[test]
    fn directio_is_told_for_each_kind_of_guest() {
        let has = HostCapabilities::PV | HostCapabilities::HVM | HostCapabilities::DIRECTIO;
        assert_eq!(virt_caps(has), "pv hvm hvm_directio pv_directio");
        assert_eq!(virt_caps(HostCapabilities::PV | HostCapabilities::DIRECTIO), "pv pv_directio");
    }

    #[test]
    fn known_devices_are_listed() {
        let mut topology = topology();
        topology.devices[0].1 = Some(1);
        assert!(info(&host(), Some(&topology)).contains("device           node\n0000:00:03.5      1\nnuma_info"));
    }

    #[test]
    fn json_has_the_tables_keys() {
        let json = serde_json::to_value(info_json(&host(), Some(&topology()))).unwrap();
        assert_eq!(json["free_memory"], 1876);
        assert_eq!(json["cpu_mhz"], 2445.427);
        assert_eq!(json["virt_caps"], json!(["pv", "hvm", "hap", "gnttab-v1", "gnttab-v2"]));
        assert_eq!(json["cpu_topology"][1], json!({"cpu": 1, "core": 1, "socket": 0, "node": 0}));
        assert_eq!(json["numa_info"][0]["distances"], json!([10]));
    }
}
