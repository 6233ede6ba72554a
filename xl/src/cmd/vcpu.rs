//! Virtual CPUs: `vcpu-list`, `vcpu-pin`, `vcpu-set`.

use crate::cli::Run;
use crate::config::host::HostFacts;
use crate::config::load::{self, Options};
use crate::failure::Failure;
use crate::output::bitmap::ranges;
use crate::output::domains::{DomainVcpus, vcpu_list, vcpu_list_json};
use crate::output::{self, Format};
use crate::session::Session;
use clap::Args;
use libxc::domain::{DomainFlags, DomainInfo};
use libxl::domain::{info, vcpu};
use libxl::types::Bitmap;

/// `xl vcpu-list`.
#[derive(Args)]
pub(crate) struct VcpuList {
    #[command(flatten)]
    output: Format,
    /// Names or numbers of the domains to show
    domains: Vec<String>,
}

impl Run for VcpuList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let cpus = session.ctx.xc()?.max_cpus().map_err(libxl::Error::from)?;
        let mut domains = Vec::new();
        for (info, name) in self.chosen(session)? {
            match info::vcpus(&session.ctx, &info) {
                Ok(vcpus) => domains.push(DomainVcpus { domid: info.domid, name, vcpus }),
                Err(error) => tracing::error!("{error}"),
            }
        }
        match self.output.is_json() {
            true => output::print_json(&vcpu_list_json(&domains, cpus)),
            false => output::print(&vcpu_list(&domains, cpus)),
        }
    }
}

impl VcpuList {
    fn chosen(&self, session: &Session) -> Result<Vec<(DomainInfo, Option<String>)>, Failure> {
        let mut infos = Vec::new();
        for argument in &self.domains {
            match info::get(&session.ctx, session.domain(argument)?) {
                Ok(info) => infos.push(info),
                // As stock xl: a number without a domain spoils nothing.
                Err(error) => tracing::error!("{error}"),
            }
        }
        if self.domains.is_empty() {
            infos = info::list(&session.ctx)?;
        }
        let names = info::names(&session.ctx, &infos.iter().map(|info| info.domid).collect::<Vec<_>>())?;
        Ok(infos.into_iter().zip(names).collect())
    }
}

/// `xl vcpu-pin`.
#[derive(Args)]
pub(crate) struct VcpuPin {
    /// Undo a pinning that the kernel of the domain made
    #[arg(short, long)]
    force: bool,
    /// Do not apply the masks of xl.conf
    #[arg(short, long)]
    ignore_global_affinity_masks: bool,
    /// Name or number of the domain
    domain: String,
    /// Number of the vCPU, or all
    vcpu: String,
    /// The CPUs it may run on: a list such as 0-3,^2, or all, or - to leave them
    hard: String,
    /// The CPUs it prefers, likewise
    soft: Option<String>,
}

impl Run for VcpuPin {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if session.globals.dry_run {
            return self.show(session);
        }
        let domid = session.domain(&self.domain)?;
        let vcpus = self.vcpus()?;
        let host = load::facts_from_xen(&session.ctx)?;
        let mut hard = affinity(&host, &self.hard)?;
        let soft = affinity(&host, self.soft.as_deref().unwrap_or("-"))?;
        let domain = info::get(&session.ctx, domid)?;
        if let Some(hard) = hard.as_mut().filter(|_| !self.ignore_global_affinity_masks) {
            let conf = load::xl_conf(&session.ctx, &host)?;
            let kind = if domain.flags.contains(DomainFlags::HVM) { &conf.masks.hvm } else { &conf.masks.pv };
            *hard = masked(hard, [&conf.masks.all, kind])?;
        }
        let pin = |vcpu| vcpu::set_affinity(&session.ctx, domid, vcpu, hard.as_ref(), soft.as_ref(), self.force);
        match vcpus {
            Some(vcpu) => Ok(pin(vcpu)?),
            None => {
                let last = domain.max_vcpu_id.map_or(0, |last| last + 1);
                // As stock xl: what fails for all is said, and the status is 0.
                let failed = (0..last).try_for_each(pin);
                failed.map_err(|error| Failure::from(error).with_status(0))
            }
        }
    }
}

