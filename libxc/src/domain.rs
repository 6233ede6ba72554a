//! Domains: their birth, state, limits and rights (xen/domctl.h).

#![allow(unsafe_code)]

use crate::buffer::{Buffer, plain};
use crate::hypercall::{Member, op};
use crate::{DomId, Error, EvtchnPort, Kib, Mfn, Result, Xc};
use bitflags::bitflags;
use nix::errno::Errno;
use xenctrl_sys as sys;

plain!(sys::xen_domctl_getdomaininfo, sys::sched_remote_shutdown, sys::xen_vmemrange);

bitflags! {
    /// What kind of domain to create (`XEN_DOMCTL_CDF_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CreateFlags: u32 {
        /// A guest in a hardware container (HVM, PVH), not a PV one.
        const HVM = sys::XEN_DOMCTL_CDF_hvm;
        /// Hardware-assisted paging.
        const HAP = sys::XEN_DOMCTL_CDF_hap;
        /// Memory integrity over S3, with tboot.
        const S3_INTEGRITY = sys::XEN_DOMCTL_CDF_s3_integrity;
        /// No out-of-sync shadow page tables.
        const OOS_OFF = sys::XEN_DOMCTL_CDF_oos_off;
        /// The xenstore domain.
        const XS_DOMAIN = sys::XEN_DOMCTL_CDF_xs_domain;
        /// May use the IOMMU: wanted for passthrough.
        const IOMMU = sys::XEN_DOMCTL_CDF_iommu;
        /// Nested virtualisation.
        const NESTED_VIRT = sys::XEN_DOMCTL_CDF_nested_virt;
        /// A virtual performance monitoring unit.
        const VPMU = sys::XEN_DOMCTL_CDF_vpmu;
    }
}

bitflags! {
    /// Devices that Xen emulates for an HVM or PVH domain (`XEN_X86_EMU_*`, xen/arch-x86/xen.h).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Emulation: u32 {
        /// The local APIC: all that a PVH domain has.
        const LAPIC = 1 << 0;
        /// HPET.
        const HPET = 1 << 1;
        /// ACPI power-management timer.
        const PM = 1 << 2;
        /// RTC.
        const RTC = 1 << 3;
        /// I/O APIC.
        const IOAPIC = 1 << 4;
        /// The two 8259 interrupt controllers.
        const PIC = 1 << 5;
        /// VGA's memory.
        const VGA = 1 << 6;
        /// IOMMU.
        const IOMMU = 1 << 7;
        /// PIT.
        const PIT = 1 << 8;
        /// Routing of physical interrupts over event channels.
        const USE_PIRQ = 1 << 9;
        /// PCI configuration space.
        const VPCI = 1 << 10;
    }
}

/// What `XEN_DOMCTL_createdomain` takes.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// The number wanted, or `None` for the next free one.
    pub domid: Option<DomId>,
    /// The kind of domain.
    pub flags: CreateFlags,
    /// The domain's UUID.
    pub uuid: [u8; 16],
    /// The security label's number; 0 without a security module.
    pub ssidref: u32,
    /// `XEN_DOMCTL_IOMMU_*`.
    pub iommu_opts: u32,
    /// The most vCPUs that it can ever have.
    pub max_vcpus: u32,
    /// The highest event channel port.
    pub max_evtchn_port: u32,
    /// Limit of grant table frames; negative for Xen's default.
    pub max_grant_frames: i32,
    /// Limit of maptrack frames; negative for Xen's default.
    pub max_maptrack_frames: i32,
    /// The highest version of the grant table that it may use.
    pub max_grant_version: u32,
    /// Bytes of each vCPU's processor trace buffer; 0 for none.
    pub vmtrace_size: u32,
    /// The cpupool it is born in.
    pub cpupool: u32,
    /// Devices that Xen emulates.
    pub emulation: Emulation,
    /// `XEN_X86_*` of `misc_flags`: relaxed MSRs, assisted APIC.
    pub misc_flags: u32,
}

