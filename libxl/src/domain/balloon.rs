//! A running domain's memory: what it is asked to shrink or grow to, and the most it may have.

use super::info;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::types::{DomainType, Uuid};
use crate::xenstore::{Batch, Store, schema};
use libxc::{DomId, Kib};

/// What Xen is told to allow a domain beyond its memory, for pages of Xen's own (`LIBXL_MAXMEM_CONSTANT`).
const SLACK: u64 = 1024;
/// A target of dom0 below this is refused (`LIBXL_MIN_DOM0_MEM`).
const MIN_DOM0: Kib = Kib(128 * 1024);

/// Sets what a domain's balloon driver shall bring it to, and makes Xen hold it to that
/// (`libxl_set_memory_target` with `enforce`).
pub fn set_target(ctx: &Ctx, domid: DomId, memory: Kib) -> Result<()> {
    let domain = info::get(ctx, domid)?;
    let populated_on_demand = info::kind(ctx, &domain)? != DomainType::Pv;
    let step = || format!("setting the memory of domain {domid} to {} MiB", memory.0 / 1024);
    if domid == DomId(0) {
        init_dom0(ctx, &domain).with_context(step)?;
    }
    ctx.xs()?
        .transaction(|t| {
            let target = checked_target(&Nodes::read(t, domid)?, domid, memory)?;
            ctx.xc()?.set_max_memory(domid, with_slack(memory)?)?;
            if populated_on_demand {
                ctx.xc()?.set_pod_target(domid, with_slack(target)?.pages())?;
            }
            let mut batch = Batch::new();
            batch.write(&node(domid, "target"), target.to_string());
            batch.write(&format!("/vm/{}/memory", Uuid::from_bytes(domain.uuid)), (target.0 / 1024).to_string());
            Ok(t.run(batch)?)
        })
        .with_context(step)
}

/// Sets the most memory a domain may ever have (`libxl_domain_setmaxmem`).
pub fn set_max(ctx: &Ctx, domid: DomId, memory: Kib) -> Result<()> {
    let step = || format!("limiting domain {domid} to {} MiB", memory.0 / 1024);
    let set = || {
        let target = required(&ctx.xs()?.read_optional(&node(domid, "target"))?, domid, "target")?;
        if memory < target {
            let text = format!("it has {} MiB now, and cannot have more than its limit (xl mem-set)", target.0 / 1024);
            return Err(Error::invalid(text));
        }
        ctx.xc()?.set_max_memory(domid, with_slack(memory)?)?;
        Ok(ctx.xs()?.write_bytes(&node(domid, "static-max"), memory.to_string().as_bytes())?)
    };
    set().with_context(step)
}

/// A domain's memory nodes, as they are written.
struct Nodes {
    static_max: Option<String>,
    videoram: Option<String>,
}

impl Nodes {
    fn read(store: &impl Store, domid: DomId) -> Result<Nodes> {
        let mut values = store.read_many(["static-max", "videoram"].map(|name| node(domid, name)))?.into_iter();
        let mut next = || values.next().flatten();
        Ok(Nodes { static_max: next(), videoram: next() })
    }
}

/// The guest's own target for so much memory: without what QEMU takes for the graphics card.
fn checked_target(nodes: &Nodes, domid: DomId, memory: Kib) -> Result<Kib> {
    let videoram = nodes.videoram.as_ref().and_then(|v| v.parse().ok()).unwrap_or(0);
    let max = required(&nodes.static_max, domid, "static-max")?;
    let target = memory.0.checked_sub(videoram).map(Kib).ok_or_else(|| Error::invalid("less than its video memory"))?;
    if target > max {
        let text = format!("more than its limit of {} MiB (xl mem-max raises it)", max.0 / 1024);
        return Err(Error::invalid(text));
    }
    if domid == DomId(0) && target < MIN_DOM0 {
        return Err(Error::invalid(format!("dom0 needs at least {} MiB", MIN_DOM0.0 / 1024)));
    }
    Ok(target)
}

/// Writes down dom0's memory where nobody has yet.
fn init_dom0(ctx: &Ctx, dom0: &libxc::domain::DomainInfo) -> Result<()> {
    ctx.xs()?.transaction(|t| {
        let mut batch = Batch::new();
        for (name, pages) in [("target", dom0.tot_pages), ("static-max", dom0.max_pages)] {
            let path = node(DomId(0), name);
            if !t.exists(&path)? {
                batch.write(&path, Kib::from_pages(pages).to_string());
            }
        }
        Ok(t.run(batch)?)
    })
}

fn node(domid: DomId, name: &str) -> String {
    format!("{}/memory/{name}", schema::domain(domid))
}

fn required(value: &Option<String>, domid: DomId, name: &str) -> Result<Kib> {
    let parsed = value.as_ref().and_then(|v| v.parse().ok());
    parsed.map(Kib).ok_or_else(|| Error::fail(format!("{} in xenstore holds no number", node(domid, name))))
}

fn with_slack(memory: Kib) -> Result<Kib> {
    memory.0.checked_add(SLACK).map(Kib).ok_or_else(|| Error::invalid("too much memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(static_max: u64, videoram: Option<u64>) -> Nodes {
        Nodes { static_max: Some(static_max.to_string()), videoram: videoram.map(|v| v.to_string()) }
    }

    #[test]
    fn video_memory_is_not_the_guests() {
        let target = checked_target(&nodes(262_144, Some(16_384)), DomId(3), Kib(131_072)).unwrap();
        assert_eq!(target, Kib(114_688));
        assert!(checked_target(&nodes(262_144, Some(16_384)), DomId(3), Kib(4096)).is_err());
    }

    #[test]
    fn limits_hold() {
        let error = checked_target(&nodes(131_072, None), DomId(3), Kib(131_073)).unwrap_err().to_string();
        assert!(error.contains("128 MiB"), "{error}");
        assert!(checked_target(&nodes(131_072, None), DomId(3), Kib(131_072)).is_ok());
        assert!(checked_target(&nodes(1 << 30, None), DomId(0), Kib(1024)).is_err(), "dom0 keeps enough to live");
        let gone = Nodes { static_max: None, videoram: None };
        assert!(checked_target(&gone, DomId(3), Kib(1)).unwrap_err().to_string().contains("memory/static-max"));
    }
}
