//! CPU pools: groups of CPUs with a scheduler of their own, and the domains in them.

use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::{Bitmap, Scheduler, Uuid};
use crate::xenstore::{Batch, Store};
use libxc::DomId;
use libxc::host::CpuPool;

/// A CPU pool and its name.
#[derive(Clone, Debug)]
pub struct Pool {
    /// What Xen knows of it.
    pub info: CpuPool,
    /// Its name; xenstore has one for every pool.
    pub name: Option<String>,
    /// Its CPUs.
    pub cpus: Bitmap,
}

impl Pool {
    /// Its scheduler.
    pub fn scheduler(&self) -> Option<Scheduler> {
        Scheduler::from_number(self.info.scheduler as i32)
    }
}

/// All CPU pools with their names, which take one wait (`libxl_list_cpupool`).
pub fn list(ctx: &Ctx) -> Result<Vec<Pool>> {
    let pools = ctx.xc()?.cpupools().context("listing the CPU pools")?;
    let names = names(ctx, &pools.iter().map(|pool| pool.id).collect::<Vec<_>>())?;
    let pool = |(info, name): (CpuPool, _)| Pool { cpus: Bitmap::from_bytes(info.cpus.clone()), info, name };
    Ok(pools.into_iter().zip(names).map(pool).collect())
}

/// The names of these CPU pools, in one wait.
pub fn names(ctx: &Ctx, ids: &[u32]) -> Result<Vec<Option<String>>> {
    Ok(ctx.xs()?.read_many(ids.iter().map(|id| format!("{}/name", path(*id))))?)
}

/// The CPU pool of this name (`libxl_name_to_cpupoolid`).
pub fn find(ctx: &Ctx, name: &str) -> Result<Option<Pool>> {
    Ok(list(ctx)?.into_iter().find(|pool| pool.name.as_deref() == Some(name)))
}

/// The CPU pool that a person names by its number or its name (`libxl_cpupool_qualifier_to_cpupoolid`).
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is none.
pub fn resolve(ctx: &Ctx, text: &str) -> Result<Pool> {
    let unknown = || Error::new(ErrorKind::NotFound, format!("there is no CPU pool \"{text}\" (xl cpupool-list)"));
    lookup(ctx, text)?.ok_or_else(unknown)
}

/// As [`resolve`], where it is no mistake that there is none.
pub(crate) fn lookup(ctx: &Ctx, text: &str) -> Result<Option<Pool>> {
    let mut pools = list(ctx)?.into_iter();
    Ok(match text.parse::<u32>() {
        Ok(id) => pools.find(|pool| pool.info.id == id),
        Err(_) => pools.find(|pool| pool.name.as_deref() == Some(text)),
    })
}

/// The CPUs that are in no pool (`libxl_get_freecpus`).
pub fn free_cpus(ctx: &Ctx) -> Result<Bitmap> {
    Ok(Bitmap::from_bytes(ctx.xc()?.cpupool_free_cpus().context("asking for the free CPUs")?))
}

/// Makes a CPU pool with these CPUs, which must be free (`libxl_cpupool_create`). Gives its number.
/// Where that fails half-way, the pool is removed again.
pub fn create(ctx: &Ctx, name: &str, scheduler: Scheduler, cpus: &Bitmap) -> Result<u32> {
    let step = || format!("creating the CPU pool \"{name}\"");
    let id = ctx.xc()?.create_cpupool(None, scheduler.number() as u32).with_context(step)?;
    let fill = || {
        for cpu in cpus.iter() {
            ctx.xc()?.cpupool_add_cpu(id, Some(cpu)).with_context(|| format!("CPU {cpu}"))?;
        }
        ctx.xs()?.run_atomic(|batch| {
            batch.mkdir(&path(id));
            batch.write(&format!("{}/uuid", path(id)), Uuid::new_v4().to_string());
            batch.write(&format!("{}/name", path(id)), name);
        })
    };
    match fill().with_context(step) {
        Ok(()) => Ok(id),
        Err(error) => match empty_and_destroy(ctx, id, cpus) {
            Ok(()) => Err(error),
            Err(e) => Err(error.note(format!("the pool could not be removed again: {e}"))),
        },
    }
}

