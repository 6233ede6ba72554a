//! Network interfaces: the backend's end becomes a port of a bridge.

use super::super::Device;
use super::super::hotplug::Action;
use crate::ctx::Ctx;
use crate::error::{Error, Result, ResultExt};
use crate::host::interface::Interface;
use crate::xenstore::{Batch, Store};
use std::fs;
use std::path::Path;

const INTERFACES: &str = "/sys/class/net";
/// Whether bridged packets pass the host's packet filter; there is none without the module `br_netfilter`.
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// What the rules of the scripts match by: as long as one is there, so is this, unless it is built into the kernel.
const MATCH_OF_RULES: &str = "/sys/module/xt_physdev";
/// The highest address that is no broadcast: no bridge takes it for its own.
const PORT_ADDRESS: [u8; 6] = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff];

/// What the configuration says of an interface.
#[derive(Debug, Default)]
struct Settings {
    kind: String,
    bridge: String,
    name: Option<String>,
    addresses: Option<String>,
    mtu: Option<i32>,
    frontend: String,
}

impl Settings {
    fn read(ctx: &Ctx, device: &Device) -> Result<Settings> {
        let backend = device.backend_path();
        let nodes = ["type", "bridge", "vifname", "ip", "mtu", "frontend"].map(|node| format!("{backend}/{node}"));
        let [kind, bridge, name, addresses, mtu, frontend] =
            <[_; 6]>::try_from(ctx.xs()?.read_many(nodes)?).unwrap_or_default();
        Ok(Settings {
            kind: kind.unwrap_or_default(),
            bridge: bridge.unwrap_or_default(),
            name: name.filter(|name| !name.is_empty()),
            addresses: addresses.filter(|addresses| !addresses.is_empty()),
            mtu: mtu.and_then(|mtu| mtu.parse().ok()).filter(|mtu| *mtu > 0),
            frontend: frontend.unwrap_or_default(),
        })
    }

    /// Packet filters, emulated interfaces, choosing a bridge and an operator's hooks are the script's.
    fn needs_script(&self, script: &Path, filter: bool) -> bool {
        self.kind != "vif" || self.bridge.is_empty() || self.addresses.is_some() || filter || has_hooks(script)
    }
}

/// Whether the packet filter has to be seen to: there is one, or a rule is left of a time when there was.
fn has_filter(action: Action) -> bool {
    let is_used = fs::read_to_string(BRIDGE_FILTER).is_ok_and(|value| value.trim() == "1");
    is_used || (action == Action::Remove && Path::new(MATCH_OF_RULES).exists())
}

fn has_hooks(script: &Path) -> bool {
    let hooks = script.with_file_name("vif-post.d");
    let is_hook = |entry: fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "hook");
    fs::read_dir(hooks).is_ok_and(|entries| entries.flatten().any(is_hook))
}

/// Connects or disconnects; false if that needs the script.
pub(super) fn connect(ctx: &Ctx, device: &Device, script: &Path, action: Action) -> Result<bool> {
    let settings = Settings::read(ctx, device)?;
    if settings.needs_script(script, has_filter(action)) {
        return Ok(false);
    }
    match action {
        Action::Add => add(ctx, device, &settings)?,
        Action::Remove => remove(device, &settings)?,
    }
    Ok(true)
}

fn add(ctx: &Ctx, device: &Device, settings: &Settings) -> Result<()> {
    let name = first_name(device);
    let bridge = bridge_named(&settings.bridge)?;
    let mtu = settings.mtu.map_or_else(|| bridge.mtu().context("MTU of the bridge"), Ok)?;
    let mut port = Interface::named(&name)?;
    port.set_down().with_context(|| name.clone())?;
    if let Some(wanted) = &settings.name {
        port = port.rename(wanted).with_context(|| format!("calling {name} {wanted} (vifname=)"))?;
    }
    port.set_address(PORT_ADDRESS).with_context(|| format!("{name}: setting its address"))?;
    if let Err(error) = port.set_mtu(mtu) {
        tracing::warn!("{name} cannot have an MTU of {mtu}: {error}");
    }
    bridge.add_port(&port).with_context(|| format!("joining {name} to bridge {}", settings.bridge))?;
    port.set_up().with_context(|| format!("{name}: putting it into use"))?;
    let backend = device.backend_path();
    ctx.xs()?.run_atomic(|batch: &mut Batch| {
        // What was removed meanwhile must not come back.
        batch.read(&format!("{backend}/frontend")).read(&format!("{}/backend", settings.frontend));
        batch.write(&format!("{}/mtu", settings.frontend), mtu.to_string());
        batch.write(&format!("{backend}/hotplug-status"), "connected");
    })
}