bitflags! {
    /// A domain's state (`XEN_DOMINF_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DomainFlags: u32 {
        /// Being destroyed.
        const DYING = sys::XEN_DOMINF_dying;
        /// HVM or PVH.
        const HVM = sys::XEN_DOMINF_hvm_guest;
        /// It has shut down: [`DomainInfo::shutdown_reason`] says why.
        const SHUTDOWN = sys::XEN_DOMINF_shutdown;
        /// Paused by the toolstack.
        const PAUSED = sys::XEN_DOMINF_paused;
        /// All its vCPUs wait.
        const BLOCKED = sys::XEN_DOMINF_blocked;
        /// One of its vCPUs runs now.
        const RUNNING = sys::XEN_DOMINF_running;
        /// Under a debugger.
        const DEBUGGED = sys::XEN_DOMINF_debugged;
        /// The xenstore domain.
        const XS_DOMAIN = sys::XEN_DOMINF_xs_domain;
        /// With hardware-assisted paging.
        const HAP = sys::XEN_DOMINF_hap;
    }
}

/// Why a domain shut down (`SHUTDOWN_*`, xen/sched.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownReason {
    /// Power off.
    PowerOff,
    /// Reboot.
    Reboot,
    /// Suspended, to be saved or migrated.
    Suspend,
    /// Crashed.
    Crash,
    /// Its watchdog ran out.
    Watchdog,
    /// Wants to be rebuilt around its memory.
    SoftReset,
    /// A number of no meaning: the guest chooses it.
    Other(u8),
}

impl ShutdownReason {
    /// The reason of this number.
    pub fn from_code(code: u8) -> ShutdownReason {
        match code.into() {
            sys::SHUTDOWN_poweroff => ShutdownReason::PowerOff,
            sys::SHUTDOWN_reboot => ShutdownReason::Reboot,
            sys::SHUTDOWN_suspend => ShutdownReason::Suspend,
            sys::SHUTDOWN_crash => ShutdownReason::Crash,
            sys::SHUTDOWN_watchdog => ShutdownReason::Watchdog,
            sys::SHUTDOWN_soft_reset => ShutdownReason::SoftReset,
            _ => ShutdownReason::Other(code),
        }
    }

    /// Xen's number for it.
    pub fn code(self) -> u32 {
        match self {
            ShutdownReason::PowerOff => sys::SHUTDOWN_poweroff,
            ShutdownReason::Reboot => sys::SHUTDOWN_reboot,
            ShutdownReason::Suspend => sys::SHUTDOWN_suspend,
            ShutdownReason::Crash => sys::SHUTDOWN_crash,
            ShutdownReason::Watchdog => sys::SHUTDOWN_watchdog,
            ShutdownReason::SoftReset => sys::SHUTDOWN_soft_reset,
            ShutdownReason::Other(code) => code.into(),
        }
    }
}

/// A domain as `XEN_DOMCTL_getdomaininfo` tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Its state.
    pub flags: DomainFlags,
    /// Why it shut down, if it did.
    pub shutdown_reason: Option<ShutdownReason>,
    /// Pages it has.
    pub tot_pages: u64,
    /// Pages it may have.
    pub max_pages: u64,
    /// Pages claimed and not yet taken.
    pub outstanding_pages: u64,
    /// Pages shared with other domains.
    pub shr_pages: u64,
    /// Pages paged out.
    pub paged_pages: u64,
    /// The frame of its shared info page.
    pub shared_info_frame: Mfn,
    /// Processor time it has had, ns.
    pub cpu_time: u64,
    /// vCPUs that are online.
    pub online_vcpus: u32,
    /// The highest vCPU number it can have; `None` if it has no vCPUs yet.
    pub max_vcpu_id: Option<u32>,
    /// Its security label's number.
    pub ssidref: u32,
    /// Its cpupool.
    pub cpupool: u32,
    /// Bits of its physical addresses.
    pub gpaddr_bits: u8,
    /// Devices that Xen emulates for it.
    pub emulation: Emulation,
}

