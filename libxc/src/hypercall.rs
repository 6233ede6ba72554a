//! How a hypercall is made: the operation's structure goes into a [`Buffer`], its address to Xen.

#![allow(unsafe_code)]

use crate::buffer::{Buffer, Plain, plain};
use crate::handle::xencall;
use crate::{DomId, Error, Result, Xc};
use nix::errno::Errno;
use xenctrl_sys as sys;

/// An operation: its number, and its name for errors.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
}

/// The operation that Xen's headers call so.
macro_rules! op {
    ($name:ident) => {
        $crate::hypercall::Op { number: xenctrl_sys::$name, name: stringify!($name) }
    };
}
pub(crate) use op;

/// The arguments of all domctls (`struct xen_domctl`'s union).
pub(crate) type DomctlArgs = sys::xen_domctl__bindgen_ty_1;
/// The arguments of all sysctls (`struct xen_sysctl`'s union).
pub(crate) type SysctlArgs = sys::xen_sysctl__bindgen_ty_1;

plain!(sys::xen_domctl, sys::xen_sysctl);

/// A member of the union of a control operation, so that one operation's arguments go in and out typed.
pub(crate) trait Member<Union>: Copy {
    fn into_union(self) -> Union;
    fn from_union(args: &Union) -> Self;
}

/// A member that holds no address: any value of it is harmless to this process.
pub(crate) trait NoAddress {}

macro_rules! member {
    ($union:ident: $($field:ident($ty:ident)),* $(,)?) => {$(
        impl Member<$union> for sys::$ty {
            fn into_union(self) -> $union {
                let mut args = $union::default();
                args.$field = self;
                args
            }

            fn from_union(args: &$union) -> Self {
                // SAFETY: the union is C's, of plain structures: any bytes are a valid value of each.
                unsafe { args.$field }
            }
        }
    )*};
}
macro_rules! no_address {
    ($union:ident: $($field:ident($ty:ident)),* $(,)?) => {
        member!($union: $($field($ty)),*);
        $(impl NoAddress for sys::$ty {})*
    };
}

no_address! { DomctlArgs:
    createdomain(xen_domctl_createdomain),
    getdomaininfo(xen_domctl_getdomaininfo),
    max_mem(xen_domctl_max_mem),
    getvcpuinfo(xen_domctl_getvcpuinfo),
    max_vcpus(xen_domctl_max_vcpus),
    setdomainhandle(xen_domctl_setdomainhandle),
    setdebugging(xen_domctl_setdebugging),
    irq_permission(xen_domctl_irq_permission),
    iomem_permission(xen_domctl_iomem_permission),
    ioport_permission(xen_domctl_ioport_permission),
    hypercall_init(xen_domctl_hypercall_init),
    settimeoffset(xen_domctl_settimeoffset),
    tsc_info(xen_domctl_tsc_info),
    address_size(xen_domctl_address_size),
    sendtrigger(xen_domctl_sendtrigger),
    set_target(xen_domctl_set_target),
    subscribe(xen_domctl_subscribe),
    set_virq_handler(xen_domctl_set_virq_handler),
    paging_mempool(xen_domctl_paging_mempool),
    memory_mapping(xen_domctl_memory_mapping),
}
member! { DomctlArgs:
    nodeaffinity(xen_domctl_nodeaffinity),
    vcpuaffinity(xen_domctl_vcpuaffinity),
    vcpucontext(xen_domctl_vcpucontext),
    scheduler_op(xen_domctl_scheduler_op),
    hvmcontext(xen_domctl_hvmcontext),
    shadow_op(xen_domctl_shadow_op),
    getpageframeinfo3(xen_domctl_getpageframeinfo3),
    ext_vcpucontext(xen_domctl_ext_vcpucontext),
    vcpuextstate(xen_domctl_vcpuextstate),
    vcpu_msrs(xen_domctl_vcpu_msrs),
    cpu_policy(xen_domctl_cpu_policy),
    vnuma(xen_domctl_vnuma),
}
no_address! { SysctlArgs:
    physinfo(xen_sysctl_physinfo),
    sched_id(xen_sysctl_sched_id),
    availheap(xen_sysctl_availheap),
}
member! { SysctlArgs:
    readconsole(xen_sysctl_readconsole),
    getdomaininfolist(xen_sysctl_getdomaininfolist),
    debug_keys(xen_sysctl_debug_keys),
    cputopoinfo(xen_sysctl_cputopoinfo),
    pcitopoinfo(xen_sysctl_pcitopoinfo),
    numainfo(xen_sysctl_numainfo),
    cpupool_op(xen_sysctl_cpupool_op),
    scheduler_op(xen_sysctl_scheduler_op),
    cpu_featureset(xen_sysctl_cpu_featureset),
    cpu_policy(xen_sysctl_cpu_policy),
}

