//! The xenstore nodes of a domain, as values.
//!
//! Each function gives the nodes of one step of a domain's life in the order in which they are written;
//! nothing here talks to xenstored. Layout and permissions are those of docs/misc/xenstore-paths.pandoc
//! and of what guests and other toolstacks have come to rely on.

use crate::xenstore::{Batch, Perms, schema};
use libxc::{DomId, EvtchnPort};

/// Bytes of console output that xenconsoled keeps for a guest (`console/limit`).
const CONSOLE_LIMIT: u32 = 1_048_576;
/// The frontend and backend of a device that nobody has connected yet (`XenbusStateInitialising`).
const STATE_INITIALISING: &str = "1";

/// The toolstack's, shown to the guest (`n0,rD`).
fn shown_to(guest: DomId) -> Perms {
    Perms::private().readable_by(guest)
}

/// One domain's, shown to another: a frontend's nodes to its backend and the reverse.
fn shared(owner: DomId, reader: DomId) -> Perms {
    Perms::owned_by(owner).readable_by(reader)
}

/// A node to write. Parents that are missing come into being with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its absolute path.
    pub path: String,
    /// Its value.
    pub value: String,
    /// Its permissions; `None` for those of its parent.
    pub perms: Option<Perms>,
}

/// A list of nodes under construction.
#[derive(Debug, Default)]
struct Nodes(Vec<Node>);

impl Node {
    /// Queues what writes it.
    pub fn queue(&self, batch: &mut Batch) {
        match &self.perms {
            Some(perms) => batch.write_with(&self.path, &self.value, perms),
            None => batch.write(&self.path, &self.value),
        };
    }
}

impl Nodes {
    fn with(&mut self, path: String, value: impl Into<String>, perms: &Perms) {
        self.0.push(Node { path, value: value.into(), perms: Some(perms.clone()) });
    }

    fn inherit(&mut self, path: String, value: impl Into<String>) {
        self.0.push(Node { path, value: value.into(), perms: None });
    }
}

/// What a new domain is, for [`birth`].
#[derive(Debug)]
pub struct Identity<'a> {
    /// Its number.
    pub domid: DomId,
    /// Its name.
    pub name: &'a str,
    /// Its UUID in text.
    pub uuid: &'a str,
    /// `pv`, `pvh` or `hvm`.
    pub kind: &'a str,
    /// The version of its device model (`libxl_device_model_version`).
    pub device_model: &'a str,
    /// Whether it will run a toolstack for devices of other domains (`driver_domain=1`).
    pub driver_domain: bool,
    /// Whether the guest itself makes the suspend event channel's node (`suspend_event_channel` of old).
    pub xend_suspend_evtchn_compat: bool,
    /// Extra nodes under [`schema::domain`] (`xsdata`).
    pub xsdata: &'a [(String, Option<String>)],
    /// Extra nodes under `platform` (`platformdata`).
    pub platformdata: &'a [(String, Option<String>)],
}

/// The paths that must not hold anything of an earlier domain when [`birth`] is written.
pub fn birth_roots(id: &Identity<'_>) -> [String; 3] {
    [schema::domain(id.domid), schema::vm(id.uuid), schema::libxl(id.domid)]
}

