//! What domains there are, how they do, and which of them a person means.

use crate::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::{Bitmap, DomainType, Uuid};
use crate::xenstore::{Store, schema};
use libxc::DomId;
use libxc::domain::{DomainFlags, DomainInfo};
use libxc::vcpu::VcpuInfo;

/// A vCPU, and the CPUs it may run on and runs on best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// Its number.
    pub number: u32,
    /// How it does.
    pub info: VcpuInfo,
    /// The CPUs it may run on.
    pub hard: Bitmap,
    /// The CPUs it prefers.
    pub soft: Bitmap,
}

/// All domains, in the order of their numbers (`libxl_list_domain`).
pub fn list(ctx: &Ctx) -> Result<Vec<DomainInfo>> {
    ctx.xc()?.domains().context("listing the domains")
}

/// One domain (`libxl_domain_info`).
///
/// # Errors
/// [`ErrorKind::DomainNotFound`] if there is none of this number.
pub fn get(ctx: &Ctx, domid: DomId) -> Result<DomainInfo> {
    let info = ctx.xc()?.domain(domid).with_context(|| format!("looking at domain {domid}"))?;
    info.ok_or_else(|| no_such_domain(domid))
}

/// The names of these domains, in one wait; `None` where a domain has none.
pub fn names(ctx: &Ctx, domids: &[DomId]) -> Result<Vec<Option<String>>> {
    read_each(ctx, domids, "name")
}

/// The domain that a person names by its number, its name or its UUID
/// (`libxl_domain_qualifier_to_domid`, which knows no UUIDs).
///
/// A number is taken as it is: whether there is such a domain shows when it is used.
///
/// # Errors
/// [`ErrorKind::Invalid`] if no domain has that name.
pub fn resolve(ctx: &Ctx, text: &str) -> Result<DomId> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let domid = text.parse().ok().map(DomId).filter(|d| d.is_ordinary());
        return domid.ok_or_else(|| Error::new(ErrorKind::DomainNotFound, format!("there is no domain {text}")));
    }
    let named = if text.is_empty() { None } else { by_name_or_uuid(ctx, text)? };
    named.ok_or_else(|| Error::invalid(format!("there is no domain called \"{text}\" (xl list shows those there are)")))
}

/// The domain of this name (`libxl_name_to_domid`).
pub fn find(ctx: &Ctx, name: &str) -> Result<Option<DomId>> {
    let domids: Vec<DomId> = list(ctx)?.iter().map(|info| info.domid).collect();
    let names = names(ctx, &domids)?;
    Ok(domids.into_iter().zip(names).find(|(_, n)| n.as_deref() == Some(name)).map(|(domid, _)| domid))
}

fn by_name_or_uuid(ctx: &Ctx, text: &str) -> Result<Option<DomId>> {
    if let Some(domid) = find(ctx, text)? {
        return Ok(Some(domid));
    }
    let Ok(uuid) = Uuid::parse_str(text) else { return Ok(None) };
    Ok(list(ctx)?.iter().find(|info| &info.uuid == uuid.as_bytes()).map(|info| info.domid))
}

/// Another domain that lives and has this one's UUID: one of them is the other's copy, in a migration on this host. Both
/// use `/vm/UUID`, which is the guest's as long as there is one of them.
pub(super) fn twin(ctx: &Ctx, domid: DomId, uuid: &Uuid) -> Result<Option<DomId>> {
    let is_twin = |other: &&DomainInfo| {
        other.domid != domid && &other.uuid == uuid.as_bytes() && !other.flags.contains(DomainFlags::DYING)
    };
    Ok(list(ctx)?.iter().find(is_twin).map(|twin| twin.domid))
}

/// Whether a domain has waited, paused, from its beginning. Domain 0 has not, nor one that serves xenstore.
pub fn never_ran(info: &DomainInfo) -> bool {
    let others = DomainFlags::DYING | DomainFlags::SHUTDOWN | DomainFlags::XS_DOMAIN;
    info.domid != DomId(0)
        && info.flags.contains(DomainFlags::PAUSED)
        && !info.flags.intersects(others)
        && info.cpu_time == 0
}

/// The error of a number that no domain has.
fn no_such_domain(domid: DomId) -> Error {
    Error::new(ErrorKind::DomainNotFound, format!("there is no domain {domid}"))
}