/// Destroys a CPU pool that no domain is in; its CPUs become free (`libxl_cpupool_destroy`).
pub fn destroy(ctx: &Ctx, pool: &Pool) -> Result<()> {
    let id = pool.info.id;
    let step = || format!("destroying the CPU pool \"{}\"", pool.name.as_deref().unwrap_or("?"));
    if pool.info.domains > 0 {
        return Err(Error::invalid(format!("{} domains are in it (xl cpupool-migrate)", pool.info.domains)))
            .with_context(step);
    }
    empty_and_destroy(ctx, id, &pool.cpus).with_context(step)?;
    let mut batch = Batch::new();
    batch.rm(&path(id));
    ctx.xs()?.run(batch).with_context(step)
}

fn empty_and_destroy(ctx: &Ctx, id: u32, cpus: &Bitmap) -> Result<()> {
    for cpu in cpus.iter() {
        match ctx.xc()?.cpupool_remove_cpu(id, Some(cpu)) {
            // Not in the pool (yet).
            Err(e) if e.errno() == Some(nix::errno::Errno::ENOENT) => {}
            done => done.with_context(|| format!("CPU {cpu}"))?,
        }
    }
    Ok(ctx.xc()?.destroy_cpupool(id)?)
}

/// Gives a CPU pool another name (`libxl_cpupool_rename`).
pub fn rename(ctx: &Ctx, pool: &Pool, name: &str) -> Result<()> {
    let node = format!("{}/name", path(pool.info.id));
    ctx.xs()?.write_bytes(&node, name.as_bytes()).with_context(|| format!("renaming a CPU pool to \"{name}\""))
}

/// Moves free CPUs into a pool. Tells how many could not be moved, each with a warning.
pub fn add_cpus(ctx: &Ctx, pool: &Pool, cpus: &Bitmap) -> Result<usize> {
    let xc = ctx.xc()?;
    each(cpus, |cpu| xc.cpupool_add_cpu(pool.info.id, Some(cpu)))
}

/// Takes CPUs out of a pool. Tells how many could not be taken, each with a warning.
pub fn remove_cpus(ctx: &Ctx, pool: &Pool, cpus: &Bitmap) -> Result<usize> {
    let xc = ctx.xc()?;
    each(cpus, |cpu| xc.cpupool_remove_cpu(pool.info.id, Some(cpu)))
}

fn each(cpus: &Bitmap, mut step: impl FnMut(u32) -> libxc::Result<()>) -> Result<usize> {
    let mut failed = 0;
    for cpu in cpus.iter() {
        if let Err(error) = step(cpu) {
            tracing::warn!("CPU {cpu}: {error}");
            failed += 1;
        }
    }
    Ok(failed)
}

/// The CPUs of a NUMA node (`libxl_node_to_cpumap`).
pub fn cpus_of_node(ctx: &Ctx, node: u32) -> Result<Bitmap> {
    let topology = ctx.xc()?.cpu_topology().context("asking where the CPUs are")?;
    let on_node = |(cpu, place): (usize, &Option<libxc::host::CpuTopology>)| {
        place.filter(|place| place.node == node).map(|_| cpu as u32)
    };
    Ok(topology.iter().enumerate().filter_map(on_node).collect())
}

/// Moves a domain to a pool (`libxl_cpupool_movedomain`).
pub fn move_domain(ctx: &Ctx, domid: DomId, pool: &Pool) -> Result<()> {
    let step = || format!("moving domain {domid} to the CPU pool \"{}\"", pool.name.as_deref().unwrap_or("?"));
    ctx.xc()?.move_to_cpupool(domid, pool.info.id).with_context(step)
}

fn path(id: u32) -> String {
    format!("/local/pool/{id}")
}
