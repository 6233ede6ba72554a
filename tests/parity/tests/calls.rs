//! Calls that show what they would do, `xl -N ...`, against stock xl's: the same output, the same exit status.

use parity::cases::Guest;
use parity::compare::{difference, runner};
use parity::runner::Runner;

/// Compares calls, with `guest.cfg` and `other.cfg` there to be read.
fn compare(name: &str, conf: &str, calls: &[&[&str]]) {
    let runner = runner(name);
    runner.write("xl.conf", conf).expect("writing xl.conf");
    write_guests(&runner);
    let mut differences = Vec::new();
    for call in calls {
        let (stock, ours, messages) = runner.call_with_xl_conf("xl.conf", call).expect("both programs run");
        differences.extend(difference(&stock, &ours).map(|d| format!("{call:?}: {d}\n{messages}")));
    }
    assert!(differences.is_empty(), "{conf}: {} differ:\n{}", differences.len(), differences.join("\n"));
}

fn write_guests(runner: &Runner) {
    let devices = "vif=[\"mac=00:16:3e:01:02:03,vifname=v\",\"model=e1000,backend=d\"]\n\
                   disk=[\"/a,raw,xvda\",\"/b,qcow2,hdc:cdrom,r\"]\npci=[\"01:02.3@4\"]\n\
                   vfb=[\"vnc=1,vnclisten=1.2.3.4,keymap=fr\"]\npool=\"p\"\n";
    let bootloader = "bootloader=\"pygrub\"\nbootloader_args=[\"a\",\"b\"]\n";
    for (file, text) in [
        ("guest.cfg", format!("{}{devices}{bootloader}", Guest::Pv.base())),
        ("other.cfg", format!("{}{devices}vga=\"stdvga\"\nserial=\"pty\"\n", Guest::Hvm.base())),
        ("pvh.cfg", format!("{}vcpus=2\n", Guest::Pvh.base())),
        ("wrong.cfg", "memory=\n".to_string()),
    ] {
        runner.write(file, &text).expect("writing a configuration");
    }
}

#[test]
fn create_takes_its_arguments_alike() {
    let calls: &[&[&str]] = &[
        &["create", "-n", "guest.cfg"],
        &["create", "--dryrun", "guest.cfg"],
        &["create", "guest.cfg", "-n"],
        &["-N", "create", "-q", "guest.cfg"],
        &["-N", "create", "-d", "guest.cfg"],
        &["-N", "create", "-f", "guest.cfg"],
        &["-N", "create", "wrong.cfg", "-f", "guest.cfg"],
        &["-N", "create", "--defconfig=guest.cfg"],
        &["-N", "create", "-f", "guest.cfg", "memory=96"],
        &["-N", "create", "guest.cfg", "memory=96", "name=\"other\"", "disk+=['/c,raw,xvdc']"],
        &["-N", "create", "guest.cfg", "memory = 96; vcpus = 3"],
        &["-N", "create", "memory=96", "guest.cfg"],
        &["-N", "create", "guest.cfg", "name=unquoted"],
        &["-N", "create", "guest.cfg", "vif=[]"],
        &["-N", "create", "/dev/null", "name=\"n\"", "kernel='/k'", "uuid='01234567-89ab-cdef-0123-456789abcdef'"],
        &["-N", "create", "/dev/null"],
        &["-N", "create", "missing.cfg"],
        &["-N", "create", "wrong.cfg"],
        &["-N", "cr", "guest.cfg"],
    ];
    compare("create", "", calls);
}

#[test]
fn config_update_takes_its_arguments_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "config-update", "0", "guest.cfg"],
        &["-N", "config-update", "7", "guest.cfg"],
        &["-N", "config-update", "0", "-f", "guest.cfg", "memory=96"],
        &["-N", "config-update", "0", "-d", "guest.cfg"],
        &["-N", "config-update", "0", "wrong.cfg"],
        &["-N", "config-update", "0", "missing.cfg"],
        &["-N", "config-update", "0"],
    ];
    compare("config-update", "", calls);
}