/// A domain's kind (`libxl__domain_type`): Xen only knows PV from the rest, xenstore knows more.
pub fn kind(ctx: &Ctx, info: &DomainInfo) -> Result<DomainType> {
    if !info.flags.contains(DomainFlags::HVM) {
        return Ok(DomainType::Pv);
    }
    let written = ctx.xs()?.read_optional(&format!("/libxl/{}/type", info.domid))?;
    Ok(written.and_then(|word| word.parse().ok()).unwrap_or(DomainType::Hvm))
}

/// A domain's vCPUs (`libxl_list_vcpu`); none for a domain that has none yet.
pub fn vcpus(ctx: &Ctx, domain: &DomainInfo) -> Result<Vec<Vcpu>> {
    let xc = ctx.xc()?;
    let Some(last) = domain.max_vcpu_id else { return Ok(Vec::new()) };
    let vcpu = |number| {
        let info = xc.vcpu(domain.domid, number)?;
        let affinity = xc.vcpu_affinity(domain.domid, number)?;
        let (hard, soft) = (Bitmap::from_bytes(affinity.hard), Bitmap::from_bytes(affinity.soft));
        Ok(Vcpu { number, info, hard, soft })
    };
    let all: libxc::Result<Vec<Vcpu>> = (0..=last).map(vcpu).collect();
    all.with_context(|| format!("looking at the vCPUs of domain {}", domain.domid))
}

/// When these domains were started, in seconds since 1970 (`libxl_vm_get_start_time`), in two waits.
/// `None` where nobody wrote it down.
pub fn start_times(ctx: &Ctx, domids: &[DomId]) -> Result<Vec<Option<u64>>> {
    let vms = read_each(ctx, domids, "vm")?;
    let known: Vec<String> = vms.iter().flatten().map(|vm| format!("{vm}/start_time")).collect();
    let mut times = ctx.xs()?.read_many(&known)?.into_iter();
    let time = |vm: &Option<String>| vm.as_ref().and_then(|_| times.next().flatten()).and_then(|t| seconds(&t));
    Ok(vms.iter().map(time).collect())
}

/// The whole seconds of `1700000000.25`.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

/// Which of these domains only run the device model of another (`libxl_is_stubdom`), in one wait.
pub fn are_stub_domains(ctx: &Ctx, domids: &[DomId]) -> Result<Vec<bool>> {
    let targets = read_each(ctx, domids, "target")?;
    Ok(targets.iter().map(|t| t.as_ref().is_some_and(|t| t.parse::<i64>().is_ok())).collect())
}

/// One node of each domain's own directory.
fn read_each(ctx: &Ctx, domids: &[DomId], node: &str) -> Result<Vec<Option<String>>> {
    Ok(ctx.xs()?.read_many(domids.iter().map(|domid| format!("{}/{node}", schema::domain(*domid))))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xenstore::fake::Fake;

    fn ctx(nodes: &[(&str, &str)]) -> Ctx {
        let fake = Fake::new();
        nodes.iter().for_each(|(path, value)| fake.set(path, value.as_bytes()));
        fake.ctx()
    }

    #[test]
    fn a_number_is_taken_as_it_is() {
        let ctx = ctx(&[]);
        assert_eq!(resolve(&ctx, "7").unwrap(), DomId(7));
        assert_eq!(resolve(&ctx, "007").unwrap(), DomId(7));
    }

    #[test]
    fn numbers_that_no_domain_can_have_and_no_text_at_all_are_refused() {
        let ctx = ctx(&[]);
        for text in ["32752", "65537", "99999999999999999999"] {
            assert_eq!(resolve(&ctx, text).unwrap_err().kind(), ErrorKind::DomainNotFound, "{text}");
        }
        assert_eq!(resolve(&ctx, "").unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[test]
    fn names_and_start_times_are_read_where_they_are() {
        let ctx = ctx(&[
            ("/local/domain/1/name", "web"),
            ("/local/domain/1/vm", "/vm/a"),
            ("/vm/a/start_time", "1700000000.25"),
            ("/local/domain/2/vm", "/vm/b"),
            ("/local/domain/3/vm", "/vm/c"),
            ("/vm/c/start_time", "17"),
            ("/local/domain/3/target", "1"),
        ]);
        let domids = [DomId(0), DomId(1), DomId(2), DomId(3)];
        assert_eq!(names(&ctx, &domids).unwrap(), [None, Some("web".into()), None, None]);
        assert_eq!(start_times(&ctx, &domids).unwrap(), [None, Some(1_700_000_000), None, Some(17)]);
        assert_eq!(are_stub_domains(&ctx, &domids).unwrap(), [false, false, false, true]);
    }
}
