//! Virtual CPUs: `vcpu-list`, `vcpu-pin`, `vcpu-set`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output::domains::{DomainVcpus, vcpu_list, vcpu_list_json};
use crate::output::{self, Format};
use crate::session::Session;
use clap::Args;
use libxc::domain::DomainInfo;
use libxl::domain::{info, vcpu};

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
