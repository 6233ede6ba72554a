//! The host's USB devices on controllers that its kernel serves: usbback gets each interface of such a device, which goes
//! back to its own driver when the device is detached.
//!
//! Which driver an interface had stands in xenstore below `/libxl/usbback`, where stock libxl writes it and looks for it.

use super::attach::noting;
use crate::ctx::Ctx;
use crate::error::{Result, ResultExt};
use crate::host::usb;
use crate::xenstore::{Store, Xs};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where it stands which drivers interfaces had.
const DRIVERS: &str = "/libxl/usbback";

/// A part of a device with a driver of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    /// Its name, `3-1.2:1.0`.
    name: String,
    /// The directory of the driver that has it.
    driver: Option<PathBuf>,
    /// Whether that is usbback.
    is_given: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Writes down which driver an interface has.
    Remember { node: String, driver: PathBuf },
    /// Takes an interface from its driver.
    Unbind { interface: String, driver: PathBuf },
    /// Gives an interface to a driver.
    Bind { interface: String, driver: PathBuf },
}

/// Gives all interfaces of a device to usbback. `bus` is [`usb::BUS`].
///
/// # Errors
/// What Linux says against it. The interfaces are with their own drivers again then, as far as these take them.
pub(super) fn give(ctx: &Ctx, bus: &Path, device: &str) -> Result<()> {
    let steps = giving(device, &interfaces(bus, device)?, &usb::usbback(bus));
    let given = steps.iter().try_for_each(|step| step.perform(ctx));
    given.map_err(|error| noting(error, take(ctx, bus, device).and_then(|()| give_back(ctx, bus, device))))
}

/// Takes from usbback the interfaces of a device that it has. They have no driver then, until [`give_back`].
///
/// # Errors
/// What Linux says against it. The rest is still usbback's then, and it can be tried again.
pub(super) fn take(ctx: &Ctx, bus: &Path, device: &str) -> Result<()> {
    taking(&interfaces(bus, device)?).iter().try_for_each(|step| step.perform(ctx))
}

/// Gives the interfaces of a device to the drivers that they had, and forgets which these were.
///
/// # Errors
/// The first driver that does not take its interface; the others are tried all the same.
pub(super) fn give_back(ctx: &Ctx, bus: &Path, device: &str) -> Result<()> {
    let interfaces = interfaces(bus, device)?;
    let drivers = ctx.xs()?.read_many(interfaces.iter().map(|interface| node(device, &interface.name)))?;
    let mut first = Ok(());
    for step in giving_back(&interfaces, drivers) {
        first = first.and(step.perform(ctx));
    }
    ctx.xs()?.remove(&directory(device))?;
    first
}

/// What has to be done so that usbback has a device. A driver is written down before it loses its interface.
fn giving(device: &str, interfaces: &[Interface], usbback: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    for Interface { name, driver, is_given } in interfaces {
        if *is_given {
            continue;
        }
        if let Some(driver) = driver {
            steps.push(Step::Remember { node: node(device, name), driver: driver.clone() });
            steps.push(Step::Unbind { interface: name.clone(), driver: driver.clone() });
        }
        steps.push(Step::Bind { interface: name.clone(), driver: usbback.into() });
    }
    steps
}

fn taking(interfaces: &[Interface]) -> Vec<Step> {
    let given = interfaces.iter().filter(|interface| interface.is_given);
    let unbind = |interface: &Interface| {
        Some(Step::Unbind { interface: interface.name.clone(), driver: interface.driver.clone()? })
    };
    given.filter_map(unbind).collect()
}

/// `drivers` are those that the interfaces had, if any. One that has a driver now is left to it: another device may have come in
/// the place of the one that was given away.
fn giving_back(interfaces: &[Interface], drivers: Vec<Option<String>>) -> Vec<Step> {
    let bind = |(interface, driver): (&Interface, Option<String>)| {
        Some(Step::Bind { interface: interface.name.clone(), driver: driver?.into() })
    };
    let free = interfaces.iter().zip(drivers).filter(|(interface, _)| interface.driver.is_none());
    free.filter_map(bind).collect()
}

impl Step {
    fn perform(&self, ctx: &Ctx) -> Result<()> {
        let name = |driver: &Path| driver.file_name().unwrap_or_default().display().to_string();
        match self {
            Step::Remember { node, driver } => Ok(ctx.xs()?.write(node, &driver.display().to_string())?),
            Step::Unbind { interface, driver } => write(&driver.join("unbind"), interface)
                .with_context(|| format!("taking USB interface {interface} from {}", name(driver))),
            // It may be there already.
            Step::Bind { interface, driver } if driver.join(interface).symlink_metadata().is_ok() => Ok(()),
            Step::Bind { interface, driver } => write(&driver.join("bind"), interface)
                .with_context(|| format!("giving USB interface {interface} to {}", name(driver))),
        }
    }
}

