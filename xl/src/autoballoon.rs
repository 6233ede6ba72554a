//! Memory for new domains out of domain 0, one domain at a time (`autoballoon` in xl.conf(5)).

use crate::session::Session;
use libxl::defaults::{self, memory::needed};
use libxl::domain::{self, Options};
use libxl::lock::RecordLock;
use libxl::types::DomainConfig;
use libxl::Result;
use libxc::{DomId, Kib};

/// Creates a domain; with autoballoon, makes room for it first, under the lock that keeps others from
/// taking that room before the domain has it.
pub(crate) fn create(session: &Session, config: &DomainConfig, options: &Options) -> Result<DomId> {
    let ctx = &session.ctx;
    if !session.autoballoon()? {
        return domain::create(ctx, config, options);
    }
    // As stock xl does, the configuration that is kept is then the one with all defaults.
    let mut decided = config.clone();
    defaults::apply(&mut decided, ctx)?;
    let _lock = RecordLock::take(session.xl_conf()?.lockfile.as_ref())?;
    domain::memory::make_free(ctx, Kib(needed(&decided)))?;
    domain::create(ctx, &decided, options)
}
