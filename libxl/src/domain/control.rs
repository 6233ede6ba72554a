//! What a domain undergoes without being asked: pauses, sysrq keys, triggers.

use super::info;
use crate::error::{Result, ResultExt};
use crate::types::DomainType;
use crate::xenstore::{Store, schema};
use crate::{Ctx, dm};
use libxc::DomId;
use libxc::domain::Trigger;

/// Stops a domain's vCPUs until it is unpaused (`libxl_domain_pause`).
pub fn pause(ctx: &Ctx, domid: DomId) -> Result<()> {
    ctx.xc()?.pause_domain(domid).with_context(|| format!("pausing domain {domid}"))
}

/// Lets a domain's vCPUs run again (`libxl_domain_unpause`), and the QEMU of an HVM guest first: it is started with its
/// devices at rest.
pub fn unpause(ctx: &Ctx, domid: DomId) -> Result<()> {
    let steps = || -> Result<()> {
        if info::kind(ctx, &info::get(ctx, domid)?)? == DomainType::Hvm && !dm::hvm::is_traditional(ctx, domid)? {
            dm::hvm::go_on(ctx, domid)?;
        }
        Ok(ctx.xc()?.unpause_domain(domid)?)
    };
    steps().with_context(|| format!("unpausing domain {domid}"))
}

/// Presses a sysrq key in a domain's kernel (`libxl_send_sysrq`).
pub fn send_sysrq(ctx: &Ctx, domid: DomId, key: char) -> Result<()> {
    let node = schema::control(domid, "sysrq");
    ctx.xs()?.write_bytes(&node, key.to_string().as_bytes()).with_context(|| format!("sending domain {domid} a sysrq"))
}

/// Sends a vCPU of a domain a trigger (`libxl_send_trigger`).
pub fn send_trigger(ctx: &Ctx, domid: DomId, trigger: Trigger, vcpu: u32) -> Result<()> {
    ctx.xc()?.send_trigger(domid, trigger, vcpu).with_context(|| format!("sending domain {domid} a trigger"))
}
