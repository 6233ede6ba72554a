//! Our reading of configurations against stock xl's: the same JSON, the same exit status.

use parity::cases::{self, Case, Guest};
use parity::compare::{configurations, difference, runner};
use parity::{combine, reference};

const LATER: &str = "keys that only a later Xen has";

const DIFFERENCES: &str = include_str!("../../../docs/differences.md");

/// Where ours differs on purpose: lines on top of a PV guest's, the exit status of stock xl and ours, and words of the
/// row of docs/differences.md that says why.
const DIFFERENT: &[(&str, i32, i32, &str)] = &[
    ("extra=\"a\"\r\n", 1, 0, "carriage return"),
    ("extra=\"\\x41\"\n", 1, 0, "`\\xHH`"),
    ("extra=\"\\101\"\n", 0, 0, "`\\ooo`"),
    ("cap=-1\nextra=\"a\"\n", 1, 0, "negative numbers"),
    ("# the last line", 1, 0, "comment on a last line"),
    ("rdm=\"strategy=host\"\ntype=\"hvm\"\n", 0, 0, "`rdm` without a policy"),
    ("rdm=\"strategy=host,policy=relaxed\"\ntype=\"hvm\"\n", 0, 0, "`rdm` with a right policy"),
    ("rdm=\"policy=lax\"\ntype=\"hvm\"\n", 0, 0, "`rdm` with a wrong policy"),
    ("disk=[\"/a,raw,xvda,untrusted\"]\n", 1, 0, "`trusted` and `untrusted`"),
    ("ioports=[\"64-60\"]\n", 0, 1, "last port before the first"),
    ("p9=[\"tag=t,path=/p,security_model=none\",\"tag=u\"]\n", 0, 1, "9pfs share"),
    ("vdispl=[\"connectors=a:x\"]\n", 0, 1, "connector"),
    ("vif=[\"mac=00:16:3e\"]\n", 0, 0, "MAC address"),
    ("usbdev=[\"hostbus=1,hostaddr=3\"]\n", 0, 0, "`usbdev` without a type"),
    ("memory=\"-1\"\n", 0, 1, "negative sizes"),
    ("cpus=\"4294967296\"\n", 0, 1, "negative sizes"),
    ("rtc_timeoffset=4294967296\n", 0, 1, "negative sizes"),
    ("vif=[\"devid=2147483648\"]\n", 0, 1, "negative sizes"),
    ("cpuid=\"host,aes=2\"\n", 0, 0, "in `cpuid` left out with a warning"),
    ("cpuid=\"host,family=130\"\n", 0, 0, "family from 128 to 142"),
    ("pci=[\"01:00.0x\"]\n", 0, 6, "a PCI address without a function"),
    ("smbios=[\"oem=a\"]\ntype=\"hvm\"\n", 0, 0, LATER),
    ("smbios=[\"oem\"]\ntype=\"hvm\"\n", 0, 1, LATER),
    ("xenstore_quota=[\"nodes=1000\"]\nxenstore_feature_mask=0\n", 0, 0, LATER),
    ("xenstore_quota=[\"nodes\"]\n", 0, 1, LATER),
    ("altp2m_count=65536\n", 0, 1, LATER),
    ("vif=[\"vlan=7\"]\n", 0, 0, LATER),
    ("sve=\"hw\"\n", 0, 0, LATER),
    ("sve=\"100\"\n", 0, 1, LATER),
    ("llc_colors=[\"3-1\"]\n", 0, 1, LATER),
    ("virtio=[\"type=virtio,device22,transport=mmio\"]\n", 0, 0, LATER),
    ("virtio=[\"transport=pci\"]\n", 0, 1, LATER),
    ("extra=\"\\xe9\"\n", 1, 1, "UTF-8"),
];

#[test]
fn reference_cases_read_alike() {
    let cases = reference::cases();
    let (different, same): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| reference::DIFFERENT.iter().any(|(name, _)| *name == case.name));
    let runner = runner("reference");
    configurations(&runner, &same, "reference");
    for case in different {
        let (stock, ours, _) = runner.create(&case.name, &case.text).expect("both programs run");
        assert!(difference(&stock, &ours).is_some(), "{} reads alike: it is no exception any more", case.name);
    }
    for (name, words) in reference::DIFFERENT {
        assert!(DIFFERENCES.contains(words), "{name}: docs/differences.md does not tell of {words}");
    }
}

#[test]
fn every_construct_reads_alike() {
    configurations(&runner("constructs"), &cases::all(), "constructs");
}

#[test]
fn combinations_read_alike() {
    let seed = std::env::var("PARITY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed} (PARITY_SEED={seed} gives the same again)");
    configurations(&runner("combinations"), &combine::cases(seed, 500), &format!("combinations of seed {seed}"));
}

#[test]
fn differences_are_those_documented() {
    let runner = runner("differences");
    for (n, (lines, stock_status, our_status, words)) in DIFFERENT.iter().enumerate() {
        let text = format!("{}{lines}", Guest::Pv.base());
        let (stock, ours, messages) = runner.create(&n.to_string(), &text).expect("both programs run");
        assert_eq!(stock.status, Some(*stock_status), "stock: {lines}");
        assert_eq!(ours.status, Some(*our_status), "ours: {lines}{messages}");
        assert!(DIFFERENCES.contains(words), "docs/differences.md does not tell of {words}");
    }
}
