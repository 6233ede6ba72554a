//! The VNC server of a guest's framebuffer: its password goes to QEMU, its address into xenstore, for `xl vncviewer`.

use super::arguments;
use super::qmp::Qmp;
use crate::ctx::Ctx;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::types::{DomainConfig, VncInfo};
use crate::xenstore::{Batch, Store, schema};
use libxc::DomId;
use serde_json::{Value, json};

/// Refuses a VNC server with two displays.
pub(super) fn check(config: &DomainConfig) -> Result<()> {
    let Some(vnc) = arguments::vnc(config) else { return Ok(()) };
    let listen = vnc.listen.as_deref().unwrap_or_default();
    if vnc.display != 0 && listen.contains(':') {
        let both = format!("vfb: vncdisplay={} and vnclisten={listen}, which has a display too", vnc.display);
        return Err(Error::invalid(both));
    }
    Ok(())
}

/// Writes what is known before QEMU runs.
pub(super) fn announce(ctx: &Ctx, config: &DomainConfig, domid: DomId) -> Result<()> {
    let Some(password) = arguments::vnc(config).and_then(|vnc| vnc.passwd.as_deref()) else { return Ok(()) };
    let xs = ctx.xs()?;
    let Some(vm) = xs.read_optional(&format!("{}/vm", schema::domain(domid)))? else { return Ok(()) };
    xs.run_atomic(|batch: &mut Batch| _ = batch.write(&format!("{vm}/vncpasswd"), password))
}

/// Asks QEMU where it listens, and gives it the password: without one, nobody gets in.
pub(super) fn settle(ctx: &Ctx, config: &DomainConfig, domid: DomId) -> Result<()> {
    match arguments::vnc(config) {
        Some(vnc) => tell_each_other(ctx, &mut Qmp::connect(ctx, domid)?, vnc, domid),
        None => Ok(()),
    }
}

fn tell_each_other(ctx: &Ctx, qmp: &mut Qmp<'_>, vnc: &VncInfo, domid: DomId) -> Result<()> {
    let server = qmp.execute("query-vnc", Value::Null)?;
    let text = |key: &str| server.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut nodes = Vec::new();
    if server.get("enabled").and_then(Value::as_bool) == Some(true) {
        let odd = || Error::new(ErrorKind::QemuApi, format!("QMP query-vnc: no address in {server}"));
        let (host, port) = text("host").zip(text("service")).ok_or_else(odd)?;
        nodes.extend([("vnc-listen", host), ("vnc-port", port)]);
    }
    if let Some(password) = vnc.passwd.as_deref().filter(|password| !password.is_empty()) {
        qmp.execute("change-vnc-password", json!({ "password": password })).context("vncpasswd=")?;
        nodes.push(("vnc-pass", password.to_owned()));
    }
    let console = format!("{}/console", schema::domain(domid));
    ctx.xs()?.run_atomic(|batch: &mut Batch| {
        for (name, value) in &nodes {
            batch.write(&format!("{console}/{name}"), value);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::qmp::tests::qemu;
    use super::super::starting::tests::host;
    use super::*;
    use crate::types::DeviceVfb;

    fn guest(password: Option<&str>) -> DomainConfig {
        let mut vfb = DeviceVfb::default();
        vfb.vnc.enable = true.into();
        vfb.vnc.passwd = password.map(str::to_owned);
        DomainConfig { vfbs: vec![vfb], ..Default::default() }
    }

    #[test]
    fn where_it_listens_and_what_it_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let (fake, ctx) = host(dir.path());
        let server = r#"{"return": {"enabled": true, "host": "127.0.0.1", "service": "5907", "auth": "none"}}"#;
        let path = dir.path().join("qmp");
        let qemu = qemu(&path, [r#"{"return": {}}"#, server, r#"{"return": {}}"#]);
        let config = guest(Some("secret"));
        let mut qmp = Qmp::over(&ctx, &path, None).unwrap();
        tell_each_other(&ctx, &mut qmp, arguments::vnc(&config).unwrap(), DomId(3)).unwrap();
        for (name, value) in [("vnc-listen", "127.0.0.1"), ("vnc-port", "5907"), ("vnc-pass", "secret")] {
            let path = format!("/local/domain/3/console/{name}");
            assert_eq!(fake.get(&path).as_deref(), Some(value.as_bytes()), "{name}");
        }
        let asked = qemu.join().unwrap();
        assert_eq!(asked[2], json!({"execute": "change-vnc-password", "arguments": {"password": "secret"}}));
    }

    #[test]
    fn the_password_is_told_before_qemu_runs() {
        let dir = tempfile::tempdir().unwrap();
        let (fake, ctx) = host(dir.path());
        fake.set("/local/domain/3/vm", b"/vm/x");
        announce(&ctx, &guest(None), DomId(3)).unwrap();
        assert_eq!(fake.get("/vm/x/vncpasswd"), None);
        announce(&ctx, &guest(Some("secret")), DomId(3)).unwrap();
        assert_eq!(fake.get("/vm/x/vncpasswd").as_deref(), Some(&b"secret"[..]));
    }

    #[test]
    fn two_displays_are_one_too_many() {
        let mut config = guest(None);
        config.vfbs[0].vnc.listen = Some("0.0.0.0:3".into());
        check(&config).unwrap();
        config.vfbs[0].vnc.display = 1;
        assert!(check(&config).unwrap_err().to_string().contains("vncdisplay=1 and vnclisten=0.0.0.0:3"));
    }
}
