//! How QEMU is called.

use crate::types::DomainConfig;
use libxc::DomId;
use std::path::Path;

/// The QEMU of a PV or PVH guest, whose devices it finds in xenstore. `run` is where its sockets are.
pub(super) fn of_guest(config: &DomainConfig, domid: DomId, run: &Path) -> Vec<String> {
    let b_info = &config.b_info;
    let monitor = |id: &str, socket: &str| {
        let path = run.join(format!("{socket}-{domid}"));
        ["-chardev".into(), format!("socket,id={id},path={},server=on,wait=off", path.display())]
            .into_iter()
            .chain(["-mon".into(), format!("chardev={id},mode=control")])
    };
    let mut arguments = strings(["-xen-domid", &domid.to_string(), "-no-shutdown"]);
    arguments.extend(monitor("libxl-cmd", "qmp-libxl"));
    arguments.extend(monitor("libxenstat-cmd", "qmp-libxenstat"));
    // Only what Xen's configuration says, and no files that QEMU would read by itself.
    arguments.extend(strings(["-nodefaults", "-no-user-config", "-xen-attach"]));
    if let Some(name) = &config.c_info.name {
        arguments.extend(strings(["-name", name]));
    }
    arguments.extend(strings(["-vnc", "none", "-display", "none", "-nographic"]));
    arguments.extend_from_slice(&b_info.extra);
    arguments.extend(strings(["-machine", "xenpv"]));
    arguments.extend_from_slice(&b_info.extra_pv);
    arguments.extend(["-m".into(), memory_mib(config).to_string()]);
    arguments
}

/// The QEMU of a driver domain that opens images for a guest.
pub(super) fn of_backends(guest: DomId) -> Vec<String> {
    let (domid, name) = (guest.to_string(), format!("domain-{guest}"));
    let null = "/dev/null";
    let mut arguments = strings(["-xen-domid", &domid, "-xen-attach", "-name", &name, "-nographic", "-M", "xenpv"]);
    arguments.extend(strings(["-monitor", null, "-serial", null, "-parallel", null]));
    arguments
}

/// The guest's memory without that of its graphics card, rounded up.
fn memory_mib(config: &DomainConfig) -> u64 {
    let b_info = &config.b_info;
    b_info.max_memkb.unwrap_or_default().saturating_sub(b_info.video_memkb.unwrap_or_default()).div_ceil(1024)
}

fn strings<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_stock_xl_calls_it() {
        let mut config = DomainConfig::default();
        config.c_info.name = Some("web".into());
        config.b_info.max_memkb = Some(144 * 1024 - 1);
        config.b_info.extra = vec!["-d".into()];
        config.b_info.extra_pv = vec!["-D".into(), "/log".into()];
        let expected = "-xen-domid 3 -no-shutdown \
            -chardev socket,id=libxl-cmd,path=/run/xen/qmp-libxl-3,server=on,wait=off -mon chardev=libxl-cmd,mode=control \
            -chardev socket,id=libxenstat-cmd,path=/run/xen/qmp-libxenstat-3,server=on,wait=off \
            -mon chardev=libxenstat-cmd,mode=control -nodefaults -no-user-config -xen-attach -name web -vnc none \
            -display none -nographic -d -machine xenpv -D /log -m 144";
        assert_eq!(of_guest(&config, DomId(3), Path::new("/run/xen")).join(" "), expected);
        let expected = "-xen-domid 3 -xen-attach -name domain-3 -nographic -M xenpv -monitor /dev/null \
            -serial /dev/null -parallel /dev/null";
        assert_eq!(of_backends(DomId(3)).join(" "), expected);
    }
}
