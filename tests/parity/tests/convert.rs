//! `xl convert`: a configuration says the same in both forms. Stock xl is not asked here.

use parity::cases::{self, Case, Guest};
use parity::compare::runner;
use parity::runner::Runner;
use parity::{combine, reference};

/// Whether xl takes the configuration, and what is lost on the way to TOML and back.
fn round_trip(runner: &Runner, case: &Case) -> (bool, Option<String>) {
    let [cfg, toml, back] = ["cfg", "toml", "back.cfg"].map(|end| format!("{}.{end}", case.name));
    runner.write(&cfg, &case.text).expect("writing a configuration");
    let show = |file: &str| runner.call_ours(&["-N", "create", "-q", file]).expect("xl runs");
    let (original, _) = show(&cfg);
    if original.status != Some(0) {
        return (false, None);
    }
    for (from, to) in [(&cfg, &toml), (&toml, &back)] {
        let (converted, messages) = runner.call_ours(&["convert", from, to]).expect("xl runs");
        if converted.status != Some(0) {
            return (true, Some(format!("{from} is not converted: {messages}\n{}", case.text)));
        }
        let (shown, messages) = show(to);
        if shown != original {
            return (true, Some(format!("{to} says something else\n{}{messages}", case.text)));
        }
    }
    (true, None)
}

fn there_and_back(name: &str, cases: &[Case]) {
    let runner = runner(name);
    let trips: Vec<(bool, Option<String>)> = cases.iter().map(|case| round_trip(&runner, case)).collect();
    println!("{} configurations there and back", trips.iter().filter(|(taken, _)| *taken).count());
    let lost: Vec<String> = trips.into_iter().filter_map(|(_, lost)| lost).collect();
    assert!(lost.is_empty(), "{} are not the same:\n{}", lost.len(), lost.join("\n"));
}

#[test]
fn nothing_of_the_reference_is_lost() {
    there_and_back("convert-reference", &reference::cases());
}

#[test]
fn nothing_of_constructs_is_lost() {
    let cases = cases::all();
    there_and_back("convert-constructs", &cases[..cases.len() / 2]);
}

#[test]
fn nothing_of_further_constructs_is_lost() {
    let cases = cases::all();
    there_and_back("convert-further", &cases[cases.len() / 2..]);
}

/// What stock xl has no words for yet.
#[test]
fn nothing_of_later_keys_is_lost() {
    let keys = [
        (Guest::Hvm, "smbios=[\"oem=a=b\",\"bios_vendor=v\"]\nhvm_pirq=1\nxen_platform_pci_bar_uc=0\n"),
        (Guest::Pv, "xenstore_quota=[\"nodes=1000\"]\nxenstore_feature_mask=0\nbootloader_restrict=1\n"),
        (Guest::Pvh, "altp2m_count=3\nbootloader_user=\"u\"\nvif=[\"vlan=7\",\"\"]\n"),
        (Guest::Pv, "sve=128\nnr_spis=0x40\ntrap_unmapped_accesses=1\narm_sci=\"type=scmi_smc\"\n"),
        (Guest::Pv, "llc_colors=[\"0-3\",\"7\"]\nvirtio=[\"type=virtio,device22,grant_usage=1\",\"type=x\"]\n"),
        (Guest::Pv, "virtio=[\"type=virtio,  grant_usage=0,, backend=d\"]\ntee=\"FFA\"\n"),
        (Guest::Pv, "disk=[\"/a,raw,xvda,specification=virtio,grant_usage=1\",\"grant_usage,raw,xvdb\"]\n"),
        (Guest::Pv, "disk=[\"grant_usage=0,vdev=xvda,discard,target=/a\"]\n"),
        (
            Guest::Pvh,
            "p9=[\"type=xen_9pfsd,security_model=none,max-space=7,max-files=8,max-open-files=9,auto-delete=1\"]\n",
        ),
        (Guest::Pvh, "p9=[\"type=QEMU,tag=t,path=/p,security_model=none\"]\n"),
    ];
    let case = |(n, (guest, lines)): (usize, &(Guest, &str))| Case {
        name: format!("later-{n}"),
        text: format!("{}{lines}", guest.base()),
    };
    there_and_back("convert-later", &keys.iter().enumerate().map(case).collect::<Vec<_>>());
}

#[test]
fn nothing_of_combinations_is_lost() {
    there_and_back("convert-combinations", &combine::cases(1, 100));
}
