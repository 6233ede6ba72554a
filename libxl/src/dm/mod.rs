//! The device model: QEMU. It serves disks and other devices of PV and PVH guests from this domain.
//!
//! `arguments.rs` says how it is called, `starting.rs` runs it and waits until it is ready, `running.rs` finds and ends
//! it; in a driver domain `backends.rs` keeps those that are needed. `qmp.rs` speaks with one, `display.rs` of its VNC
//! server, and `hvm.rs` stops that of an HVM guest and takes its state. [`destroy`] ends the one of a guest.
//!
//! [`destroy`]: crate::domain::destroy

mod arguments;
mod backends;
mod display;
pub(crate) mod hvm;
mod qmp;
pub(crate) mod running;
mod starting;

pub(crate) use backends::Backends;

use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::{
    ChannelEnd, ChannelSocket, DeviceChannel, DeviceModelVersion, DiskBackend, DomainConfig, DomainType, UsbctrlType,
    VkbBackend,
};
use crate::xenstore::{Store, schema};
use libxc::DomId;
use nix::unistd::Pid;
use starting::{Launch, Starting};
use std::path::{Path, PathBuf};

/// What QEMU keeps of a guest's console output that nobody reads, in bytes (XSA-180).
const CONSOLE_LIMIT: (&str, &str) = ("XEN_QEMU_CONSOLE_LIMIT", "1048576");

/// Whether a guest has a QEMU: an HVM guest always, a PV or PVH guest if it has a device that QEMU serves here
/// (`libxl__need_xenpv_qemu`).
pub(crate) fn is_needed(ctx: &Ctx, config: &DomainConfig) -> bool {
    let here = u32::from(ctx.domid.0);
    config.c_info.type_ == DomainType::Hvm
        || config.disks.iter().any(|disk| disk.backend == DiskBackend::Qdisk && disk.backend_domid == here)
        || config.vkbs.iter().any(|vkb| vkb.backend_type == VkbBackend::Qemu && vkb.backend_domid == here)
        || config.p9s.iter().any(|p9| p9.backend_domid == here)
        || config.usbctrls.iter().any(|ctrl| ctrl.type_ == UsbctrlType::Qusb && ctrl.backend_domid == here)
        || config.vfbs.iter().any(|vfb| vfb.backend_domid == here)
        || config.channels.iter().any(|channel| channel.backend_domid == here)
}

/// Refuses a guest whose QEMU could not be started, before it exists.
pub(crate) fn check(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    if !is_needed(ctx, config) {
        return Ok(());
    }
    check_kinds(ctx, config)?;
    let qemu = program(ctx, config);
    let found = nix::unistd::access(&qemu, nix::unistd::AccessFlags::X_OK);
    found.map_err(|e| {
        let (qemu, why) = (qemu.display(), e.desc());
        Error::fail(format!("QEMU, which serves its devices, cannot be run: {qemu}: {why} (device_model_override=)"))
    })
}

/// Refuses what no QEMU of this toolstack would do for the guest.
pub(crate) fn check_kinds(ctx: &Ctx, config: &DomainConfig) -> Result<()> {
    if !is_needed(ctx, config) {
        return Ok(());
    }
    let b_info = &config.b_info;
    let traditional = b_info.device_model_version == DeviceModelVersion::QemuXenTraditional;
    let asked = [
        (b_info.dm_restrict.is_true(), "dm_restrict=1"),
        (traditional, "device_model_version=\"qemu-xen-traditional\""),
        (b_info.device_model_user.is_some(), "device_model_user="),
    ];
    if let Some((_, key)) = asked.iter().find(|(asked, _)| *asked) {
        let text = format!("{key} is not supported yet for a guest with devices that QEMU serves");
        return Err(Error::new(ErrorKind::NotImplemented, text));
    }
    display::check(config)?;
    config.channels.iter().try_for_each(check_channel)
}

/// Whether QEMU could make the socket that a channel ends at.
fn check_channel(channel: &DeviceChannel) -> Result<()> {
    let ChannelEnd::Socket(ChannelSocket { path: Some(path) }) = &channel.connection else { return Ok(()) };
    match Path::new(path).parent() {
        Some(directory) if path.starts_with('/') && directory.is_dir() => Ok(()),
        _ => {
            let name = channel.name.as_deref().unwrap_or_default();
            Err(Error::invalid(format!("channel {name}: {path} is no path in a directory that exists (path=)")))
        }
    }
}

/// Starts the guest's QEMU and returns when it has connected to the devices that the guest has. It takes over from the one
/// whose state was `received`.
///
/// # Errors
/// That QEMU could not be started or did not get ready, with the last words of its log.
pub(crate) fn start(ctx: &Ctx, config: &DomainConfig, domid: DomId, received: Option<hvm::Received>) -> Result<()> {
    let state = received.map(|received| received.hand_over(ctx, domid)).transpose().context("device model (QEMU)")?;
    let launch = Launch {
        program: program(ctx, config),
        arguments: arguments::of_guest(config, domid, &ctx.paths.run),
        environment: arguments::environment(config),
        log: log_name(config),
        directory: schema::device_model(ctx.domid, domid),
        pid_node: pid_node(domid),
        state,
    };
    let started = display::announce(ctx, config, domid)
        .and_then(|()| Starting::new(ctx, &launch))
        .and_then(|qemu| qemu.wait(ctx))
        .and_then(|()| display::settle(ctx, config, domid).map_err(|error| explain(ctx, config, error)));
    started.context("device model (QEMU)")
}

