//! The arguments of the commands that are not built yet: a function goes when its command comes.

use clap::{Arg, ArgAction, Command};

fn required(name: &'static str) -> Arg {
    Arg::new(name).required(true)
}

fn optional(name: &'static str) -> Arg {
    Arg::new(name)
}

fn at_least_one(name: &'static str) -> Arg {
    Arg::new(name).num_args(1..).required(true)
}

// The help text is as good an identifier as any while no command reads the option.
fn flag(short: char, help: &'static str) -> Arg {
    Arg::new(help).short(short).action(ArgAction::SetTrue).help(help)
}

fn value(short: char, name: &'static str, help: &'static str) -> Arg {
    Arg::new(help).short(short).value_name(name).help(help)
}

/// Commands that take one domain.
pub(crate) fn domain(c: Command) -> Command {
    c.arg(required("Domain"))
}

pub(crate) fn pci_attach(c: Command) -> Command {
    c.arg(required("Domain")).arg(required("PCI_SPEC_STRING"))
}

pub(crate) fn pci_detach(c: Command) -> Command {
    pci_attach(c).arg(flag('f', "Do not wait for the guest"))
}

pub(crate) fn pci_assignable_add(c: Command) -> Command {
    c.arg(value('n', "NAME", "Name the device").long("name")).arg(required("BDF"))
}

pub(crate) fn pci_assignable_remove(c: Command) -> Command {
    c.arg(flag('r', "Give the device back to its own driver")).arg(required("BDF|NAME"))
}

pub(crate) fn pci_assignable_list(c: Command) -> Command {
    c.arg(flag('n', "Show the names of devices that have one").long("show-names"))
}

pub(crate) fn psr_hwinfo(c: Command) -> Command {
    c.arg(flag('m', "Cache monitoring (CMT)").long("cmt"))
        .arg(flag('a', "Cache allocation (CAT)").long("cat"))
        .arg(flag('b', "Memory bandwidth allocation (MBA)").long("mba"))
}

pub(crate) fn psr_cmt_show(c: Command) -> Command {
    c.arg(required("PSR-CMT-Type").help("cache-occupancy, total-mem-bandwidth or local-mem-bandwidth"))
        .arg(optional("Domain"))
}

pub(crate) fn psr_cat_set(c: Command) -> Command {
    c.arg(value('s', "SOCKETS", "Only on these sockets").long("socket"))
        .arg(value('l', "LEVEL", "Level of the cache, 2 or 3 (3)").long("level"))
        .arg(flag('c', "The mask for code").long("code"))
        .arg(flag('d', "The mask for data").long("data"))
        .arg(required("Domain"))
        .arg(required("CBM"))
}

pub(crate) fn psr_cat_show(c: Command) -> Command {
    c.arg(value('l', "LEVEL", "Level of the cache, 2 or 3 (3)").long("level")).arg(optional("Domain"))
}

pub(crate) fn psr_mba_set(c: Command) -> Command {
    c.arg(value('s', "SOCKETS", "Only on these sockets").long("socket")).arg(optional("Domain")).arg(optional("THRTL"))
}

pub(crate) fn psr_mba_show(c: Command) -> Command {
    c.arg(optional("Domain"))
}

pub(crate) fn qemu_monitor_command(c: Command) -> Command {
    c.arg(required("Domain")).arg(required("Command"))
}

pub(crate) fn dt_overlay(c: Command) -> Command {
    c.arg(required("operation").help("add, remove or attach")).arg(required("dtbo")).arg(optional("Domain"))
}

pub(crate) fn xenstore_quota_get(c: Command) -> Command {
    c.arg(flag('g', "The quota of all domains")).arg(optional("Domain"))
}

pub(crate) fn xenstore_quota_set(c: Command) -> Command {
    c.arg(flag('g', "The quota of all domains")).arg(at_least_one("Domain").help("[Domain] QUOTA=VALUE..."))
}
