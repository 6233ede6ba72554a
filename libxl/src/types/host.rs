//! The host and what runs on it.

use super::*;

record! {
    /// A domain's state (`libxl_dominfo`).
    pub struct DomInfo {
        /// Its UUID.
        uuid: Uuid,
        /// Its number.
        domid: u32,
        /// Its security label as a number.
        ssidref: u32,
        /// Its security label.
        ssid_label: Option<String>,
        /// A vCPU of it is running.
        running: bool,
        /// All its vCPUs wait for something.
        blocked: bool,
        /// It is paused.
        paused: bool,
        /// It has shut down.
        shutdown: bool,
        /// It is being destroyed.
        dying: bool,
        /// libxl never sets it.
        never_stop: bool,
        /// Why it has shut down, if it has.
        shutdown_reason: ShutdownReason,
        /// Memory it has claimed and not yet got, in KiB.
        outstanding_memkb: Option<u64>,
        /// Its memory, in KiB.
        current_memkb: Option<u64>,
        /// The part that it shares with others, in KiB.
        shared_memkb: Option<u64>,
        /// The part that is paged out, in KiB.
        paged_memkb: Option<u64>,
        /// The most memory it may have, in KiB.
        max_memkb: Option<u64>,
        /// The CPU time it has used, in nanoseconds.
        cpu_time: u64,
        /// The highest number of a vCPU.
        vcpu_max_id: u32,
        /// How many vCPUs are online.
        vcpu_online: u32,
        /// Its CPU pool.
        cpupool: u32,
        /// The width of its physical addresses, in bits.
        gpaddr_bits: u8,
        /// Its kind.
        domain_type: DomainType,
    }
}

record! {
    /// A domain and its UUID (`libxl_vminfo`).
    pub struct VmInfo {
        /// Its UUID.
        uuid: Uuid,
        /// Its number.
        domid: u32,
    }
}

record! {
    /// A vCPU's state (`libxl_vcpuinfo`).
    pub struct VcpuInfo {
        /// Its number.
        vcpuid: u32,
        /// The CPU it is or was last on.
        cpu: u32,
        /// The guest has it online.
        online: bool,
        /// It waits for something.
        blocked: bool,
        /// It is on a CPU.
        running: bool,
        /// How long it has run, in nanoseconds.
        vcpu_time: u64,
        /// The CPUs it may run on.
        cpumap: Bitmap,
        /// The CPUs it runs on best.
        cpumap_soft: Bitmap,
    }
}

record! {
    /// A CPU pool (`libxl_cpupoolinfo`).
    pub struct CpupoolInfo {
        /// Its number.
        poolid: u32,
        /// Its name.
        pool_name: Option<String>,
        /// Its scheduler.
        sched: Scheduler,
        /// How many domains are in it.
        n_dom: u32,
        /// Its CPUs.
        cpumap: Bitmap,
    }
}

record! {
    /// The hypervisor's version (`libxl_version_info`).
    pub struct VersionInfo {
        /// The first number.
        xen_version_major: i32,
        /// The second number.
        xen_version_minor: i32,
        /// What follows the numbers: `.5` and the like.
        xen_version_extra: Option<String>,
        /// The compiler.
        compiler: Option<String>,
        /// Who compiled it.
        compile_by: Option<String>,
        /// Where.
        compile_domain: Option<String>,
        /// When.
        compile_date: Option<String>,
        /// The guests it can run.
        capabilities: Option<String>,
        /// The commit.
        changeset: Option<String>,
        /// Where it begins in a PV guest's address space.
        virt_start: u64,
        /// The size of a page.
        pagesize: i32,
        /// Its command line.
        commandline: Option<String>,
        /// The build ID.
        build_id: Option<String>,
    }
}

record! {
    /// The host's hardware (`libxl_physinfo`).
    pub struct PhysInfo {
        /// Threads of a core.
        threads_per_core: u32,
        /// Cores of a socket.
        cores_per_socket: u32,
        /// The highest number of a CPU.
        max_cpu_id: u32,
        /// How many CPUs are online.
        nr_cpus: u32,
        /// The CPUs' frequency.
        cpu_khz: u32,
        /// The host's memory.
        total_pages: u64,
        /// The part that is free.
        free_pages: u64,
        /// The part that is being scrubbed.
        scrub_pages: u64,
        /// The part that is claimed.
        outstanding_pages: u64,
        /// The part that sharing has saved.
        sharing_freed_pages: u64,
        /// The part that is shared.
        sharing_used_frames: u64,
        /// The highest machine frame.
        max_possible_mfn: u64,
        /// How many NUMA nodes.
        nr_nodes: u32,
        /// CPU features.
        hw_cap: HwCap,
        /// HVM and PVH guests can run.
        cap_hvm: bool,
        /// PV guests can run.
        cap_pv: bool,
        /// Devices can be passed through with an IOMMU.
        cap_hvm_directio: bool,
        /// The CPUs can translate guest addresses.
        cap_hap: bool,
        /// Shadow page tables are built in.
        cap_shadow: bool,
        /// The IOMMU can use the CPU's page tables.
        cap_iommu_hap_pt_share: bool,
        /// Execution can be traced.
        cap_vmtrace: bool,
        /// Guests can have performance counters.
        cap_vpmu: bool,
        /// Grant tables of version 1.
        cap_gnttab_v1: bool,
        /// Grant tables of version 2.
        cap_gnttab_v2: bool,
    }
}

record! {
    /// A NUMA node (`libxl_numainfo`).
    pub struct NumaInfo {
        /// Its memory, in bytes.
        size: u64,
        /// The part that is free, in bytes.
        free: u64,
        /// Its distances to all nodes.
        dists: Vec<u32>,
    }
}

record! {
    /// Where a CPU is (`libxl_cputopology`).
    pub struct CpuTopology {
        /// Its core.
        core: u32,
        /// Its socket.
        socket: u32,
        /// Its NUMA node.
        node: u32,
    }
}

record! {
    /// Where a PCI device is (`libxl_pcitopology`).
    pub struct PciTopology {
        /// Its PCI segment.
        seg: u16,
        /// Its bus.
        bus: u8,
        /// Its slot and function.
        devfn: u8,
        /// Its NUMA node.
        node: u32,
    }
}
