//! What a domain undergoes without being asked: pauses, sysrq keys, triggers.

use crate::Ctx;
use crate::error::{Result, ResultExt};
use crate::xenstore::{Store, schema};
use libxc::DomId;
use libxc::domain::Trigger;

/// Stops a domain's vCPUs until it is unpaused (`libxl_domain_pause`).
pub fn pause(ctx: &Ctx, domid: DomId) -> Result<()> {
    ctx.xc()?.pause_domain(domid).with_context(|| format!("pausing domain {domid}"))
}

/// Lets a domain's vCPUs run again (`libxl_domain_unpause`).
pub fn unpause(ctx: &Ctx, domid: DomId) -> Result<()> {
    ctx.xc()?.unpause_domain(domid).with_context(|| format!("unpausing domain {domid}"))
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