/// A host whose bridge is called ethN also knows it as xenbrN.
fn bridge_named(name: &str) -> Result<Interface> {
    let exists = |name: &str| Path::new(INTERFACES).join(name).join("bridge").exists();
    let alias = name.strip_prefix("xenbr").map(|number| format!("eth{number}"));
    match alias {
        _ if exists(name) => Ok(Interface::named(name)?),
        Some(alias) if exists(&alias) => Ok(Interface::named(&alias)?),
        _ => Err(Error::fail(format!("bridge \"{name}\" does not exist"))),
    }
}

/// What the backend's driver calls the interface.
fn first_name(device: &Device) -> String {
    format!("vif{}.{}", device.domid, device.devid)
}

/// What the interface is called. The name of `vifname=` may be another guest's, where it could not be given.
fn name_now(device: &Device, settings: &Settings, interfaces: &Path) -> String {
    let of_driver = format!("vif-{}-{}", device.domid, device.devid);
    let is_its = |name: &String| {
        let link = fs::read_link(interfaces.join(name).join("device"));
        link.is_ok_and(|link| link.file_name().is_some_and(|end| end == of_driver.as_str()))
    };
    settings.name.clone().filter(is_its).unwrap_or_else(|| first_name(device))
}

/// The backend's driver removes the interface, from its bridge too; until then it shall not be used.
fn remove(device: &Device, settings: &Settings) -> Result<()> {
    let name = name_now(device, settings, Path::new(INTERFACES));
    match Interface::named(&name)?.set_down() {
        Err(e) if e.raw_os_error() != Some(libc::ENODEV) => Err(e).context(name),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceKind;
    use libxc::DomId;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_only_the_script_can_do() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("vif-bridge");
        let plain = || Settings { kind: "vif".into(), bridge: "br0".into(), ..Default::default() };
        assert!(Settings { addresses: Some("10.0.0.1".into()), ..plain() }.needs_script(&script, false));
        assert!(Settings { kind: "vif_ioemu".into(), ..plain() }.needs_script(&script, false));
        assert!(Settings { bridge: String::new(), ..plain() }.needs_script(&script, false));
        assert!(!has_hooks(&script));
        assert!(!plain().needs_script(&script, false) && plain().needs_script(&script, true));
        fs::create_dir(dir.path().join("vif-post.d")).unwrap();
        fs::write(dir.path().join("vif-post.d/readme"), "").unwrap();
        assert!(!has_hooks(&script));
        fs::write(dir.path().join("vif-post.d/10-mine.hook"), "").unwrap();
        assert!(has_hooks(&script) && plain().needs_script(&script, false));
    }

    #[test]
    fn another_guests_interface_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("web0")).unwrap();
        symlink("../../../vif-3-0", dir.path().join("web0/device")).unwrap();
        let settings = Settings { name: Some("web0".into()), ..Default::default() };
        let kind = DeviceKind::Vif;
        let name = |domid, devid| {
            let device = Device { domid: DomId(domid), kind, devid, backend_domid: DomId(0), backend_kind: kind };
            name_now(&device, &settings, dir.path())
        };
        assert_eq!(name(3, 0), "web0");
        assert_eq!((name(30, 0), name(3, 1)), ("vif30.0".into(), "vif3.1".into()));
        fs::remove_file(dir.path().join("web0/device")).unwrap();
        assert_eq!(name(3, 0), "vif3.0");
    }

    #[test]
    fn a_bridge_that_is_not_there() {
        assert_eq!(bridge_named("xenbr77").unwrap_err().to_string(), "bridge \"xenbr77\" does not exist");
    }
}