#[test]
fn disks_are_attached_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "block-attach", "0", "/a,raw,xvda,w"],
        &["-N", "block-attach", "0", "phy:/dev/vg/a", "xvdb", "w"],
        &["-N", "block-attach", "0", "vdev=xvda", "format=qcow2", "target=/a,b"],
        &["-N", "block-attach", "0", "discard", "vdev=hda", "target=/a"],
        &["-N", "block-attach", "0", "vdev=xvda"],
        &["-N", "block-attach", "0", "file:/a", "hda", "r", "d"],
        &["-N", "block-attach", "0", "colour=red,vdev=xvda,target=/a"],
        &["-N", "block-attach", "0", ""],
    ];
    compare("block-attach", "", calls);
}

#[test]
fn network_devices_are_attached_alike() {
    let many: Vec<&str> =
        ["-N", "network-attach", "0", "mac=00:16:3e:01:02:03", "bridge=b", "ip=1.2.3.4", "script=s", "backend=d"]
            .into_iter()
            .chain(["vifname=v", "model=m", "type=vif", "mtu=1400", "devid=3", "rate=1Mb/s", "trusted", "accel=1"])
            .chain(["gatewaydev=g", "netdev=n", "forwarddev=f", "untrusted"])
            .collect();
    let calls: &[&[&str]] = &[
        &["-N", "network-attach", "0"],
        &many,
        &["-N", "network-attach", "0", "bridge=b,ip=1.2.3.4"],
        &["-N", "network-attach", "0", "colour=red"],
        &["-N", "network-attach", "0", "word"],
        &["-N", "network-attach", "0", "type=other"],
        &["-N", "network-attach", "0", "mac=zz"],
        &["-N", "network-attach", "0", "rate=fast"],
        &["-N", "network-attach", "0", "mtu=x"],
    ];
    compare("network-attach", "vif.default.bridge=\"b0\"\nvif.default.script=\"s0\"\n", calls);
}

#[test]
fn other_devices_are_attached_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "vtpm-attach", "0", "backend=d", "uuid=01234567-89ab-cdef-0123-456789abcdef"],
        &["-N", "vtpm-attach", "0", "uuid=zz"],
        &["-N", "vtpm-attach", "0", "colour=red"],
        &["-N", "vkb-attach", "0", "backend-type=qemu", "width=10"],
        &["-N", "vkb-attach", "0", "backend-type=linux", "unique-id=u", "feature-abs-pointer=1"],
        &["-N", "vkb-attach", "0", "backend-type=usb"],
        &["-N", "vkb-attach", "0", "unique-id=u"],
        &["-N", "vdispl-attach", "0", "connectors=a:1x2;b:3x4", "be-alloc=1"],
        &["-N", "vdispl-attach", "0", "be-alloc=1"],
        &["-N", "vdispl-attach", "0", "colour=red"],
        &["-N", "vsnd-attach", "0", "card, short-name=s", "pcm, name=p", "stream, unique-id=u, type=p"],
        &["-N", "vsnd-attach", "0", "other, a=b"],
        &["-N", "vsnd-attach", "0", "card, colour=red"],
    ];
    compare("attach", "", calls);
}

#[test]
fn vcpus_are_pinned_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "vcpu-pin", "0", "0", "1-3"],
        &["-N", "vcpu-pin", "0", "all", "all"],
        &["-N", "vcpu-pin", "0", "all", "all,^2", "nodes:1"],
        &["-N", "vcpu-pin", "0", "0", "-", "2"],
        &["-N", "vcpu-pin", "0", "0", "node:0,^node:1,6"],
        &["-N", "vcpu-pin", "0", "0", "3-1"],
        &["-N", "vcpu-pin", "0", "0", "x"],
        &["-N", "vcpu-pin", "0", "x", "1"],
        &["-N", "vcpu-pin", "0", "0", "^1"],
        &["-N", "vcpu-pin", "-f", "0", "0", "1"],
        &["-N", "vcpu-pin", "-f", "0", "all", "1"],
    ];
    compare("vcpu-pin", "", calls);
}