/// The nodes of a domain that exists in Xen but has neither memory nor devices yet.
pub fn birth(id: &Identity<'_>) -> Vec<Node> {
    let (domid, dom) = (id.domid, schema::domain(id.domid));
    let (vm, libxl) = (schema::vm(id.uuid), schema::libxl(domid));
    let (shown, guests, private) = (&shown_to(domid), &Perms::owned_by(domid), &Perms::private());
    let hvm = id.kind == "hvm";
    let mut nodes = Nodes::default();

    nodes.with(dom.clone(), "", shown);
    nodes.with(vm.clone(), "", shown);
    nodes.with(libxl.clone(), "", private);
    nodes.with(format!("{libxl}/device"), "", private);
    nodes.inherit(format!("{dom}/vm"), &vm);
    nodes.0.extend(name(domid, id.uuid, id.name));
    nodes.with(format!("{dom}/cpu"), "", shown);
    nodes.with(format!("{dom}/memory"), "", shown);
    if id.xend_suspend_evtchn_compat {
        nodes.with(format!("{dom}/device"), "", guests);
    } else {
        nodes.with(format!("{dom}/device"), "", shown);
        nodes.with(format!("{dom}/device/suspend/event-channel"), "", guests);
    }
    nodes.with(format!("{dom}/control"), "", shown);
    if hvm {
        nodes.with(format!("{dom}/hvmloader"), "", shown);
    }
    for node in guest_writable(hvm, id.driver_domain) {
        nodes.with(format!("{dom}/{node}"), "", guests);
    }
    nodes.inherit(format!("{vm}/uuid"), id.uuid);
    for (dir, pairs) in [(dom.clone(), id.xsdata), (format!("{dom}/platform"), id.platformdata)] {
        for (key, value) in pairs {
            nodes.inherit(format!("{dir}/{key}"), value.as_deref().unwrap_or_default());
        }
    }
    for feature in ["multiprocessor-suspend", "xs_reset_watches"] {
        nodes.inherit(format!("{dom}/control/platform-feature-{feature}"), "1");
    }
    nodes.inherit(format!("{libxl}/type"), id.kind);
    nodes.inherit(format!("{libxl}/dm-version"), id.device_model);
    nodes.0
}

/// A domain's name, where both the guest and the toolstack look for it.
pub fn name(domid: DomId, uuid: &str, name: &str) -> [Node; 2] {
    [schema::domain(domid), schema::vm(uuid)].map(|dir| Node {
        path: format!("{dir}/name"),
        value: name.into(),
        perms: None,
    })
}

/// Leaves out what lies in `/vm/UUID`: that is the guest's, of which this domain is a copy on the same host. It stays as
/// it is, whichever of the two goes.
pub fn without_vm(mut nodes: Vec<Node>, uuid: &str) -> Vec<Node> {
    let vm = schema::vm(uuid);
    let is_in_vm = |path: &str| path.strip_prefix(&vm).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    nodes.retain(|node| !is_in_vm(&node.path));
    nodes
}

/// The nodes that belong to the guest, empty at first.
fn guest_writable(hvm: bool, driver_domain: bool) -> impl Iterator<Item = &'static str> {
    const CONTROL: [&str; 4] =
        ["control/shutdown", "control/feature-poweroff", "control/feature-reboot", "control/feature-suspend"];
    const SLEEP_STATES: [&str; 2] = ["control/feature-s3", "control/feature-s4"];
    const OTHER: [&str; 6] = ["control/sysrq", "data", "drivers", "feature", "attr", "error"];
    const DRIVER_DOMAIN: [&str; 2] = ["libxl", "device-model"];
    let if_set = |set: bool, nodes: &'static [&'static str]| if set { nodes } else { &[] };
    CONTROL.iter().chain(if_set(hvm, &SLEEP_STATES)).chain(&OTHER).chain(if_set(driver_domain, &DRIVER_DOMAIN)).copied()
}

/// A page that the guest shares with a service in another domain, and the channel to ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The guest's end of the event channel.
    pub port: EvtchnPort,
    /// The page: a guest frame of a PVH or HVM guest, a machine frame of a PV guest.
    pub frame: u64,
}

/// What became known while building a domain, for [`built`].
#[derive(Debug)]
pub struct Built<'a> {
    /// The domain.
    pub domid: DomId,
    /// Its UUID in text.
    pub uuid: &'a str,
    /// The most memory it may have, in KiB.
    pub max_memkb: u64,
    /// What the guest should balloon to, in KiB (without video memory).
    pub target_memkb: u64,
    /// Its video memory in KiB.
    pub video_memkb: u64,
    /// For each possible vCPU, whether it is online.
    pub vcpus_online: &'a [bool],
    /// The ring to xenstored.
    pub store: Ring,
    /// The ring to the console's backend.
    pub console: Ring,
    /// The domain where xenconsoled runs.
    pub console_backend: DomId,
    /// What runs in it.
    pub image: Image<'a>,
    /// When it was built: seconds since 1970 and hundredths of a second.
    pub start_time: (u64, u32),
}