/// An error of what the guest's QEMU was to do, with what QEMU said last.
pub(crate) fn explain(ctx: &Ctx, config: &DomainConfig, error: Error) -> Error {
    let log = ctx.paths.log.join(format!("{}.log", log_name(config)));
    match starting::last_line(&log) {
        Some(line) => Error::new(error.kind(), format!("{error}; {line} (log: {})", log.display())),
        None => error,
    }
}

/// Refuses a device for a guest whose QEMU does not run: it is started with the guest, if the guest needs it then.
pub(crate) fn check_running(ctx: &Ctx, domid: DomId) -> Result<()> {
    if ctx.xs()?.exists(&pid_node(domid))? {
        return Ok(());
    }
    Err(Error::fail(
        "QEMU would serve it, and does not run for this guest: it is started with a guest that has such a device",
    ))
}

fn log_name(config: &DomainConfig) -> String {
    format!("qemu-dm-{}", config.c_info.name.as_deref().unwrap_or_default())
}

/// The guest's QEMU, if it runs.
pub(crate) fn process(ctx: &Ctx, domid: DomId) -> Result<Option<Pid>> {
    let written = ctx.xs()?.read_optional(&pid_node(domid))?;
    Ok(written.and_then(|pid| running::find(&pid, domid)))
}

/// Where the process number of the guest's QEMU stands.
pub(crate) fn pid_node(domid: DomId) -> String {
    format!("{}/image/device-model-pid", schema::domain(domid))
}

fn program(ctx: &Ctx, config: &DomainConfig) -> PathBuf {
    config.b_info.device_model.as_deref().map_or_else(|| ctx.paths.qemu.clone(), |path| Path::new(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use crate::types::{DeviceDisk, DeviceVfb, DeviceVkb};

    #[test]
    fn devices_that_qemu_serves_here() {
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
        let disk = |backend, backend_domid| DeviceDisk { backend, backend_domid, ..Default::default() };
        let with = |disk| DomainConfig { disks: vec![disk], ..Default::default() };
        assert!(!is_needed(&ctx, &with(disk(DiskBackend::Phy, 0))));
        assert!(!is_needed(&ctx, &with(disk(DiskBackend::Qdisk, 3))));
        assert!(is_needed(&ctx, &with(disk(DiskBackend::Qdisk, 0))));
        let vkb = |backend_type| DomainConfig {
            vkbs: vec![DeviceVkb { backend_type, ..Default::default() }],
            ..Default::default()
        };
        assert!(is_needed(&ctx, &vkb(VkbBackend::Qemu)));
        assert!(!is_needed(&ctx, &vkb(VkbBackend::Linux)));
        assert!(is_needed(&ctx, &DomainConfig { vfbs: vec![DeviceVfb::default()], ..Default::default() }));
        let channel = |backend_domid| DomainConfig {
            channels: vec![DeviceChannel { backend_domid, ..Default::default() }],
            ..Default::default()
        };
        assert!(is_needed(&ctx, &channel(0)));
        assert!(!is_needed(&ctx, &channel(3)));
    }

    #[test]
    fn what_no_qemu_does_is_refused_where_there_is_one() {
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
        let mut config = DomainConfig::default();
        config.b_info.device_model_version = DeviceModelVersion::QemuXenTraditional;
        check_kinds(&ctx, &config).unwrap();
        config.vfbs = vec![DeviceVfb::default()];
        let error = || check_kinds(&ctx, &config).unwrap_err().to_string();
        assert!(error().starts_with("device_model_version=\"qemu-xen-traditional\" is not supported yet for"));
        config.b_info.dm_restrict = true.into();
        assert!(check_kinds(&ctx, &config).unwrap_err().to_string().starts_with("dm_restrict=1 is not supported yet"));
    }

    #[test]
    fn a_channel_needs_a_place_for_its_socket() {
        let to = |path: &str| DeviceChannel {
            name: Some("agent".into()),
            connection: ChannelEnd::Socket(ChannelSocket { path: Some(path.into()) }),
            ..Default::default()
        };
        check_channel(&to("/tmp/socket")).unwrap();
        for path in ["/nonexistent/socket", "socket", "", "/"] {
            let error = check_channel(&to(path)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("channel agent: {path} is no path")), "{error}");
        }
    }

    #[test]
    fn an_error_has_the_last_words_of_qemu() {
        let dir = tempfile::tempdir().unwrap();
        let (_fake, ctx) = starting::tests::host(dir.path());
        let mut config = DomainConfig::default();
        config.c_info.name = Some("web".into());
        let error = || Error::fail("disk xvda: not ready");
        assert_eq!(explain(&ctx, &config, error()).to_string(), "disk xvda: not ready");
        std::fs::write(ctx.paths.log.join("qemu-dm-web.log"), "qemu: no qcow2\n").unwrap();
        let told = explain(&ctx, &config, error()).to_string();
        assert!(told.starts_with("disk xvda: not ready; qemu: no qcow2 (log: /"), "{told}");
    }

    #[test]
    fn a_missing_qemu_is_told_before_the_guest_exists() {
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
        let mut config = DomainConfig::default();
        config.b_info.device_model = Some("/nonexistent/qemu".into());
        check(&ctx, &config).unwrap();
        config.disks = vec![DeviceDisk { backend: DiskBackend::Qdisk, ..Default::default() }];
        let error = check(&ctx, &config).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/qemu: No such file or directory"), "{error}");
    }
}