impl Xc {
    /// Makes a domctl whose arguments hold no address; gives them back as Xen left them.
    pub(crate) fn domctl<P>(&self, op: Op, domid: DomId, args: P) -> Result<P>
    where
        P: Member<DomctlArgs> + NoAddress,
    {
        // SAFETY: no address in `args`.
        unsafe { self.domctl_with(op, domid, args) }
    }

    /// Makes a domctl whose arguments hold no address and that answers with a number.
    pub(crate) fn domctl_answer<P>(&self, op: Op, domid: DomId, args: P) -> Result<u64>
    where
        P: Member<DomctlArgs> + NoAddress,
    {
        // SAFETY: no address in `args`.
        let (_, outcome) = unsafe { self.answered_domctl(op, domid, args.into_union())? };
        outcome
    }

    /// Makes a domctl that has no arguments.
    pub(crate) fn domctl_plain(&self, op: Op, domid: DomId) -> Result<()> {
        // SAFETY: no arguments.
        unsafe { self.raw_domctl(op, domid, DomctlArgs::default()) }.map(drop)
    }

    /// Makes a domctl; gives its arguments back as Xen left them.
    ///
    /// # Safety
    /// Every address in `args` is of a live [`Buffer`] as long as `args` says, or null.
    pub(crate) unsafe fn domctl_with<P: Member<DomctlArgs>>(&self, op: Op, domid: DomId, args: P) -> Result<P> {
        // SAFETY: the caller's word.
        let done = unsafe { self.raw_domctl(op, domid, args.into_union())? };
        Ok(P::from_union(&done.u))
    }

    /// Makes a domctl; gives the whole structure back as Xen left it, for the few that answer outside
    /// of their arguments.
    ///
    /// # Safety
    /// As for [`Xc::domctl_with`].
    pub(crate) unsafe fn raw_domctl(&self, op: Op, domid: DomId, u: DomctlArgs) -> Result<sys::xen_domctl> {
        // SAFETY: the caller's word.
        let (done, outcome) = unsafe { self.answered_domctl(op, domid, u)? };
        outcome.map(|_| done)
    }

    /// Makes a domctl that tells in its arguments what it refuses: gives them back as Xen left them, with
    /// the outcome.
    ///
    /// # Safety
    /// As for [`Xc::domctl_with`].
    pub(crate) unsafe fn domctl_told<P: Member<DomctlArgs>>(
        &self,
        op: Op,
        domid: DomId,
        args: P,
    ) -> Result<(P, Result<()>)> {
        // SAFETY: the caller's word.
        let (done, outcome) = unsafe { self.answered_domctl(op, domid, args.into_union())? };
        Ok((P::from_union(&done.u), outcome.map(drop)))
    }