impl DomainInfo {
    fn of(raw: &sys::xen_domctl_getdomaininfo) -> DomainInfo {
        let flags = DomainFlags::from_bits_truncate(raw.flags);
        let code = (raw.flags >> sys::XEN_DOMINF_shutdownshift & sys::XEN_DOMINF_shutdownmask) as u8;
        DomainInfo {
            domid: DomId(raw.domain),
            uuid: raw.handle,
            flags,
            shutdown_reason: flags.contains(DomainFlags::SHUTDOWN).then(|| ShutdownReason::from_code(code)),
            tot_pages: raw.tot_pages,
            max_pages: raw.max_pages,
            outstanding_pages: raw.outstanding_pages,
            shr_pages: raw.shr_pages,
            paged_pages: raw.paged_pages,
            shared_info_frame: Mfn(raw.shared_info_frame),
            cpu_time: raw.cpu_time,
            online_vcpus: raw.nr_online_vcpus,
            max_vcpu_id: (raw.max_vcpu_id != u32::MAX).then_some(raw.max_vcpu_id),
            ssidref: raw.ssidref,
            cpupool: raw.cpupool,
            gpaddr_bits: raw.gpaddr_bits,
            emulation: Emulation::from_bits_truncate(raw.arch_config.emulation_flags),
        }
    }
}

/// How a domain sees the time-stamp counter (`XEN_DOMCTL_settscinfo`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TscInfo {
    /// `TSC_MODE_*`.
    pub mode: u32,
    /// The counter's rate, kHz; 0 for the host's.
    pub khz: u32,
    /// How often the domain was restored or migrated.
    pub incarnation: u32,
    /// Time since its boot, ns.
    pub elapsed_ns: u64,
}

/// A key or button to press in a domain (`XEN_DOMCTL_SENDTRIGGER_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Trigger {
    /// Non-maskable interrupt.
    Nmi = sys::XEN_DOMCTL_SENDTRIGGER_NMI,
    /// Reset of a vCPU.
    Reset = sys::XEN_DOMCTL_SENDTRIGGER_RESET,
    /// INIT of a vCPU.
    Init = sys::XEN_DOMCTL_SENDTRIGGER_INIT,
    /// The power button.
    Power = sys::XEN_DOMCTL_SENDTRIGGER_POWER,
    /// The sleep button.
    Sleep = sys::XEN_DOMCTL_SENDTRIGGER_SLEEP,
}

/// A range of a virtual NUMA node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmemRange {
    /// First guest-physical address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
    /// The virtual node.
    pub node: u32,
}

/// The NUMA machine that a domain sees (`XEN_DOMCTL_setvnumainfo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vnuma {
    /// Where the memory is.
    pub ranges: Vec<VmemRange>,
    /// Distances, row by row: from node i to node j at `i * nodes + j`.
    pub distances: Vec<u32>,
    /// The node of each vCPU.
    pub vcpu_to_vnode: Vec<u32>,
    /// The host's node under each virtual node.
    pub vnode_to_pnode: Vec<u32>,
}

/// How many domains the first hypercall of a list has room for: enough for most hosts, in three pages.
const FIRST_LIST: usize = 96;

impl Xc {
    /// Creates a domain without memory or vCPUs, paused. Gives its number.
    pub fn create_domain(&self, new: &NewDomain) -> Result<DomId> {
        let args = sys::xen_domctl_createdomain {
            ssidref: new.ssidref,
            handle: new.uuid,
            flags: new.flags.bits(),
            iommu_opts: new.iommu_opts,
            max_vcpus: new.max_vcpus,
            max_evtchn_port: new.max_evtchn_port,
            max_grant_frames: new.max_grant_frames,
            max_maptrack_frames: new.max_maptrack_frames,
            grant_opts: new.max_grant_version & sys::XEN_DOMCTL_GRANT_version_mask,
            vmtrace_size: new.vmtrace_size,
            cpupool_id: new.cpupool,
            arch: sys::xen_arch_domainconfig { emulation_flags: new.emulation.bits(), misc_flags: new.misc_flags },
        };
        // Xen takes any number that no ordinary domain has as "the next free one".
        let wanted = new.domid.unwrap_or(DomId::INVALID);
        // SAFETY: no address in the arguments.
        let done = unsafe { self.raw_domctl(op!(XEN_DOMCTL_createdomain), wanted, args.into_union()) };
        match done {
            Ok(done) => Ok(DomId(done.domain)),
            Err(Error::Call { call, errno, .. }) => Err(Error::Call { call, domid: new.domid, errno }),
            Err(other) => Err(other),
        }
    }

