//! How QEMU is called.

use crate::types::{ChannelEnd, DeviceChannel, DomainConfig, SdlInfo, VncInfo};
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
    arguments.extend(config.channels.iter().filter_map(character_device).flatten());
    // Only what Xen's configuration says, and no files that QEMU would read by itself.
    arguments.extend(strings(["-nodefaults", "-no-user-config", "-xen-attach"]));
    if let Some(name) = &config.c_info.name {
        arguments.extend(strings(["-name", name]));
    }
    arguments.extend(["-vnc".into(), vnc(config).map_or_else(|| "none".into(), vnc_server)]);
    arguments.extend(strings(["-display", "none"]));
    if sdl(config).is_some() {
        arguments.extend(strings(["-display", "sdl"]));
    }
    if let Some(keymap) = config.vfbs.first().and_then(|vfb| vfb.keymap.as_deref()) {
        arguments.extend(strings(["-k", keymap]));
    }
    if vnc(config).is_none() && sdl(config).is_none() {
        arguments.push("-nographic".into());
    }
    arguments.extend_from_slice(&b_info.extra);
    arguments.extend(strings(["-machine", "xenpv"]));
    arguments.extend_from_slice(&b_info.extra_pv);
    arguments.extend(["-m".into(), memory_mib(config).to_string()]);
    arguments
}

/// The variables of its environment that say where its window is.
pub(super) fn environment(config: &DomainConfig) -> Vec<(&'static str, String)> {
    let sdl = sdl(config);
    let display = sdl.and_then(|sdl| Some(("DISPLAY", sdl.display.clone()?)));
    let xauthority = sdl.and_then(|sdl| Some(("XAUTHORITY", sdl.xauthority.clone()?)));
    display.into_iter().chain(xauthority).collect()
}

/// The VNC server of a PV or PVH guest: that of its first framebuffer.
pub(super) fn vnc(config: &DomainConfig) -> Option<&VncInfo> {
    config.vfbs.first().map(|vfb| &vfb.vnc).filter(|vnc| vnc.enable.is_true())
}

fn sdl(config: &DomainConfig) -> Option<&SdlInfo> {
    config.vfbs.first().map(|vfb| &vfb.sdl).filter(|sdl| sdl.enable.is_true())
}

/// Where a VNC server listens. An address may bring its display; that of several displays comes last.
fn vnc_server(vnc: &VncInfo) -> String {
    let listen = vnc.listen.as_deref().unwrap_or("127.0.0.1");
    let mut server = if listen.contains(':') { listen.to_owned() } else { format!("{listen}:{}", vnc.display) };
    if vnc.passwd.as_deref().is_some_and(|password| !password.is_empty()) {
        server.push_str(",password=on");
    }
    if vnc.findunused.is_true() {
        server.push_str(",to=99");
    }
    server
}

/// Where a channel ends here. Its console finds it by its name.
fn character_device(channel: &DeviceChannel) -> Option<[String; 2]> {
    let id = format!("id=libxl-channel{}", channel.devid?);
    let device = match &channel.connection {
        ChannelEnd::Pty => format!("pty,{id}"),
        // In QEMU's options a comma is written twice.
        ChannelEnd::Socket(socket) => {
            format!("socket,{id},path={},server=on,wait=off", socket.path.as_deref()?.replace(',', ",,"))
        }
        ChannelEnd::Unknown => return None,
    };
    Some(["-chardev".into(), device])
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
    use crate::types::{ChannelSocket, DeviceVfb};

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
    #[test]
    fn displays_and_channels() {
        let socket = ChannelEnd::Socket(ChannelSocket { path: Some("/run/a,b".into()) });
        let channel = |devid, connection| DeviceChannel { devid: Some(devid), connection, ..Default::default() };
        let mut vfb = DeviceVfb { keymap: Some("de".into()), ..Default::default() };
        vfb.vnc.enable = true.into();
        let config = |vfb: &DeviceVfb| DomainConfig {
            channels: vec![channel(0, ChannelEnd::Pty), channel(1, socket.clone())],
            vfbs: vec![vfb.clone()],
            ..Default::default()
        };
        let of = |vfb: &DeviceVfb| of_guest(&config(vfb), DomId(3), Path::new("/run/xen")).join(" ");
        let expected = "-chardev pty,id=libxl-channel0 \
            -chardev socket,id=libxl-channel1,path=/run/a,,b,server=on,wait=off -nodefaults";
        assert!(of(&vfb).contains(expected), "{}", of(&vfb));
        assert!(of(&vfb).contains("-vnc 127.0.0.1:0 -display none -k de -machine"), "{}", of(&vfb));

        vfb.vnc.listen = Some("0.0.0.0".into());
        vfb.vnc.display = 2;
        vfb.vnc.passwd = Some("secret".into());
        vfb.vnc.findunused = true.into();
        assert!(of(&vfb).contains("-vnc 0.0.0.0:2,password=on,to=99 -display"), "{}", of(&vfb));
        vfb.vnc.listen = Some("[::1]:4".into());
        vfb.vnc.passwd = Some(String::new());
        assert!(of(&vfb).contains("-vnc [::1]:4,to=99 "), "{}", of(&vfb));

        vfb.vnc.enable = false.into();
        assert!(of(&vfb).contains("-vnc none -display none -k de -nographic"), "{}", of(&vfb));
        assert_eq!(environment(&config(&vfb)), []);
        vfb.sdl.enable = true.into();
        vfb.sdl.display = Some(":1".into());
        assert!(of(&vfb).contains("-vnc none -display none -display sdl -k de -machine"), "{}", of(&vfb));
        assert_eq!(environment(&config(&vfb)), [("DISPLAY", ":1".to_owned())]);
    }
}
