//! Automatic NUMA placement: on which nodes a domain's memory and vCPUs are best (`libxl_numa.c`).
//!
//! A candidate is a set of nodes with enough free memory for the domain and no fewer CPUs than it has vCPUs. Small
//! sets are better than large ones. Among sets of one size, the one on which the fewest vCPUs may run already is
//! best; then the one with the most free memory, which keeps room for others; then the one of the lowest nodes.

use std::cmp::Reverse;

use libxc::DomId;

use crate::error::ResultExt;
use crate::types::{Bitmap, DomainConfig};
use crate::{Ctx, Error, Result, defaults};

/// With more nodes there are too many sets to look at all of them.
const MAX_NODES: u32 = 16;

/// The host as placement sees it.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The node of each CPU, by its number; `None` for a number that no CPU has.
    pub node_of_cpu: Vec<Option<u32>>,
    /// Each node, by its number; `None` for a number that no node has.
    pub nodes: Vec<Option<Node>>,
}

/// A node as placement sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its free memory, in KiB.
    pub free_kib: u64,
    /// How many vCPUs of all domains may run on it.
    pub vcpus: u32,
}

/// What a domain needs of its nodes.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Free memory, in KiB.
    pub memory_kib: u64,
    /// Its vCPUs.
    pub vcpus: u32,
    /// The CPUs that it may use.
    pub cpus: Bitmap,
}

impl Host {
    /// The best set of nodes for a demand; `None` if there is none that suffices.
    pub fn place(&self, demand: &Demand) -> Option<Bitmap> {
        let usable: Vec<u32> = self.nodes_of(&demand.cpus).iter().collect();
        let most = u32::try_from(usable.len()).ok().filter(|most| (1..=MAX_NODES).contains(most))?;
        let fewest = match self.cpus_per_node() {
            Some(cpus) => demand.vcpus.div_ceil(cpus).clamp(1, most),
            None => 1,
        };
        (fewest..=most).find_map(|size| {
            let sets = (0..1u32 << most).filter(|set| set.count_ones() == size);
            let nodes = sets
                .map(|set| Bitmap::from_iter((0..most).filter(|i| set & (1 << i) != 0).map(|i| usable[i as usize])));
            nodes.filter(|nodes| self.suffices(nodes, demand)).min_by_key(|nodes| self.rank(nodes))
        })
    }

    fn suffices(&self, nodes: &Bitmap, demand: &Demand) -> bool {
        let cpus = self.cpus_of(nodes).intersection(&demand.cpus).count();
        self.free_kib(nodes) >= demand.memory_kib && cpus >= demand.vcpus
    }

    /// Smaller is better.
    fn rank(&self, nodes: &Bitmap) -> (u32, Reverse<u64>, Vec<u32>) {
        let vcpus = self.each(nodes).map(|node| node.vcpus).fold(0, u32::saturating_add);
        (vcpus, Reverse(self.free_kib(nodes)), nodes.iter().collect())
    }

    fn free_kib(&self, nodes: &Bitmap) -> u64 {
        self.each(nodes).map(|node| node.free_kib).fold(0, u64::saturating_add)
    }

    fn each<'a>(&'a self, nodes: &'a Bitmap) -> impl Iterator<Item = &'a Node> {
        nodes.iter().filter_map(|node| self.nodes.get(node as usize)?.as_ref())
    }

    /// The CPUs of each node, if all nodes have as many.
    fn cpus_per_node(&self) -> Option<u32> {
        let count = |node| self.node_of_cpu.iter().filter(|of| **of == Some(node)).count() as u32;
        let mut counts = (0..self.nodes.len() as u32).filter(|node| self.nodes[*node as usize].is_some()).map(count);
        let first = counts.next().filter(|count| *count > 0)?;
        counts.all(|count| count == first).then_some(first)
    }

