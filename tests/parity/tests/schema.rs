//! The JSON Schema that `xl schema` prints, for editors: every example fits it, and what is wrong does not.

use boon::{Compiler, SchemaIndex, Schemas};
use parity::compare::runner;
use parity::runner::Runner;
use serde_json::Value;
use std::path::Path;

/// The schema as xl prints it, ready to check with.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn of(runner: &Runner) -> Schema {
        let (printed, messages) = runner.call_ours(&["schema"]).expect("xl runs");
        assert_eq!(printed.status, Some(0), "{messages}");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let schema = serde_json::from_str(&printed.output).expect("the schema is JSON");
        compiler.add_resource("guest.json", schema).expect("one schema");
        let index = compiler.compile("guest.json", &mut schemas).expect("a right schema");
        Schema { schemas, index }
    }

    /// What of a configuration in TOML does not fit.
    fn check(&self, text: &str) -> Result<(), String> {
        let document: Value = toml::from_str(text).map_err(|e| e.to_string())?;
        self.schemas.validate(&document, self.index).map_err(|e| format!("{e:#}"))
    }
}

/// Examples with a key that xl does not know, as people have them: the schema tells of it.
const WITH_UNKNOWN_KEYS: [(&str, &str); 3] =
    [("xen-tools-image-file.cfg", "dhcp"), ("network-driver-domain.cfg", "iommu"), ("windows-hvm.cfg", "vncconsole")];

fn files(directory: &Path, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path().to_string_lossy().into_owned());
    paths.filter(|path| path.ends_with(end)).collect()
}

#[test]
fn examples_fit() {
    let runner = runner("schema");
    let schema = Schema::of(&runner);
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let (toml, cfg) = (files(&guests, ".toml"), files(&guests, ".cfg"));
    assert!(toml.len() >= 3 && cfg.len() > 30, "{} {}", toml.len(), cfg.len());
    let mut misfits = Vec::new();
    for file in toml {
        let text = std::fs::read_to_string(&file).expect("the file can be read");
        misfits.extend(schema.check(&text).err().map(|e| format!("{file}: {e}")));
    }
    for file in
        cfg.into_iter().chain(files(&runner.stock.examples, ".hvm")).chain(files(&runner.stock.examples, "linux"))
    {
        let (converted, messages) = runner.call_ours(&["convert", &file]).expect("xl runs");
        assert_eq!(converted.status, Some(0), "{file}: {messages}");
        let misfit = schema.check(&converted.output).err();
        match WITH_UNKNOWN_KEYS.iter().find(|(name, _)| file.ends_with(name)) {
            Some((_, key)) => assert!(misfit.is_some_and(|e| e.contains(&format!("'{key}' not allowed")))),
            None => misfits.extend(misfit.map(|e| format!("{file}: {e}\n{}", converted.output))),
        }
    }
    assert!(misfits.is_empty(), "{} do not fit:\n{}", misfits.len(), misfits.join("\n"));
}

/// The configurations in TOML that the documentation shows.
#[test]
fn documented_examples_fit() {
    let schema = Schema::of(&runner("schema-documented"));
    let text = include_str!("../../../docs/configuration.md");
    let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let guests: Vec<&str> = blocks.filter(|block| block.starts_with("name")).collect();
    assert!(!guests.is_empty());
    for guest in guests {
        assert_eq!(schema.check(guest), Ok(()), "{guest}");
    }
}

#[test]
fn wrong_ones_do_not_fit() {
    let schema = Schema::of(&runner("schema-wrong"));
    let guest = "name = 'a'\nkernel = '/k'\n";
    assert_eq!(schema.check(guest), Ok(()));
    assert!(schema.check("kernel = '/k'\n").is_err(), "a guest without a name");
    for right in [
        "tee = 'ffa'",
        "p9 = [{ type = 'xen_9pfsd', security_model = 'none', max-files = 5, auto-delete = true }]",
        "disk = [{ target = '/a', vdev = 'xvda', specification = 'virtio', grant_usage = true, discard = false }]",
    ] {
        assert_eq!(schema.check(&format!("{guest}{right}\n")), Ok(()), "{right}");
    }
    for wrong in [
        "memroy = 512",
        "memory = 'much'",
        "memory = 1.5",
        "acpi = 2",
        "acpi = 'yes'",
        "type = 'xen'",
        "on_crash = 'ignore'",
        "kernel = ['/k']",
        "serial = [1]",
        "irqs = ['a', true]",
        "disk = '/dev/vg/a,raw,xvda,rw'",
        "disk = [{ target = '/a', vdev = 'xvda', format = 'iso' }]",
        "disk = [{ target = '/a', vdev = 'xvda', colour = 'red' }]",
        "disk = [{ target = '/a', vdev = 'xvda', discard = 'yes' }]",
        "vif = [{ mtu = '1500' }]",
        "vif = [1]",
        "vnuma = ['pnode=0']",
        "vsnd = [{ pcm = [{ stream = [{ type = 'x' }] }] }]",
        "vkb = [{ backend-type = 'usb' }]",
        "smbios = 'oem=a'",
        "tee = 'trusty'",
        "p9 = [{ type = 'nfs' }]",
        "p9 = [{ max-files = 'many' }]",
        "disk = [{ target = '/a', vdev = 'xvda', discard = 1 }]",
        "disk = [{ target = '/a', vdev = 'xvda', grant_usage = 'yes' }]",
    ] {
        assert!(schema.check(&format!("{guest}{wrong}\n")).is_err(), "{wrong}");
    }
}