impl VcpuPin {
    /// Shows the affinities that it would set.
    fn show(&self, session: &Session) -> Result<(), Failure> {
        session.domain_of_dry_run(&self.domain)?;
        self.vcpus()?;
        let supposed = load::supposed_host(true);
        let options = Options { host: supposed.as_deref(), without_xen: true, ..Options::default() };
        let host = load::host_facts(&session.ctx, options)?;
        let hard = affinity(&host, &self.hard)?;
        let soft = affinity(&host, self.soft.as_deref().unwrap_or("-"))?;
        output::print(&plan(hard.as_ref(), soft.as_ref(), host.cpus))
    }

    /// The vCPU that is meant; `None` for all.
    fn vcpus(&self) -> Result<Option<u32>, Failure> {
        match (self.vcpu.as_str(), self.vcpu.parse()) {
            (_, Ok(vcpu)) => Ok(Some(vcpu)),
            ("all", _) if self.force => Err(Failure::new(1, "--force is for one vCPU, not for all")),
            ("all", _) => Ok(None),
            _ => Err(Failure::new(1, format!("\"{}\" is no vCPU: its number, or all", self.vcpu))),
        }
    }
}

/// The CPUs that an argument names; `None` for `-`, which leaves the affinity as it is.
fn affinity(host: &HostFacts, argument: &str) -> Result<Option<Bitmap>, Failure> {
    if argument == "-" { Ok(None) } else { load::cpus(host, argument).map(Some) }
}

/// What `xl -N vcpu-pin` prints.
fn plan(hard: Option<&Bitmap>, soft: Option<&Bitmap>, cpus: u32) -> String {
    let hard = hard.map_or("-".to_string(), |hard| ranges(hard, cpus));
    let soft = soft.map(|soft| format!(" {}", ranges(soft, cpus))).unwrap_or_default();
    format!("cpumap: {hard}{soft}\n")
}

/// The CPUs that the masks of xl.conf leave.
fn masked(cpus: &Bitmap, masks: [&Option<Bitmap>; 2]) -> Result<Bitmap, Failure> {
    let left = masks.into_iter().flatten().fold(cpus.clone(), |cpus, mask| cpus.intersection(mask));
    if left.is_empty() {
        return Err(Failure::new(1, "the masks of xl.conf leave none of these CPUs (--ignore-global-affinity-masks)"));
    }
    Ok(left)
}

/// `xl vcpu-set`.
#[derive(Args)]
pub(crate) struct VcpuSet {
    /// Allow more vCPUs than the host has CPUs
    #[arg(short, long)]
    ignore_host: bool,
    /// Name or number of the domain
    domain: String,
    /// How many vCPUs it may use
    vcpus: String,
}

impl Run for VcpuSet {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let wrong = |_| Failure::new(1, format!("\"{}\" is no number of vCPUs", self.vcpus));
        let count: u32 = self.vcpus.parse().map_err(wrong)?;
        if !self.ignore_host {
            self.check_host(session, &info::get(&session.ctx, domid)?, count)?;
        }
        Ok(vcpu::set_online(&session.ctx, domid, count)?)
    }
}

impl VcpuSet {
    /// More vCPUs than CPUs are only a mistake if the domain does not use as many already.
    fn check_host(&self, session: &Session, domain: &DomainInfo, count: u32) -> Result<(), Failure> {
        let cpus = session.ctx.xc()?.max_cpus().map_err(libxl::Error::from)?;
        if count <= domain.online_vcpus || count <= cpus {
            return Ok(());
        }
        let text = format!("the host has {cpus} CPUs, fewer than {count} (--ignore-host to do it all the same)");
        Err(Failure::new(1, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_shows_what_is_set_and_what_is_left() {
        let two = [2].into_iter().collect();
        assert_eq!(plan(Some(&Bitmap::full(4)), None, 4), "cpumap: all\n");
        assert_eq!(plan(None, Some(&two), 4), "cpumap: - 2\n");
    }

    #[test]
    fn masks_take_cpus_away_but_not_all() {
        let masks = [&Some([0, 1].into_iter().collect()), &Some([1, 2].into_iter().collect())];
        assert_eq!(masked(&Bitmap::full(4), masks).unwrap(), [1].into_iter().collect());
        assert_eq!(masked(&Bitmap::full(4), [&None, &None]).unwrap(), Bitmap::full(4));
        assert!(masked(&[3].into_iter().collect(), masks).is_err());
    }
}