/// What `/vm/UUID` and `platform` say of the guest's software.
#[derive(Debug)]
pub enum Image<'a> {
    /// A paravirtual kernel.
    Pv {
        /// Path of the kernel; none if the guest came out of a stream.
        kernel: Option<&'a str>,
        /// Path of the initial ramdisk.
        ramdisk: Option<&'a str>,
        /// The kernel's command line.
        cmdline: Option<&'a str>,
    },
    /// A PVH kernel: nothing is said of it.
    Pvh,
}

/// The nodes of a domain that has its memory, vCPUs and rings. The daemons may be introduced to it then.
pub fn built(b: &Built<'_>) -> Vec<Node> {
    let (dom, vm) = (schema::domain(b.domid), schema::vm(b.uuid));
    let mut nodes = Nodes::default();
    nodes.inherit(format!("{dom}/memory/static-max"), b.max_memkb.to_string());
    nodes.inherit(format!("{dom}/memory/target"), b.target_memkb.to_string());
    nodes.inherit(format!("{dom}/memory/videoram"), b.video_memkb.to_string());
    nodes.inherit(format!("{dom}/domid"), b.domid.to_string());
    nodes.inherit(format!("{dom}/store/port"), b.store.port.to_string());
    nodes.inherit(format!("{dom}/store/ring-ref"), b.store.frame.to_string());
    for (vcpu, online) in b.vcpus_online.iter().enumerate() {
        let availability = if *online { "online" } else { "offline" };
        nodes.inherit(format!("{dom}/cpu/{vcpu}/availability"), availability);
    }
    if let Image::Pv { kernel, .. } = b.image {
        nodes.inherit(format!("{vm}/image/ostype"), "linux");
        if let Some(kernel) = kernel {
            nodes.inherit(format!("{vm}/image/kernel"), kernel);
        }
    }
    let (seconds, hundredths) = b.start_time;
    nodes.inherit(format!("{vm}/start_time"), format!("{seconds}.{hundredths:02}"));
    if let Image::Pv { ramdisk, cmdline, .. } = b.image {
        for (node, value) in [("ramdisk", ramdisk), ("cmdline", cmdline)] {
            if let Some(value) = value {
                nodes.inherit(format!("{vm}/image/{node}"), value);
            }
        }
    }
    nodes.0.extend(primary_console(b.domid, b.console_backend, b.console));
    nodes.0
}

