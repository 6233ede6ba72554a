//! The hypercall that makes a domain exist, and the choice of its number.

use super::{info, nodes};
use crate::error::{Error, Result};
use crate::types::{DomainConfig, DomainType, Passthrough};
use crate::xenstore::{Batch, Store, schema};
use crate::{Ctx, domid_history};
use libxc::DomId;
use libxc::domain::{CreateFlags, Emulation, NewDomain};
use nix::errno::Errno;

/// "Any number": libxl's `INVALID_DOMID`, as `c_info.domid`.
pub const ANY_DOMID: u32 = u32::MAX;
/// "A number at random": libxl's `RANDOM_DOMID` (xl.conf's `domid_policy="random"`).
pub const RANDOM_DOMID: u32 = u32::MAX - 1;

/// Domids are 15 bits wide.
const DOMID_MASK: u16 = 0x7fff;
/// `XEN_DOMCTL_IOMMU_no_sharept`, public/domctl.h.
const IOMMU_NO_SHAREPT: u32 = 1;
/// `XEN_X86_MSR_RELAXED`, public/arch-x86/xen.h.
const MSR_RELAXED: u32 = 1;
const PAGE_SIZE: u32 = libxc::types::PAGE_SIZE as u32;

/// How a domain's number is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// Xen takes the next.
    Next,
    /// This one and no other.
    Exactly(DomId),
    /// Drawn at random.
    Random,
}

impl Choice {
    fn of(domid: u32) -> Choice {
        match u16::try_from(domid).map(DomId) {
            Ok(domid) if domid.is_ordinary() && domid != DomId(0) => Choice::Exactly(domid),
            _ if domid == RANDOM_DOMID => Choice::Random,
            _ => Choice::Next,
        }
    }
}

/// Makes the domain: without memory, vCPUs or nodes, and paused.
///
/// A number that a domain had until a minute ago is not taken again: whoever still means the old one
/// must not reach the new one.
pub(super) fn domain(ctx: &Ctx, config: &DomainConfig) -> Result<DomId> {
    let choice = Choice::of(config.c_info.domid);
    let mut new = request(config);
    loop {
        new.domid = match choice {
            Choice::Next => None,
            Choice::Exactly(domid) => Some(domid),
            Choice::Random => Some(random_domid()),
        };
        let domid = match ctx.xc()?.create_domain(&new) {
            Ok(domid) => domid,
            Err(e) if e.errno() == Some(Errno::EEXIST) && choice == Choice::Random => continue,
            Err(e) => return Err(explain(e, &new)),
        };
        let recent = domid_history::is_recent(ctx, domid);
        match recent {
            Ok(false) => return Ok(domid),
            Ok(true) if !matches!(choice, Choice::Exactly(_)) => ctx.xc()?.destroy_domain(domid)?,
            refused => {
                ctx.xc()?.destroy_domain(domid)?;
                refused?;
                return Err(Error::fail(format!("domain id {domid} was in use less than a minute ago (domid=)")));
            }
        }
    }
}

/// Writes the nodes of a domain that has just been made, all or none, and only if its name is free.
pub(super) fn nodes(ctx: &Ctx, config: &DomainConfig, domid: DomId) -> Result<()> {
    let (c_info, uuid) = (&config.c_info, config.c_info.uuid.to_string());
    let identity = nodes::Identity {
        domid,
        name: c_info.name.as_deref().unwrap_or_default(),
        uuid: &uuid,
        kind: c_info.type_.name(),
        device_model: config.b_info.device_model_version.name(),
        driver_domain: c_info.driver_domain.is_true(),
        xend_suspend_evtchn_compat: c_info.xend_suspend_evtchn_compat.is_true(),
        xsdata: &c_info.xsdata.0,
        platformdata: &c_info.platformdata.0,
    };
    let (mut plan, mut old) = (nodes::birth(&identity), nodes::birth_roots(&identity).to_vec());
    if info::twin(ctx, domid, &c_info.uuid)?.is_some() {
        plan = nodes::without_vm(plan, &uuid);
        old.retain(|path| *path != schema::vm(&uuid));
    }
    ctx.xs()?.transaction(|t| {
        super::name::check_free(ctx, t, identity.name, Some(domid))?;
        let mut batch = Batch::new();
        old.iter().for_each(|path| _ = batch.rm(path));
        let roots = batch.len();
        plan.iter().for_each(|node| node.queue(&mut batch));
        // A number that was never used has nothing to remove.
        t.submit(batch)?.into_iter().skip(roots).try_for_each(|answer| answer.map(drop))?;
        Ok(())
    })
}