    /// Destroys a domain: its memory goes back to Xen piece by piece, and this waits until the last.
    pub fn destroy_domain(&self, domid: DomId) -> Result<()> {
        self.again(|| self.domctl_plain(op!(XEN_DOMCTL_destroydomain), domid))
    }

    /// Pauses a domain; each pause wants its own unpause.
    pub fn pause_domain(&self, domid: DomId) -> Result<()> {
        self.domctl_plain(op!(XEN_DOMCTL_pausedomain), domid)
    }

    /// Takes back one pause.
    pub fn unpause_domain(&self, domid: DomId) -> Result<()> {
        self.domctl_plain(op!(XEN_DOMCTL_unpausedomain), domid)
    }

    /// Lets a domain that has shut down (to suspend) run on.
    pub fn resume_domain(&self, domid: DomId) -> Result<()> {
        self.domctl_plain(op!(XEN_DOMCTL_resumedomain), domid)
    }

    /// Shuts a domain down as if it had done so itself.
    pub fn shutdown_domain(&self, domid: DomId, reason: ShutdownReason) -> Result<()> {
        let mut args = sys::sched_remote_shutdown { domain_id: domid.0, reason: reason.code() };
        // SAFETY: `sched_remote_shutdown` is the structure of this operation; no address in it.
        unsafe { self.structure_op(sys::__HYPERVISOR_sched_op, op!(SCHEDOP_remote_shutdown), Some(domid), &mut args) }
            .map(drop)
    }

    /// All domains, in the order of their numbers: one hypercall on most hosts.
    pub fn domains(&self) -> Result<Vec<DomainInfo>> {
        let mut all = Vec::new();
        let mut first = DomId(0);
        let mut room = FIRST_LIST;
        loop {
            let found = self.domains_from(first, room)?;
            let complete = found.len() < room;
            all.extend(found);
            match all.last() {
                Some(last) if !complete => first = DomId(last.domid.0.saturating_add(1)),
                _ => return Ok(all),
            }
            room *= 8;
        }
    }

    /// At most `room` domains from number `first` on.
    fn domains_from(&self, first: DomId, room: usize) -> Result<Vec<DomainInfo>> {
        let buffer = Buffer::<sys::xen_domctl_getdomaininfo>::zeroed(self, room)?;
        let args = sys::xen_sysctl_getdomaininfolist {
            first_domain: first.0,
            max_domains: room as u32,
            buffer: sys::__guest_handle_xen_domctl_getdomaininfo_t { p: buffer.as_ptr() },
            num_domains: 0,
        };
        // SAFETY: `buffer` has room for `max_domains`.
        let done = unsafe { self.sysctl_with(op!(XEN_SYSCTL_getdomaininfolist), args)? };
        Ok(buffer.iter().take(done.num_domains as usize).map(DomainInfo::of).collect())
    }