/// Configurations of CPU pools, xlcpupool.cfg(5).
const POOLS: &[(&str, &str)] = &[
    ("empty.pool", ""),
    ("named.pool", "# a pool\nname = \"other\"\nsched = \"credit\"\ncpus = [\"1\", \"3\"]\n"),
    ("range.pool", "cpus = \"0-5,^2\"\n"),
    ("cpus-of-nodes.pool", "cpus='node:1,^7'\n"),
    ("numbers.pool", "cpus = [0, 07, 6]\n"),
    ("number.pool", "cpus = 5\n"),
    ("nodes.pool", "sched=\"RTDS\"\nnodes=[\"0\", \"1\", \"9\"]\ncpus=\"x\"\n"),
    ("node.pool", "nodes=[1]\n"),
    ("beyond.pool", "cpus=\"6-99\"\n"),
    ("list-name.pool", "name=[\"a\"]\nsched=[\"credit\"]\n"),
    ("no-nodes.pool", "sched=\"credit\"\nnodes=[]\n"),
    ("no-cpus.pool", "cpus=[]\n"),
    ("no-range.pool", "cpus=\"\"\n"),
    ("comma.pool", "cpus=\"1,,3\"\n"),
    ("unknown.pool", "colour=\"red\"\n"),
    ("absent-node.pool", "sched=\"credit\"\nnodes=[\"5\"]\n"),
    ("absent-cpu.pool", "sched=\"credit\"\ncpus=[\"8\"]\n"),
    ("negative.pool", "sched=\"credit\"\ncpus=[\"-1\"]\n"),
    ("wrong-range.pool", "sched=\"credit\"\ncpus=\"a\"\n"),
    ("wrong-sched.pool", "sched=\"fair\"\n"),
    ("wrong.pool", "name=\n"),
    ("Pool-0", "sched=\"credit\"\n"),
];

#[test]
fn cpu_pools_are_read_alike() {
    let runner = runner("cpupool");
    POOLS.iter().for_each(|(file, text)| runner.write(file, text).expect("writing a configuration"));
    let files = POOLS.iter().map(|(file, _)| vec!["-N", "cpupool-create", *file]);
    let calls: [&[&str]; 12] = [
        &["cpupool-create", "-n", "named.pool"],
        &["cpupool-create", "--dryrun", "-f", "named.pool"],
        &["-N", "cpupool-create", "--defconfig=named.pool", "sched=\"null\""],
        &["-N", "cpupool-create", "named.pool", "name=\"third\"", "cpus=\"2\""],
        &["-N", "cpupool-create", "name=\"a\"", "empty.pool"],
        &["-N", "cpupool-create", "name=\"a\"", "nodes=[1]"],
        &["-N", "cpupool-create", "name=\"a\"; sched='arinc653'; cpus='all'"],
        &["-N", "cpupool-create", "name=unquoted"],
        &["-N", "cpupool-create", "name=\"Pool-0\"", "sched=\"credit\""],
        &["-N", "cpupool-create", "sched=\"credit\""],
        &["-N", "cpupool-create"],
        &["-N", "cpupool-create", "missing.pool"],
    ];
    let mut differences = Vec::new();
    for call in files.chain(calls.iter().map(|call| call.to_vec())) {
        let (stock, ours, messages) = runner.call(&call).expect("both programs run");
        differences.extend(difference(&stock, &ours).map(|d| format!("{call:?}: {d}\n{messages}")));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

/// An exit status, and the number of CPUs that is shown.
type Shown = (i32, Option<&'static str>);

/// A pool's settings, what stock xl and ours make of them, and words of docs/differences.md.
const DIFFERENT_POOLS: &[(&str, Shown, Shown, &str)] = &[
    ("cpus=[\"8\"]", (6, None), (1, None), "the number of the host's scheduler"),
    ("cpus=[\"1\", \"1\"]", (0, Some("2")), (0, Some("1")), "a CPU named twice"),
    ("cpus=[\"x\"]", (0, Some("1")), (1, None), "`cpus` and `nodes` that are no numbers"),
    ("nodes=1", (0, Some("0")), (0, Some("4")), "`nodes` with one number"),
];

#[test]
fn cpu_pools_differ_as_documented() {
    let differences = include_str!("../../../docs/differences.md");
    let runner = runner("cpupool-differences");
    for (setting, stocks, own, words) in DIFFERENT_POOLS {
        let (stock, ours, messages) =
            runner.call(&["-N", "cpupool-create", "name=\"a\"", setting]).expect("both programs run");
        for (seen, (status, cpus)) in [(stock, stocks), (ours, own)] {
            let count = seen.output.lines().find_map(|line| line.strip_prefix("number of cpus: "));
            assert_eq!((seen.status, count), (Some(*status), *cpus), "{setting}: {messages}");
        }
        assert!(differences.contains(words), "{words}");
    }
}

/// The defaults that a host's administrator sets.
#[test]
fn xl_conf_is_read_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "create", "guest.cfg"],
        &["-N", "create", "other.cfg"],
        &["-N", "create", "pvh.cfg"],
        &["-N", "create", "other.cfg", "max_grant_frames=7", "cpus=\"0-5\""],
        &["-N", "create", "-i", "guest.cfg"],
        &["-N", "network-attach", "0", "ip=1.2.3.4"],
        &["-N", "config-update", "0", "guest.cfg"],
    ];
    for conf in [
        "",
        "# nothing\n",
        "autoballoon=\"off\"\nlockfile=\"/l\"\nremus.default.netbufscript=\"r\"\ncolo.default.proxyscript=\"c\"\n",
        "autoballoon=\"maybe\"\noutput_format=\"yaml\"\ndomid_policy=\"none\"\nunknown=1\n",
        "run_hotplug_scripts=0\nclaim_mode=0\nblkdev_start=\"xvdq\"\ndomid_policy=\"random\"\n",
        "vifscript=\"old\"\ndefaultbridge=\"b0\"\n",
        "vif.default.script=\"s\"\nvif.default.bridge=\"b\"\nvif.default.gatewaydev=\"g\"\nvif.default.backend=\"d\"\n",
        "vif.default.bridge=\"new\"\ndefaultbridge=\"old\"\n",
        "max_grant_frames=64\nmax_maptrack_frames=0\nmax_grant_version=1\n",
        "max_grant_frames=\"x\"\n",
        "max_maptrack_frames=-1\n",
        "vm.cpumask=\"0-3\"\n",
        "vm.cpumask=\"0-5\"\nvm.hvm.cpumask=\"2-7\"\nvm.pv.cpumask=\"all,^1\"\n",
        "vm.pv.cpumask=\"nodes:1\"\n",
        "vm.hvm.cpumask=\"6-7\"\n",
        "run_hotplug_scripts=\n",
        "run_hotplug_scripts=\"yes\"\nclaim_mode=[1]\nvif.default.bridge=3\n",
    ] {
        compare("xl-conf", conf, calls);
    }
}

