//! Names of domains: `/local/domain/D/name` and its copy in `/vm/UUID/name`.

use super::info;
use super::nodes;
use crate::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::userdata::Userdata;
use crate::xenstore::{Batch, Perms, Store, schema};
use libxc::DomId;
use uuid::Uuid;

/// Fails if another domain than `but` has this name. The empty name may be given twice.
pub(super) fn check_free(ctx: &Ctx, store: &impl Store, name: &str, but: Option<DomId>) -> Result<()> {
    not_anothers(&all(ctx, store)?, name, but)
}

/// The domains that there are, with their names.
fn all(ctx: &Ctx, store: &impl Store) -> Result<Vec<(DomId, Option<String>)>> {
    let domids: Vec<DomId> = ctx.xc()?.domains()?.into_iter().map(|domain| domain.domid).collect();
    let names = store.read_many(domids.iter().map(|domid| format!("{}/name", schema::domain(*domid))))?;
    Ok(domids.into_iter().zip(names).collect())
}

fn not_anothers(all: &[(DomId, Option<String>)], name: &str, but: Option<DomId>) -> Result<()> {
    match all.iter().find(|(domid, has)| Some(*domid) != but && has.as_deref() == Some(name)) {
        Some((domid, _)) if !name.is_empty() => Err(Error::invalid(format!(
            "domain {domid} already has the name \"{name}\" (xl list; name= must be unique)"
        ))),
        _ => Ok(()),
    }
}

/// Fails if a domain is called otherwise than `expected`, or another is called `new`.
fn check_rename(ctx: &Ctx, store: &impl Store, domid: DomId, expected: Option<&str>, new: &str) -> Result<()> {
    let all = all(ctx, store)?;
    not_anothers(&all, new, Some(domid))?;
    let Some(expected) = expected else { return Ok(()) };
    let name = all.into_iter().find_map(|(other, name)| name.filter(|_| other == domid)).unwrap_or_default();
    match name == expected {
        true => Ok(()),
        false => Err(Error::fail(format!("it is called \"{name}\", not \"{expected}\""))),
    }
}

/// Gives a domain another name. `old`, if given, must still be its name.
pub fn rename(ctx: &Ctx, domid: DomId, old: Option<&str>, new: &str) -> Result<()> {
    let uuid = uuid_of(ctx, domid)?;
    ctx.xs()?
        .transaction(|t| {
            check_rename(ctx, t, domid, old, new)?;
            write_name(t, domid, &uuid, new)
        })
        .with_context(|| format!("renaming domain {domid} to \"{new}\""))
}

/// Keeps a dead domain under another name and UUID, so that a new one can take its place
/// (`on_crash="rename-restart"`).
pub fn preserve(ctx: &Ctx, domid: DomId, name: &str, suffix: &str, new_uuid: Uuid) -> Result<()> {
    let (kept, old_uuid) = (format!("{name}{suffix}"), uuid_of(ctx, domid)?);
    let vm = schema::vm(new_uuid);
    ctx.xs()?
        .transaction(|t| {
            check_rename(ctx, t, domid, Some(name), &kept)?;
            t.remove(&vm)?;
            t.mkdir(&vm)?;
            t.set_perms(&vm, &Perms::private().readable_by(domid))?;
            t.write_bytes(&format!("{}/vm", schema::domain(domid)), vm.as_bytes())?;
            write_name(t, domid, &new_uuid, &kept)?;
            t.write_bytes(&format!("{vm}/uuid"), new_uuid.to_string().as_bytes())?;
            Ok(t.remove(&schema::vm(old_uuid))?)
        })
        .with_context(|| format!("keeping domain {domid} as \"{kept}\""))?;
    move_userdata(ctx, domid, old_uuid, new_uuid)?;
    Ok(ctx.xc()?.set_uuid(domid, *new_uuid.as_bytes())?)
}

/// The files about a domain carry its UUID in their names.
fn move_userdata(ctx: &Ctx, domid: DomId, from: Uuid, to: Uuid) -> Result<()> {
    let (from, to) = (Userdata::named(ctx, domid, from), Userdata::named(ctx, domid, to));
    let lock = from.lock(ctx)?;
    to.store_config(&from.config()?)?;
    from.remove_all(&lock)
}

/// The UUID that Xen knows a domain by.
fn uuid_of(ctx: &Ctx, domid: DomId) -> Result<Uuid> {
    Ok(Uuid::from_bytes(info::get(ctx, domid)?.uuid))
}

fn write_name(store: &impl Store, domid: DomId, uuid: &Uuid, name: &str) -> Result<()> {
    let mut batch = Batch::new();
    nodes::name(domid, &uuid.to_string(), name).iter().for_each(|n| n.queue(&mut batch));
    Ok(store.run(batch)?)
}