/// Linux takes the whole name in one write, and does what it stands for before that returns.
fn write(path: &Path, interface: &str) -> Result<()> {
    let written = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(interface.as_bytes()));
    written.with_context(|| path.display().to_string())
}

/// The interfaces of a device, by name. None if it has been unplugged.
fn interfaces(bus: &Path, device: &str) -> Result<Vec<Interface>> {
    let (devices, usbback) = (bus.join("devices"), usb::usbback(bus));
    let entries = fs::read_dir(&devices).with_context(|| devices.display().to_string())?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_part = |name: &String| name.strip_prefix(device).is_some_and(|rest| rest.starts_with(':'));
    let mut names: Vec<String> = names.filter(is_part).collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let driver = devices.join(&name).join("driver");
            let driver = match fs::canonicalize(&driver) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                found => Some(found.with_context(|| driver.display().to_string())?),
            };
            Ok(Interface { is_given: usbback.join(&name).symlink_metadata().is_ok(), name, driver })
        })
        .collect()
}

/// Where the drivers stand that the interfaces of a device had.
fn directory(device: &str) -> String {
    format!("{DRIVERS}/{}", encoded(device))
}

fn node(device: &str, interface: &str) -> String {
    format!("{}/{}/driver_path", directory(device), encoded(interface))
}