    /// Makes a domctl; gives the structure as Xen left it, and the answer. It fails itself only if it
    /// does not come to the call.
    ///
    /// # Safety
    /// As for [`Xc::domctl_with`].
    unsafe fn answered_domctl(&self, op: Op, domid: DomId, u: DomctlArgs) -> Result<(sys::xen_domctl, Result<u64>)> {
        let control = sys::xen_domctl {
            cmd: op.number,
            interface_version: sys::XEN_DOMCTL_INTERFACE_VERSION,
            domain: domid.0,
            u,
            ..Default::default()
        };
        let buffer = Buffer::of(self, &[control])?;
        // SAFETY: `buffer` is what a domctl takes, and the caller answers for the addresses in it.
        let rc = unsafe { xencall::xencall1(self.call(), sys::__HYPERVISOR_domctl, buffer.arg()) };
        let outcome = check(rc.into(), op, Some(domid)).map_err(control_error);
        Ok((buffer[0], outcome))
    }

    /// Makes a sysctl whose arguments hold no address; gives them back as Xen left them.
    pub(crate) fn sysctl<P>(&self, op: Op, args: P) -> Result<P>
    where
        P: Member<SysctlArgs> + NoAddress,
    {
        // SAFETY: no address in `args`.
        unsafe { self.sysctl_with(op, args) }
    }

    /// Makes a sysctl; gives its arguments back as Xen left them.
    ///
    /// # Safety
    /// As for [`Xc::domctl_with`].
    pub(crate) unsafe fn sysctl_with<P: Member<SysctlArgs>>(&self, op: Op, args: P) -> Result<P> {
        let control = sys::xen_sysctl {
            cmd: op.number,
            interface_version: sys::XEN_SYSCTL_INTERFACE_VERSION,
            u: args.into_union(),
        };
        let buffer = Buffer::of(self, &[control])?;
        // SAFETY: `buffer` is what a sysctl takes, and the caller answers for the addresses in it.
        let rc = unsafe { xencall::xencall1(self.call(), sys::__HYPERVISOR_sysctl, buffer.arg()) };
        check(rc.into(), op, None).map_err(control_error)?;
        Ok(P::from_union(&buffer[0].u))
    }

    /// Makes a memory operation on `args`; gives Xen's (non-negative) answer, with `args` as Xen left them.
    ///
    /// # Safety
    /// `T` is the structure of `op`, and its addresses are as for [`Xc::domctl_with`].
    pub(crate) unsafe fn memory_op<T: Plain>(&self, op: Op, domid: Option<DomId>, args: &mut T) -> Result<u64> {
        // SAFETY: the caller's word.
        unsafe { self.structure_op(sys::__HYPERVISOR_memory_op, op, domid, args) }
    }

    /// Makes an operation of the form `hypercall(number, structure)`.
    ///
    /// # Safety
    /// `T` is the structure of `op` of that hypercall, and its addresses are as for [`Xc::domctl_with`].
    pub(crate) unsafe fn structure_op<T: Plain>(
        &self,
        hypercall: u32,
        op: Op,
        domid: Option<DomId>,
        args: &mut T,
    ) -> Result<u64> {
        let buffer = Buffer::of(self, std::slice::from_ref(args))?;
        // SAFETY: the caller's word; `buffer` lives until after the call.
        let rc = unsafe { xencall::xencall2L(self.call(), hypercall, op.number.into(), buffer.arg()) };
        let errno = Errno::last();
        // Some operations tell in their structure why they failed.
        *args = buffer[0];
        drop(buffer);
        Errno::set_raw(errno as i32);
        check(rc, op, domid)
    }
}

/// The answer of a hypercall: negative is a failure whose reason is in `errno`.
fn check(rc: i64, op: Op, domid: Option<DomId>) -> Result<u64> {
    u64::try_from(rc).map_err(|_| Error::last(op.name, domid))
}

/// What a refused domctl or sysctl means: `EACCES` is Xen's word for another interface version,
/// `EPERM` its word for a domain that may not control the host.
fn control_error(error: Error) -> Error {
    match error {
        Error::Call { call, errno: Errno::EACCES, .. } => Error::OtherVersion { call },
        Error::Call { call, errno: Errno::EPERM, domid: None } => {
            Error::NoXen { looked_for: call.into(), why: Errno::EPERM.desc().into() }
        }
        other => other,
    }
}