    /// One domain; `None` if there is none of this number.
    pub fn domain(&self, domid: DomId) -> Result<Option<DomainInfo>> {
        match self.domctl(op!(XEN_DOMCTL_getdomaininfo), domid, sys::xen_domctl_getdomaininfo::default()) {
            // Xen 4.17 tells of the next domain if there is none of this number.
            Ok(raw) => Ok(Some(DomainInfo::of(&raw)).filter(|info| info.domid == domid)),
            Err(e) if e.errno() == Some(Errno::ESRCH) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sets a domain's UUID.
    pub fn set_uuid(&self, domid: DomId, uuid: [u8; 16]) -> Result<()> {
        let args = sys::xen_domctl_setdomainhandle { handle: uuid };
        self.domctl(op!(XEN_DOMCTL_setdomainhandle), domid, args).map(drop)
    }

    /// Limits the memory that a domain may have.
    pub fn set_max_memory(&self, domid: DomId, limit: Kib) -> Result<()> {
        let args = sys::xen_domctl_max_mem { max_memkb: limit.0 };
        self.domctl(op!(XEN_DOMCTL_max_mem), domid, args).map(drop)
    }

    /// Sets the memory that Xen may use for a domain's shadow or nested page tables.
    pub fn set_paging_mempool(&self, domid: DomId, bytes: u64) -> Result<()> {
        let args = sys::xen_domctl_paging_mempool { size: bytes };
        // The pool grows piece by piece.
        self.again(|| self.domctl(op!(XEN_DOMCTL_set_paging_mempool_size), domid, args)).map(drop)
    }

    /// The memory that Xen may use for a domain's shadow or nested page tables, bytes.
    pub fn paging_mempool(&self, domid: DomId) -> Result<u64> {
        let args = sys::xen_domctl_paging_mempool::default();
        self.domctl(op!(XEN_DOMCTL_get_paging_mempool_size), domid, args).map(|done| done.size)
    }

    /// Makes a PV domain's words 32 or 64 bits wide.
    pub fn set_address_size(&self, domid: DomId, bits: u32) -> Result<()> {
        let args = sys::xen_domctl_address_size { size: bits };
        self.domctl(op!(XEN_DOMCTL_set_address_size), domid, args).map(drop)
    }

    /// Fills a page of a PV domain with the entries through which it makes hypercalls.
    pub fn init_hypercall_page(&self, domid: DomId, page: Mfn) -> Result<()> {
        let args = sys::xen_domctl_hypercall_init { gmfn: page.0 };
        self.domctl(op!(XEN_DOMCTL_hypercall_init), domid, args).map(drop)
    }

    /// Shifts a domain's wall clock from UTC.
    pub fn set_time_offset(&self, domid: DomId, seconds: i64) -> Result<()> {
        let args = sys::xen_domctl_settimeoffset { time_offset_seconds: seconds };
        self.domctl(op!(XEN_DOMCTL_settimeoffset), domid, args).map(drop)
    }

    /// Sets how a domain sees the time-stamp counter.
    pub fn set_tsc(&self, domid: DomId, tsc: TscInfo) -> Result<()> {
        let args = sys::xen_domctl_tsc_info {
            tsc_mode: tsc.mode,
            gtsc_khz: tsc.khz,
            incarnation: tsc.incarnation,
            pad: 0,
            elapsed_nsec: tsc.elapsed_ns,
        };
        self.domctl(op!(XEN_DOMCTL_settscinfo), domid, args).map(drop)
    }

    /// How a domain sees the time-stamp counter.
    pub fn tsc(&self, domid: DomId) -> Result<TscInfo> {
        let raw = self.domctl(op!(XEN_DOMCTL_gettscinfo), domid, sys::xen_domctl_tsc_info::default())?;
        Ok(TscInfo {
            mode: raw.tsc_mode,
            khz: raw.gtsc_khz,
            incarnation: raw.incarnation,
            elapsed_ns: raw.elapsed_nsec,
        })
    }

    /// Presses a button of a domain, or interrupts one of its vCPUs.
    pub fn send_trigger(&self, domid: DomId, trigger: Trigger, vcpu: u32) -> Result<()> {
        let args = sys::xen_domctl_sendtrigger { trigger: trigger as u32, vcpu };
        self.domctl(op!(XEN_DOMCTL_sendtrigger), domid, args).map(drop)
    }

    /// Lets a domain be debugged.
    pub fn set_debugging(&self, domid: DomId, enable: bool) -> Result<()> {
        let args = sys::xen_domctl_setdebugging { enable: enable.into() };
        self.domctl(op!(XEN_DOMCTL_setdebugging), domid, args).map(drop)
    }

    /// Gives `domid` (a stub domain) the control of `target`.
    pub fn set_target(&self, domid: DomId, target: DomId) -> Result<()> {
        self.domctl(op!(XEN_DOMCTL_set_target), domid, sys::xen_domctl_set_target { target: target.0 }).map(drop)
    }

    /// Sends a domain's suspend notice to this event channel.
    pub fn subscribe_suspend(&self, domid: DomId, port: EvtchnPort) -> Result<()> {
        self.domctl(op!(XEN_DOMCTL_subscribe), domid, sys::xen_domctl_subscribe { port: port.0 }).map(drop)
    }

    /// Sets the NUMA nodes that a domain's memory had better come from (bit n of byte n / 8: node n).
    pub fn set_node_affinity(&self, domid: DomId, nodes: &[u8]) -> Result<()> {
        let map = Buffer::of(self, nodes)?;
        let args = sys::xen_domctl_nodeaffinity { nodemap: map.bitmap() };
        // SAFETY: `map` lives through the call and is as long as it says.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setnodeaffinity), domid, args) }.map(drop)
    }

    /// The NUMA nodes that a domain's memory had better come from.
    pub fn node_affinity(&self, domid: DomId) -> Result<Vec<u8>> {
        let map = Buffer::zeroed(self, self.nodemap_bytes()?)?;
        let args = sys::xen_domctl_nodeaffinity { nodemap: map.bitmap() };
        // SAFETY: `map` lives through the call and is as long as it says.
        unsafe { self.domctl_with(op!(XEN_DOMCTL_getnodeaffinity), domid, args)? };
        Ok(map.to_vec())
    }

    /// Sets the NUMA machine that a domain sees.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the distances are not of every node to every node.
    pub fn set_vnuma(&self, domid: DomId, vnuma: &Vnuma) -> Result<()> {
        let nodes = vnuma.vnode_to_pnode.len();
        if nodes.checked_mul(nodes) != Some(vnuma.distances.len()) {
            return Err(Error::Invalid(format!("{} distances for {nodes} virtual nodes", vnuma.distances.len())));
        }
        let ranges: Vec<_> = vnuma
            .ranges
            .iter()
            .map(|r| sys::xen_vmemrange { start: r.start, end: r.end, flags: 0, nid: r.node })
            .collect();
        let ranges = Buffer::of(self, &ranges)?;
        let distances = Buffer::of(self, &vnuma.distances)?;
        let vcpu_to_vnode = Buffer::of(self, &vnuma.vcpu_to_vnode)?;
        let vnode_to_pnode = Buffer::of(self, &vnuma.vnode_to_pnode)?;
        let args = sys::xen_domctl_vnuma {
            nr_vnodes: nodes as u32,
            nr_vmemranges: ranges.len() as u32,
            nr_vcpus: vcpu_to_vnode.len() as u32,
            pad: 0,
            vdistance: sys::__guest_handle_uint { p: distances.as_ptr() },
            vcpu_to_vnode: sys::__guest_handle_uint { p: vcpu_to_vnode.as_ptr() },
            vnode_to_pnode: sys::__guest_handle_uint { p: vnode_to_pnode.as_ptr() },
            vmemrange: sys::__guest_handle_xen_vmemrange_t { p: ranges.as_ptr() },
        };
        // SAFETY: the four arrays live through the call and are as long as the counts say; `distances`
        // has nodes * nodes entries (checked above).
        unsafe { self.domctl_with(op!(XEN_DOMCTL_setvnumainfo), domid, args) }.map(drop)
    }

    /// Makes a call that may end early, wanting to be made again, until it is through.
    pub(crate) fn again<T>(&self, call: impl Fn() -> Result<T>) -> Result<T> {
        loop {
            match call() {
                Err(e) if matches!(e.errno(), Some(Errno::EAGAIN | Errno::EINTR)) => {}
                done => return done,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_tells_why_a_domain_shut_down_only_if_it_did() {
        let reason = sys::SHUTDOWN_crash << sys::XEN_DOMINF_shutdownshift;
        let mut raw = sys::xen_domctl_getdomaininfo { domain: 7, flags: reason, ..Default::default() };
        assert_eq!(DomainInfo::of(&raw).shutdown_reason, None);
        raw.flags |= sys::XEN_DOMINF_shutdown;
        assert_eq!(DomainInfo::of(&raw).shutdown_reason, Some(ShutdownReason::Crash));
    }

    #[test]
    fn a_domain_without_vcpus_has_no_highest_vcpu() {
        let raw = sys::xen_domctl_getdomaininfo { max_vcpu_id: u32::MAX, ..Default::default() };
        assert_eq!(DomainInfo::of(&raw).max_vcpu_id, None);
    }

    #[test]
    fn shutdown_codes_round_trip() {
        for code in 0..=255 {
            assert_eq!(ShutdownReason::from_code(code).code(), u32::from(code));
        }
    }
}