    /// The nodes that CPUs belong to.
    pub fn nodes_of(&self, cpus: &Bitmap) -> Bitmap {
        cpus.iter().filter_map(|cpu| *self.node_of_cpu.get(cpu as usize)?).collect()
    }

    /// The CPUs that belong to nodes.
    pub fn cpus_of(&self, nodes: &Bitmap) -> Bitmap {
        let cpus = (0u32..).zip(&self.node_of_cpu);
        cpus.filter(|(_, node)| node.is_some_and(|node| nodes.contains(node))).map(|(cpu, _)| cpu).collect()
    }

    /// Counts a vCPU on every node of the CPUs it may use.
    pub fn count_vcpu(&mut self, cpus: &Bitmap, node_affinity: &Bitmap) {
        for node in self.nodes_of(cpus).intersection(node_affinity).iter() {
            if let Some(Some(node)) = self.nodes.get_mut(node as usize) {
                node.vcpus = node.vcpus.saturating_add(1);
            }
        }
    }
}

/// Chooses nodes for a domain that is to be created, and makes them its node affinity and its vCPUs' soft affinity,
/// unless the configuration forbids it or says where the domain goes.
///
/// Defaults must be applied already. On a host of one node it asks one question and changes nothing.
pub fn place(ctx: &Ctx, config: &mut DomainConfig) -> Result<()> {
    if !config.b_info.numa_placement.is_true() {
        return Ok(());
    }
    if !config.b_info.nodemap.is_empty() || !config.b_info.vcpu_soft_affinity.is_empty() {
        tracing::warn!("no automatic NUMA placement: the configuration says where the domain goes");
        return Ok(());
    }
    let nodes = ctx.xc()?.numa_nodes().context("looking at the NUMA nodes")?;
    let count = nodes.iter().flatten().count();
    if count > MAX_NODES as usize {
        tracing::warn!("no automatic NUMA placement: {count} nodes are too many (use cpus= or CPU pools)");
    }
    if !(2..=MAX_NODES as usize).contains(&count) {
        return Ok(());
    }
    let nodes = nodes.into_iter().map(|node| node.map(|node| Node { free_kib: node.free / 1024, vcpus: 0 })).collect();
    let host = survey(ctx, nodes).context("NUMA placement")?;
    let demand = demand(ctx, config)?;
    match host.place(&demand) {
        None => tracing::warn!("no NUMA nodes have room for the domain by themselves: its memory will be spread"),
        Some(nodes) => {
            tracing::debug!(?nodes, "NUMA placement");
            let b_info = &mut config.b_info;
            b_info.vcpu_soft_affinity = vec![host.cpus_of(&nodes); b_info.max_vcpus as usize];
            b_info.nodemap = nodes;
        }
    }
    // Whoever uses this configuration again gets the same place.
    config.b_info.numa_placement = false.into();
    Ok(())
}

fn demand(ctx: &Ctx, config: &DomainConfig) -> Result<Demand> {
    let pool = config.c_info.poolid;
    let info = ctx.xc()?.cpupool(pool)?.ok_or_else(|| Error::invalid(format!("there is no CPU pool {pool}")))?;
    let mut cpus = Bitmap::from_bytes(info.cpus);
    if let Some(hard) = config.b_info.vcpu_hard_affinity.first() {
        cpus = cpus.intersection(hard);
        if cpus.is_empty() {
            return Err(Error::invalid(format!("cpus= names no CPU of the domain's CPU pool {pool}")));
        }
    }
    Ok(Demand { memory_kib: defaults::memory::needed(config), vcpus: config.b_info.max_vcpus, cpus })
}

/// Adds to the nodes where CPUs are, and how many vCPUs may run on each.
fn survey(ctx: &Ctx, nodes: Vec<Option<Node>>) -> Result<Host> {
    let xc = ctx.xc()?;
    let node_of_cpu = xc.cpu_topology()?.into_iter().map(|cpu| Some(cpu?.node)).collect();
    let mut host = Host { node_of_cpu, nodes };
    for domain in xc.domains()? {
        // A domain that has gone meanwhile counts for nothing.
        _ = count_domain(ctx, &mut host, domain.domid, domain.cpupool, domain.max_vcpu_id);
    }
    Ok(host)
}