/// A name as xenstore takes it for a node.
fn encoded(name: &str) -> String {
    name.replace('.', "_").replace(':', "@")
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::host;
    use super::*;
    use std::os::unix::fs::symlink;

    /// A bus with these interfaces of device 1-2.3, each with its driver if it has one. A driver's directory has files that
    /// keep what was last written to them: here nothing is bound or unbound.
    fn bus(interfaces: &[(&str, Option<&str>)]) -> tempfile::TempDir {
        let bus = tempfile::tempdir().unwrap();
        let path = |name: &str| bus.path().join(name);
        for driver in ["usbback", "usbhid", "audio"] {
            fs::create_dir_all(path("drivers").join(driver)).unwrap();
            for file in ["bind", "unbind"] {
                fs::write(path("drivers").join(driver).join(file), "").unwrap();
            }
        }
        fs::create_dir_all(path("devices/1-2.3")).unwrap();
        fs::create_dir_all(path("devices/1-2.31:1.0")).unwrap();
        for (name, driver) in interfaces {
            let device = path("devices").join(name);
            fs::create_dir_all(&device).unwrap();
            if let Some(driver) = driver {
                symlink(path("drivers").join(driver), device.join("driver")).unwrap();
                symlink(&device, path("drivers").join(driver).join(name)).unwrap();
            }
        }
        bus
    }

    fn written(bus: &tempfile::TempDir, file: &str) -> String {
        fs::read_to_string(bus.path().join("drivers").join(file)).unwrap()
    }

    /// What happens to the interfaces, `NAME<DRIVER` and `NAME>DRIVER`.
    fn told(steps: &[Step]) -> Vec<String> {
        let name = |driver: &Path| driver.file_name().unwrap().to_str().unwrap().to_owned();
        let tell = |step: &Step| match step {
            Step::Remember { node, driver } => format!("{node}={}", name(driver)),
            Step::Unbind { interface, driver } => format!("{interface}<{}", name(driver)),
            Step::Bind { interface, driver } => format!("{interface}>{}", name(driver)),
        };
        steps.iter().map(tell).collect()
    }

    #[test]
    fn each_interface_goes_and_comes_back() {
        let bus = bus(&[("1-2.3:1.1", Some("audio")), ("1-2.3:1.0", Some("usbhid")), ("1-2.3:1.2", None)]);
        let found = interfaces(bus.path(), "1-2.3").unwrap();
        let steps = giving("1-2.3", &found, &usb::usbback(bus.path()));
        let expected = [
            "/libxl/usbback/1-2_3/1-2_3@1_0/driver_path=usbhid",
            "1-2.3:1.0<usbhid",
            "1-2.3:1.0>usbback",
            "/libxl/usbback/1-2_3/1-2_3@1_1/driver_path=audio",
            "1-2.3:1.1<audio",
            "1-2.3:1.1>usbback",
            "1-2.3:1.2>usbback",
        ];
        assert_eq!(told(&steps), expected);
        assert!(taking(&found).is_empty(), "usbback has none of them");
        let drivers = vec![Some("/d/usbhid".into()), Some("/d/audio".into()), None];
        assert!(giving_back(&found, drivers.clone()).is_empty(), "they have drivers");
        let free: Vec<_> = found.into_iter().map(|interface| Interface { driver: None, ..interface }).collect();
        assert_eq!(told(&giving_back(&free, drivers)), ["1-2.3:1.0>usbhid", "1-2.3:1.1>audio"]);
    }

    #[test]
    fn what_usbback_has_is_left_there_and_taken_from_it() {
        let bus = bus(&[("1-2.3:1.0", Some("usbback")), ("1-2.3:1.1", Some("usbhid"))]);
        let found = interfaces(bus.path(), "1-2.3").unwrap();
        let steps = giving("1-2.3", &found, &usb::usbback(bus.path()));
        assert_eq!(told(&steps)[1..], ["1-2.3:1.1<usbhid", "1-2.3:1.1>usbback"]);
        assert_eq!(told(&taking(&found)), ["1-2.3:1.0<usbback"]);
    }

    #[test]
    fn names_are_written_to_linux_and_drivers_to_xenstore() {
        let (fake, ctx) = host(&[]);
        let bus = bus(&[("1-2.3:1.0", Some("usbhid"))]);
        give(&ctx, bus.path(), "1-2.3").unwrap();
        assert_eq!(
            (written(&bus, "usbhid/unbind"), written(&bus, "usbback/bind")),
            ("1-2.3:1.0".into(), "1-2.3:1.0".into())
        );
        let remembered = fake.get("/libxl/usbback/1-2_3/1-2_3@1_0/driver_path").unwrap();
        let driver = fs::canonicalize(bus.path().join("drivers/usbhid")).unwrap();
        assert_eq!(String::from_utf8(remembered).unwrap(), driver.display().to_string());

        // As Linux would have done it.
        fs::remove_file(driver.join("1-2.3:1.0")).unwrap();
        let link = bus.path().join("devices/1-2.3:1.0/driver");
        fs::remove_file(&link).unwrap();
        symlink(bus.path().join("drivers/usbback"), &link).unwrap();
        symlink("/", bus.path().join("drivers/usbback/1-2.3:1.0")).unwrap();
        take(&ctx, bus.path(), "1-2.3").unwrap();
        fs::remove_file(&link).unwrap();
        assert_eq!(written(&bus, "usbback/unbind"), "1-2.3:1.0");
        assert_eq!(written(&bus, "usbhid/bind"), "", "not before it is unplugged");
        give_back(&ctx, bus.path(), "1-2.3").unwrap();
        assert_eq!(written(&bus, "usbhid/bind"), "1-2.3:1.0");
        assert_eq!(fake.get("/libxl/usbback/1-2_3"), None);
    }

    #[test]
    fn a_driver_that_refuses_is_told_and_the_others_are_asked() {
        let (fake, ctx) = host(&[]);
        let bus = bus(&[("1-2.3:1.0", None), ("1-2.3:1.1", None)]);
        let driver = |name| bus.path().join("drivers").join(name);
        for (interface, name) in [("1-2.3:1.0", "gone"), ("1-2.3:1.1", "audio")] {
            fake.set(&node("1-2.3", interface), driver(name).display().to_string().as_bytes());
        }
        let error = give_back(&ctx, bus.path(), "1-2.3").unwrap_err().to_string();
        assert!(error.starts_with("giving USB interface 1-2.3:1.0 to gone: "), "{error}");
        assert_eq!(written(&bus, "audio/bind"), "1-2.3:1.1");
        assert_eq!(fake.get("/libxl/usbback/1-2_3"), None);
    }

    #[test]
    fn what_usbback_does_not_take_goes_back() {
        let (fake, ctx) = host(&[]);
        let bus = bus(&[("1-2.3:1.0", Some("usbhid"))]);
        fs::remove_file(bus.path().join("drivers/usbback/bind")).unwrap();
        let error = give(&ctx, bus.path(), "1-2.3").unwrap_err().to_string();
        assert!(error.contains("drivers/usbback/bind: No such file"), "{error}");
        assert_eq!(fake.get("/libxl/usbback/1-2_3"), None);
        give(&ctx, bus.path(), "9-9").unwrap();
    }
}
