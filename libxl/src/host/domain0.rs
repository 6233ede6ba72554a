//! Domain 0, which nobody creates: what a domain that the toolstack made has, it is given when the host starts
//! (`xen-init-dom0`).

use crate::Ctx;
use crate::domid_history;
use crate::error::{Result, ResultExt};
use crate::types::{DomainConfig, DomainType, TypeInfo};
use crate::userdata::Userdata;
use crate::xenstore::{Batch, Store};
use libxc::DomId;
use libxc::domain::DomainFlags;
use uuid::Uuid;

const DOMAIN_0: DomId = DomId(0);

/// Gives domain 0 its UUID if there is one, its stored configuration and its name, and names the CPU pools.
/// Numbers of domains that an earlier run of this host used may be used again. Returns whether there was
/// anything to do: the second time there is not.
pub fn set_up(ctx: &Ctx, uuid: Option<Uuid>) -> Result<bool> {
    let [domid, name] = ["domid", "name"].map(|node| format!("/local/domain/0/{node}"));
    if ctx.xs()?.read_many([&domid, &name])?.iter().all(Option::is_some) {
        return Ok(false);
    }
    steps(ctx, uuid, &domid, &name).context("setting up domain 0")?;
    Ok(true)
}

fn steps(ctx: &Ctx, uuid: Option<Uuid>, domid: &str, name: &str) -> Result<()> {
    let xc = ctx.xc()?;
    if let Some(uuid) = uuid {
        xc.set_uuid(DOMAIN_0, uuid.into_bytes())?;
    }
    Userdata::of(ctx, DOMAIN_0)?.store_config(&stub(is_translated(ctx)?, uuid))?;
    domid_history::clear(ctx)?;
    let mut batch = Batch::new();
    batch.write(domid, "0").write(name, "Domain-0");
    for pool in xc.cpupools()? {
        batch.write(&format!("/local/pool/{}/name", pool.id), format!("Pool-{}", pool.id));
    }
    Ok(ctx.xs()?.run(batch)?)
}

fn is_translated(ctx: &Ctx) -> Result<bool> {
    Ok(ctx.xc()?.domain(DOMAIN_0)?.is_some_and(|info| info.flags.contains(DomainFlags::HVM)))
}

/// The configuration to which devices of domain 0 are added.
fn stub(is_translated: bool, uuid: Option<Uuid>) -> DomainConfig {
    let mut config = DomainConfig::default();
    let kind = if is_translated { DomainType::Pvh } else { DomainType::Pv };
    config.c_info.type_ = kind;
    config.b_info.type_info = TypeInfo::new(kind);
    config.c_info.uuid = uuid.unwrap_or_default();
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::json;

    #[test]
    fn the_stub_is_stocks() {
        let text: String = json::to_string(&stub(false, None)).split_whitespace().collect();
        let stock = r#"{"c_info":{"type":"pv"},"b_info":{"sched_params":{},"type.pv":{},"arch_arm":{},"arch_x86":{}}}"#;
        assert_eq!(text, stock);
    }
}
