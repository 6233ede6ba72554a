//! What a configuration needs to know of the host, as a value: parsing itself asks nobody.

use libxl::types::Bitmap;

/// Facts of a host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostFacts {
    /// One more than the highest number of a cpu (`max_cpu_id + 1` of Xen's physinfo).
    pub(crate) cpus: u32,
    /// The cpus that are online.
    pub(crate) online_cpus: u32,
    /// The cpus of each NUMA node.
    pub(crate) nodes: Vec<Bitmap>,
    /// Whether this is the host that is meant, and not just some host because there is no Xen to ask.
    pub(crate) is_known: bool,
}

impl HostFacts {
    /// A host whose cpus are spread evenly over its nodes.
    pub(crate) fn even(cpus: u32, nodes: u32) -> HostFacts {
        let mut maps = vec![Bitmap::with_size(cpus); nodes.max(1) as usize];
        for cpu in 0..cpus {
            let node = u64::from(cpu) * u64::from(nodes.max(1)) / u64::from(cpus);
            maps[node as usize].insert(cpu);
        }
        HostFacts { cpus, online_cpus: cpus, nodes: maps, is_known: true }
    }

    /// Reads `cpus=N[,nodes=N]`: a host that a dry run shall suppose. At most 4095 cpus, Xen's limit.
    pub(crate) fn supposed(text: &str) -> Option<HostFacts> {
        let (mut cpus, mut nodes) = (None, Some(1));
        for pair in text.split(',') {
            match pair.split_once('=')? {
                ("cpus", value) => cpus = value.parse().ok(),
                ("nodes", value) => nodes = value.parse().ok(),
                _ => return None,
            }
        }
        let (cpus, nodes) = (cpus?, nodes?);
        ((1..=4095).contains(&cpus) && (1..=64).contains(&nodes)).then(|| HostFacts::even(cpus, nodes))
    }

    /// The empty set of cpus: it holds numbers up to the next multiple of 8, as libxl's does.
    pub(crate) fn no_cpus(&self) -> Bitmap {
        Bitmap::with_size(self.cpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supposed_host() {
        let host = HostFacts::supposed("cpus=8,nodes=2").unwrap();
        assert_eq!(host.nodes[1].iter().collect::<Vec<_>>(), [4, 5, 6, 7]);
        for bad in ["", "cpus=0", "cpus=x", "nodes=2", "cpus=4,x=1", "cpus=999999"] {
            assert_eq!(HostFacts::supposed(bad), None, "{bad}");
        }
    }
}