/// An xl.conf, a call, the exit statuses of stock xl and ours, and words of docs/differences.md.
const DIFFERENT_HOSTS: &[(&str, &[&str], i32, i32, &str)] = &[
    ("vm.cpumask=\"0-3,x\"\n", &["-N", "create", "guest.cfg"], 0, 1, "that is no range of CPUs"),
    ("claim_mode=\n", &["-N", "vcpu-pin", "0", "0", "1"], 1, 0, "an xl.conf that cannot be read"),
    ("claim_mode=-1\n", &["-N", "create", "guest.cfg"], 1, 0, "negative numbers without quotes"),
];

#[test]
fn xl_conf_differs_as_documented() {
    let differences = include_str!("../../../docs/differences.md");
    let runner = runner("xl-conf-differences");
    write_guests(&runner);
    for (conf, call, stocks, own, words) in DIFFERENT_HOSTS {
        runner.write("xl.conf", conf).expect("writing xl.conf");
        let (stock, ours, messages) = runner.call_with_xl_conf("xl.conf", call).expect("both programs run");
        assert_eq!((stock.status, ours.status), (Some(*stocks), Some(*own)), "{conf}: {messages}");
        assert!(differences.contains(words), "{words}");
    }
}

#[test]
fn s_expressions_are_alike() {
    let calls: &[&[&str]] = &[
        &["-N", "create", "guest.cfg"],
        &["-N", "create", "other.cfg"],
        &["-N", "create", "other.cfg", "spice=1", "spiceport=6000", "videoram=32", "hap=0", "timer_mode=1"],
        &["-N", "config-update", "0", "other.cfg"],
    ];
    compare("sxp", "output_format=\"sxp\"\n", calls);
}