fn request(config: &DomainConfig) -> NewDomain {
    let (c_info, b_info) = (&config.c_info, &config.b_info);
    let mut flags = CreateFlags::empty();
    let translated = c_info.type_ != DomainType::Pv;
    flags.set(CreateFlags::HVM, translated);
    flags.set(CreateFlags::HAP, translated && c_info.hap.is_true());
    flags.set(CreateFlags::OOS_OFF, translated && !c_info.oos.is_true());
    flags.set(CreateFlags::NESTED_VIRT, translated && b_info.nested_hvm.is_true());
    flags.set(CreateFlags::VPMU, b_info.vpmu.is_true());
    flags.set(CreateFlags::IOMMU, !matches!(c_info.passthrough, Passthrough::Disabled | Passthrough::Default));
    let limit = |limit: Option<u32>| limit.map_or(-1, |l| l.min(i32::MAX as u32) as i32);
    NewDomain {
        domid: None,
        flags,
        uuid: *c_info.uuid.as_bytes(),
        ssidref: c_info.ssidref,
        iommu_opts: if c_info.passthrough == Passthrough::SyncPt { IOMMU_NO_SHAREPT } else { 0 },
        max_vcpus: b_info.max_vcpus,
        max_evtchn_port: b_info.event_channels,
        max_grant_frames: limit(b_info.max_grant_frames),
        max_maptrack_frames: limit(b_info.max_maptrack_frames),
        max_grant_version: b_info.max_grant_version.unwrap_or_default(),
        vmtrace_size: u32::try_from(b_info.vmtrace_buf_kb)
            .unwrap_or(0)
            .saturating_mul(1024)
            .checked_next_multiple_of(PAGE_SIZE)
            .unwrap_or(0),
        cpupool: c_info.poolid,
        emulation: emulation(c_info.type_),
        misc_flags: if b_info.arch_x86.msr_relaxed.is_true() { MSR_RELAXED } else { 0 },
    }
}

fn emulation(kind: DomainType) -> Emulation {
    match kind {
        DomainType::Hvm => Emulation::all() - Emulation::VPCI,
        DomainType::Pvh => Emulation::LAPIC,
        DomainType::Pv | DomainType::Invalid => Emulation::empty(),
    }
}

/// A number that an ordinary domain can have.
fn random_domid() -> DomId {
    loop {
        let [a, b, ..] = uuid::Uuid::new_v4().into_bytes();
        let domid = DomId(u16::from_le_bytes([a, b]) & DOMID_MASK);
        if domid.is_ordinary() && domid != DomId(0) {
            return domid;
        }
    }
}

/// What Xen's refusal means.
fn explain(error: libxc::Error, new: &NewDomain) -> Error {
    let hint = match error.errno() {
        Some(Errno::EEXIST) => " (domid= is taken: xl list)",
        Some(Errno::ENOMEM) => " (xl info: free_memory; destroy or shrink another domain)",
        Some(Errno::ERANGE | Errno::EINVAL) if new.max_vcpus > 128 => " (maxvcpus=)",
        Some(Errno::EINVAL) if new.flags.contains(CreateFlags::HVM) => {
            " (the host may lack hardware virtualisation: xl info, virt_caps; or a limit such as max_grant_frames= is too high)"
        }
        Some(Errno::EINVAL) => " (does this Xen run PV guests, xl info: xen_caps? a limit such as max_grant_frames=?)",
        _ => "",
    };
    Error::fail(format!("Xen does not make the domain: {error}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_number_is_chosen() {
        assert_eq!(Choice::of(ANY_DOMID), Choice::Next);
        assert_eq!(Choice::of(RANDOM_DOMID), Choice::Random);
        assert_eq!(Choice::of(7), Choice::Exactly(DomId(7)));
        assert_eq!(Choice::of(0), Choice::Next);
        assert_eq!(Choice::of(0x7ff0), Choice::Next);
    }

    #[test]
    fn a_pv_domain_has_no_container_whatever_the_configuration_says() {
        let mut config = DomainConfig::default();
        config.c_info.type_ = DomainType::Pv;
        config.c_info.hap = true.into();
        config.b_info.max_vcpus = 2;
        let new = request(&config);
        assert_eq!((new.flags, new.emulation.bits()), (CreateFlags::empty(), 0));
        assert_eq!((new.max_grant_frames, new.max_maptrack_frames), (-1, -1));
    }

    #[test]
    fn a_pvh_domain_has_a_container_with_a_local_apic() {
        let mut config = DomainConfig::default();
        config.c_info.type_ = DomainType::Pvh;
        config.c_info.hap = true.into();
        config.c_info.passthrough = Passthrough::SyncPt;
        let new = request(&config);
        let expected = CreateFlags::HVM | CreateFlags::HAP | CreateFlags::OOS_OFF | CreateFlags::IOMMU;
        assert_eq!((new.flags, new.emulation, new.iommu_opts), (expected, Emulation::LAPIC, 1));
    }

    #[test]
    fn random_numbers_are_those_of_ordinary_domains() {
        assert!((0..1000).map(|_| random_domid()).all(|d| d.is_ordinary() && d != DomId(0)));
    }
}
