//! Configurations: xl.cfg, xl.conf, cpupool files and their TOML forms, into libxl's types.
//!
//! Pure but for `load`: text and facts of the host go in, values and findings come out.

pub(crate) mod arm;
pub(crate) mod boot;
pub(crate) mod cpu_features;
pub(crate) mod cpuid;
pub(crate) mod cpupool;
pub(crate) mod cpurange;
pub(crate) mod devices;
pub(crate) mod diagnostic;
pub(crate) mod disk;
pub(crate) mod form;
pub(crate) mod grammar;
pub(crate) mod graphics;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod hostio;
pub(crate) mod hvm;
pub(crate) mod items;
pub(crate) mod keys;
pub(crate) mod later;
pub(crate) mod lexer;
pub(crate) mod load;
pub(crate) mod number;
pub(crate) mod pci;
pub(crate) mod preflight;
pub(crate) mod reader;
pub(crate) mod schema;
pub(crate) mod source;
pub(crate) mod sxp;
pub(crate) mod toml;
pub(crate) mod usb;
pub(crate) mod vcpus;
pub(crate) mod vif;
pub(crate) mod vsnd;
pub(crate) mod write;
pub(crate) mod xlconf;