fn count_domain(ctx: &Ctx, host: &mut Host, domid: DomId, pool: u32, last_vcpu: Option<u32>) -> Result<()> {
    let (Some(last), Some(pool)) = (last_vcpu, ctx.xc()?.cpupool(pool)?) else { return Ok(()) };
    let pool = Bitmap::from_bytes(pool.cpus);
    let nodes = Bitmap::from_bytes(ctx.xc()?.node_affinity(domid)?);
    for vcpu in 0..=last {
        let hard = Bitmap::from_bytes(ctx.xc()?.vcpu_affinity(domid, vcpu)?.hard);
        host.count_vcpu(&hard.intersection(&pool), &nodes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of two CPUs each: CPUs 0 and 1 are node 0's, 2 and 3 node 1's, and so on.
    fn host<const N: usize>(nodes: [(u64, u32); N]) -> Host {
        Host {
            node_of_cpu: (0..N as u32 * 2).map(|cpu| Some(cpu / 2)).collect(),
            nodes: nodes.into_iter().map(|(free_kib, vcpus)| Some(Node { free_kib, vcpus })).collect(),
        }
    }

    fn demand(memory_kib: u64, vcpus: u32) -> Demand {
        Demand { memory_kib, vcpus, cpus: Bitmap::full(64) }
    }

    fn set<const N: usize>(numbers: [u32; N]) -> Option<Bitmap> {
        Some(numbers.into_iter().collect())
    }

    #[test]
    fn the_least_busy_node_wins_then_the_freest_then_the_first() {
        assert_eq!(host([(900, 4), (500, 1), (800, 1)]).place(&demand(400, 1)), set([2]));
        assert_eq!(host([(500, 1), (500, 1)]).place(&demand(400, 1)), set([0]));
    }

    #[test]
    fn several_nodes_when_one_has_not_the_memory() {
        assert_eq!(host([(300, 0), (300, 9), (300, 2)]).place(&demand(500, 2)), set([0, 2]));
        assert_eq!(host([(300, 0), (300, 0)]).place(&demand(700, 1)), None);
    }

    #[test]
    fn as_many_nodes_as_the_vcpus_need() {
        assert_eq!(host([(900, 0), (900, 0), (900, 0)]).place(&demand(1, 3)), set([0, 1]));
        assert_eq!(host([(900, 0), (900, 0)]).place(&demand(1, 5)), None);
    }

    #[test]
    fn only_nodes_of_usable_cpus() {
        let cpus = [1, 4, 5].into_iter().collect();
        let demand = Demand { memory_kib: 1, vcpus: 2, cpus };
        assert_eq!(host([(900, 0), (900, 0), (10, 5)]).place(&demand), set([2]));
    }

    #[test]
    fn nodes_without_cpus_or_numbers_do_no_harm() {
        let mut host = host([(900, 0), (100, 0)]);
        host.nodes.extend([None, Some(Node { free_kib: 10_000, vcpus: 0 })]);
        host.node_of_cpu.push(None);
        assert_eq!(host.place(&demand(950, 1)), set([0, 1]));
        assert_eq!(Host::default().place(&demand(1, 1)), None);
    }

    #[test]
    fn a_vcpu_counts_once_on_each_node_it_may_use() {
        let mut host = host([(0, 0), (0, 0), (0, 0)]);
        host.count_vcpu(&[0, 1, 2].into_iter().collect(), &Bitmap::full(3));
        host.count_vcpu(&Bitmap::full(6), &[2].into_iter().collect());
        assert_eq!(host.nodes.iter().map(|node| node.unwrap().vcpus).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