/// The primary console, served by xenconsoled: it opens a pty and puts its name into `console/tty`.
///
/// Unlike any other device's, its frontend directory is not the guest's: it also holds where to find
/// the guest's VNC server, which the guest must not be able to forge.
pub fn primary_console(domid: DomId, backend_domid: DomId, ring: Ring) -> Vec<Node> {
    let front = format!("{}/console", schema::domain(domid));
    let back = format!("{}/console/{domid}/0", schema::backends(backend_domid));
    let libxl = format!("{}/console/0", schema::devices(domid));
    let backend_nodes = [
        ("frontend-id", domid.to_string()),
        ("online", "1".into()),
        ("state", STATE_INITIALISING.into()),
        ("protocol", "vt100".into()),
    ];
    let (guests, ours) = (&shared(domid, backend_domid), &shared(backend_domid, domid));

    let mut nodes = Nodes::default();
    nodes.inherit(format!("{libxl}/frontend"), &front);
    nodes.inherit(format!("{libxl}/backend"), &back);
    nodes.with(front.clone(), "", ours);
    nodes.inherit(format!("{front}/backend"), &back);
    nodes.with(format!("{front}/backend-id"), backend_domid.to_string(), guests);
    for (node, value) in [
        ("limit", CONSOLE_LIMIT.to_string()),
        ("type", "xenconsoled".into()),
        ("output", "pty".into()),
        ("tty", String::new()),
        ("port", ring.port.to_string()),
        ("ring-ref", ring.frame.to_string()),
    ] {
        nodes.with(format!("{front}/{node}"), value, ours);
    }
    nodes.with(back.clone(), "", ours);
    nodes.inherit(format!("{back}/frontend"), &front);
    for (node, value) in &backend_nodes {
        nodes.inherit(format!("{back}/{node}"), value);
    }
    for (node, value) in backend_nodes {
        nodes.inherit(format!("{libxl}/{node}"), value);
    }
    nodes.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As much of xenstored as the plans need: a tree in order of creation where a new node has the
    /// permissions of its parent.
    #[derive(Default)]
    struct Tree(Vec<(String, String, Perms)>);

    impl Tree {
        fn find(&self, path: &str) -> Option<usize> {
            self.0.iter().position(|(p, ..)| p == path)
        }

        fn write(&mut self, node: &Node) {
            let at = self.find(&node.path).unwrap_or_else(|| self.create(&node.path));
            self.0[at].1.clone_from(&node.value);
            if let Some(perms) = &node.perms {
                self.0[at].2.clone_from(perms);
            }
        }

        fn create(&mut self, path: &str) -> usize {
            let perms = match path.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => {
                    let at = self.find(parent).unwrap_or_else(|| self.create(parent));
                    self.0[at].2.clone()
                }
                _ => Perms::private(),
            };
            self.0.push((path.to_owned(), String::new(), perms));
            self.0.len() - 1
        }

        /// The lines of `xenstore-ls -fp`, but for those of nodes that stood before.
        fn listing(&self, root: &str, out: &mut Vec<String>) {
            for (path, value, perms) in &self.0 {
                if path.rsplit_once('/').is_some_and(|(parent, _)| parent == root) {
                    out.push(format!("{path} = \"{value}\"   {perms}"));
                    self.listing(path, out);
                }
            }
        }
    }

    fn listing(plans: &[Vec<Node>]) -> Vec<String> {
        let mut tree = Tree::default();
        plans.iter().flatten().for_each(|node| tree.write(node));
        let mut lines = Vec::new();
        tree.listing("", &mut lines);
        lines
    }

    /// What stock xl left in xenstore, without devices other than the console, which other modules plan.
    fn captured(dump: &str) -> Vec<String> {
        dump.lines().map(str::to_owned).collect()
    }

    const PV_UUID: &str = "2b383046-e58e-11f1-8b33-33310486262e";
    const PVH_UUID: &str = "fe2c4ba9-9eec-4730-9d33-23960d06fa36";

    fn identity(domid: u16, name: &'static str, uuid: &'static str, kind: &'static str) -> Identity<'static> {
        Identity {
            domid: DomId(domid),
            name,
            uuid,
            kind,
            device_model: "qemu_xen",
            driver_domain: false,
            xend_suspend_evtchn_compat: false,
            xsdata: &[],
            platformdata: &[],
        }
    }

    fn at(port: u32, frame: u64) -> Ring {
        Ring { port: EvtchnPort(port), frame }
    }

    #[test]
    fn a_pv_domain_is_as_stock_xl_makes_it() {
        let built = built(&Built {
            domid: DomId(1),
            uuid: PV_UUID,
            max_memkb: 147_456,
            target_memkb: 131_072,
            video_memkb: 0,
            vcpus_online: &[true, false],
            store: at(1, 758_273),
            console: at(2, 758_274),
            console_backend: DomId(0),
            image: Image::Pv {
                kernel: Some("/boot/vmlinuz"),
                ramdisk: Some("/boot/guest.gz"),
                cmdline: Some("console=hvc0 rdinit=/init quiet"),
            },
            start_time: (1_795_253_420, 66),
        });
        let ours = listing(&[birth(&identity(1, "pv1", PV_UUID, "pv")), built]);
        assert_same(ours, include_str!("../../../tests/fixtures/xenstore/pv.txt"));
    }

    #[test]
    fn a_pvh_domain_is_as_stock_xl_makes_it() {
        let built = built(&Built {
            domid: DomId(5),
            uuid: PVH_UUID,
            max_memkb: 147_456,
            target_memkb: 131_072,
            video_memkb: 0,
            vcpus_online: &[true, false],
            store: at(1, 1_044_476),
            console: at(2, 1_044_479),
            console_backend: DomId(0),
            image: Image::Pvh,
            start_time: (1_795_253_792, 49),
        });
        let ours = listing(&[birth(&identity(5, "pvh1", PVH_UUID, "pvh")), built]);
        assert_same(ours, include_str!("../../../tests/fixtures/xenstore/pvh.txt"));
    }

    #[test]
    fn a_start_time_keeps_its_leading_zero() {
        let mut b = pvh_built();
        b.start_time = (7, 5);
        let nodes = built(&b);
        assert!(nodes.iter().any(|n| n.path.ends_with("/start_time") && n.value == "7.05"));
    }

    #[test]
    fn only_hvm_has_sleep_states_and_hvmloader() {
        let paths =
            |kind| -> Vec<String> { birth(&identity(1, "g", PV_UUID, kind)).into_iter().map(|n| n.path).collect() };
        assert!(paths("hvm").contains(&"/local/domain/1/control/feature-s3".to_owned()));
        assert!(paths("hvm").contains(&"/local/domain/1/hvmloader".to_owned()));
        assert!(!paths("pvh").iter().any(|p| p.contains("feature-s") && !p.ends_with("suspend")));
    }

    #[test]
    fn a_driver_domain_owns_its_toolstack_directories() {
        let mut id = identity(3, "drv", PV_UUID, "pv");
        id.driver_domain = true;
        let nodes = birth(&id);
        for dir in ["libxl", "device-model"] {
            let node = nodes.iter().find(|n| n.path == format!("/local/domain/3/{dir}")).expect(dir);
            assert_eq!(node.perms.as_ref().map(Perms::to_string).as_deref(), Some("(n3)"));
        }
    }

    #[test]
    fn a_copy_beside_its_guest_leaves_the_node_that_both_use() {
        let (born, built) = (birth(&identity(9, "g--incoming", PVH_UUID, "pvh")), built(&pvh_built()));
        for nodes in [born, built] {
            let (count, vm) = (nodes.len(), format!("/vm/{PVH_UUID}"));
            let kept = without_vm(nodes, PVH_UUID);
            assert!(kept.len() < count && kept.iter().all(|n| !n.path.starts_with(&vm)));
            assert!(kept.iter().all(|n| n.path != "/local/domain/9/vm" || n.value == vm), "it says where its node is");
        }
    }

    #[test]
    fn nothing_a_guest_owns_lies_under_libxl_or_vm() {
        let nodes = [birth(&identity(9, "g", PV_UUID, "pv")), built(&pvh_built())].concat();
        for node in nodes.iter().filter(|n| !n.path.starts_with("/local/domain/9")) {
            assert!(node.perms.as_ref().is_none_or(|p| p.owner == DomId(0)), "{node:?}");
        }
    }

    fn pvh_built() -> Built<'static> {
        Built {
            domid: DomId(9),
            uuid: PVH_UUID,
            max_memkb: 4096,
            target_memkb: 4096,
            video_memkb: 0,
            vcpus_online: &[true],
            store: at(1, 2),
            console: at(2, 3),
            console_backend: DomId(0),
            image: Image::Pvh,
            start_time: (1, 2),
        }
    }

    /// Compares but for the order of nodes, and for the terminal, which xenconsoled fills in.
    fn assert_same(ours: Vec<String>, fixture: &str) {
        let tidy = |lines: Vec<String>| -> Vec<String> {
            let mut lines: Vec<_> =
                lines.into_iter().filter(|l| !l.contains("/console/tty")).filter(|l| !is_common_root(l)).collect();
            lines.sort();
            lines
        };
        pretty_assert(&tidy(ours), &tidy(captured(fixture)));
    }

    fn is_common_root(line: &str) -> bool {
        ["/vm =", "/libxl =", "/local =", "/local/domain =", "/local/domain/0 =", "/local/domain/0/backend ="]
            .iter()
            .any(|root| line.starts_with(root))
            || line.starts_with("/local/domain/0/backend/console =")
    }

    fn pretty_assert(ours: &[String], stock: &[String]) {
        let only = |a: &[String], b: &[String]| a.iter().filter(|l| !b.contains(l)).cloned().collect::<Vec<_>>();
        assert!(ours == stock, "only ours: {:#?}\nonly stock: {:#?}", only(ours, stock), only(stock, ours));
    }
}
