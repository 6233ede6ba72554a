//! The command line: the one table of subcommands, and how a call is resolved against it.
//!
//! A call is read in two steps, so that only one subcommand's options are ever built: first xl's own
//! options up to the subcommand's name, then that subcommand's. Names may be shortened as with stock xl.

use crate::cmd::{
    attach, cdrom, config_update, configfile, console, cpupool, create, devd, device, documents, flask, gc, host,
    lifecycle, list, memory, migrate, name, remus, save, sched, schema, small_device, unbuilt, usb, vcpu, vncviewer,
};
use crate::failure::Failure;
use crate::session::Session;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::ffi::OsString;
use std::fmt::Write;

/// The status of a wrong call of a subcommand.
const USAGE: u8 = 2;

/// The name of the hidden argument that takes what a subcommand does not expect.
const SURPLUS: &str = "surplus";

/// Runs a subcommand with what it was called with.
type RunFn = fn(&Session, &ArgMatches) -> Result<(), Failure>;

/// One row of the table.
pub(crate) struct Subcommand {
    /// Its name in full.
    pub(crate) name: &'static str,
    /// What it does, in one line.
    about: &'static str,
    /// Adds its arguments and options.
    arguments: fn(Command) -> Command,
    /// Runs it; none while it is not built.
    run: Option<RunFn>,
    /// Whether it can show what it would do (`xl -N`).
    can_dry_run: bool,
    /// What it makes of more arguments than it takes.
    surplus: Surplus,
    /// Whether stock xl 4.17 has it: its abbreviations go before those of later commands.
    in_4_17: bool,
}

/// What a subcommand makes of more arguments than it takes.
#[derive(Clone, Copy)]
enum Surplus {
    /// It goes on without them, as stock xl does, and says so.
    Ignored,
    /// It refuses the call with this status.
    Refused(u8),
    /// It takes any number itself.
    None,
}

/// A subcommand that is built: its options as a type, and what it does.
pub(crate) trait Run: Args {
    /// Does what the call asks for.
    fn run(self, session: &Session) -> Result<(), Failure>;
}

/// A row for a command that is built.
const fn built<C: Run>(name: &'static str, about: &'static str) -> Subcommand {
    Subcommand { run: Some(run::<C>), ..planned(name, about, C::augment_args) }
}

/// A row for a command that is not built yet: its options are known, it says so and fails.
const fn planned(name: &'static str, about: &'static str, arguments: fn(Command) -> Command) -> Subcommand {
    Subcommand { name, about, arguments, run: None, can_dry_run: false, surplus: Surplus::Ignored, in_4_17: true }
}

impl Subcommand {
    const fn dry_run(self) -> Subcommand {
        Subcommand { can_dry_run: true, ..self }
    }

    const fn refuses_surplus(self, status: u8) -> Subcommand {
        Subcommand { surplus: Surplus::Refused(status), ..self }
    }

    const fn takes_any_number(self) -> Subcommand {
        Subcommand { surplus: Surplus::None, ..self }
    }

    const fn newer(self) -> Subcommand {
        Subcommand { in_4_17: false, ..self }
    }

    /// What it does, and whether it does yet.
    fn about(&self) -> String {
        format!("{}{}", self.about, if self.run.is_none() { " (not built yet)" } else { "" })
    }

    /// The parser of its arguments.
    pub(crate) fn parser(&self) -> Command {
        let command = Command::new(self.name)
            .bin_name(format!("xl {}", self.name))
            .no_binary_name(true)
            .infer_long_args(true)
            .args_override_self(true);
        let command = (self.arguments)(command).about(self.about());
        match self.surplus {
            Surplus::None => command,
            _ => command.arg(clap::Arg::new(SURPLUS).num_args(0..).hide(true)),
        }
    }
}

fn run<C: Run>(session: &Session, matches: &ArgMatches) -> Result<(), Failure> {
    C::from_arg_matches(matches).map_err(usage)?.run(session)
}

/// Every subcommand, in the order `xl help` lists them.
#[rustfmt::skip]
pub(crate) const SUBCOMMANDS: &[Subcommand] = &[
    built::<create::Create>("create", "Create a domain from config file <filename>").dry_run().takes_any_number(),
    built::<config_update::ConfigUpdate>("config-update", "Update a running domain's saved configuration, used when rebuilding the domain after reboot").dry_run().takes_any_number(),
    built::<list::List>("list", "List information about all/some domains").refuses_surplus(1),
    built::<lifecycle::Destroy>("destroy", "Terminate a domain immediately"),
    built::<lifecycle::Shutdown>("shutdown", "Issue a shutdown signal to a domain"),
    built::<lifecycle::Reboot>("reboot", "Issue a reboot signal to a domain"),
    planned("pci-attach", "Insert a new pass-through pci device", unbuilt::pci_attach),
    planned("pci-detach", "Remove a domain's pass-through pci device", unbuilt::pci_detach),
    planned("pci-list", "List pass-through pci devices for a domain", unbuilt::domain),
    planned("pci-assignable-add", "Make a device assignable for pci-passthru", unbuilt::pci_assignable_add),
    planned("pci-assignable-remove", "Remove a device from being assignable", unbuilt::pci_assignable_remove),
    planned("pci-assignable-list", "List all the assignable pci devices", unbuilt::pci_assignable_list),
    built::<lifecycle::Pause>("pause", "Pause execution of a domain"),
    built::<lifecycle::Unpause>("unpause", "Unpause a paused domain"),
    built::<console::Console>("console", "Attach to domain's console"),
    built::<vncviewer::VncViewer>("vncviewer", "Attach to domain's VNC server."),
    built::<save::Save>("save", "Save a domain state to restore later").refuses_surplus(1),
    built::<migrate::Migrate>("migrate", "Migrate a domain to another host"),
    built::<save::Restore>("restore", "Restore a domain from a saved state").takes_any_number(),
    built::<migrate::MigrateReceive>("migrate-receive", "Restore a domain from a saved state").refuses_surplus(1),
    built::<save::DumpCore>("dump-core", "Core dump a domain"),
    built::<cdrom::CdInsert>("cd-insert", "Insert a cdrom into a guest's cd drive").dry_run(),
    built::<cdrom::CdEject>("cd-eject", "Eject a cdrom from a guest's cd drive").dry_run(),
    built::<memory::MemMax>("mem-max", "Set the maximum amount reservation for a domain"),
    built::<memory::MemSet>("mem-set", "Set the current memory usage for a domain"),
    built::<lifecycle::ButtonPress>("button-press", "Indicate an ACPI button press to the domain"),
    built::<vcpu::VcpuList>("vcpu-list", "List the VCPUs for all/some domains").takes_any_number(),
    built::<vcpu::VcpuPin>("vcpu-pin", "Set which CPUs a VCPU can use").dry_run(),
    built::<vcpu::VcpuSet>("vcpu-set", "Set the number of active VCPUs allowed for the domain"),
    built::<list::VmList>("vm-list", "List guest domains, excluding dom0, stubdoms, etc."),
    built::<host::Info>("info", "Get information about Xen host"),
    built::<list::Sharing>("sharing", "Get information about page sharing").refuses_surplus(1),
    built::<sched::Credit>("sched-credit", "Get/set credit scheduler parameters"),
    built::<sched::Credit2>("sched-credit2", "Get/set credit2 scheduler parameters"),
    built::<sched::Rtds>("sched-rtds", "Get/set rtds scheduler parameters"),
    built::<name::Domid>("domid", "Convert a domain name to domain id"),
    built::<name::Domname>("domname", "Convert a domain id to domain name"),
    built::<name::Rename>("rename", "Rename a domain"),
    built::<lifecycle::Trigger>("trigger", "Send a trigger to a domain"),
    built::<lifecycle::Sysrq>("sysrq", "Send a sysrq to a domain"),
    built::<host::DebugKeys>("debug-keys", "Send debug keys to Xen"),
    planned("set-parameters", "Set hypervisor parameters", host::SetParameters::augment_args),
    built::<host::Dmesg>("dmesg", "Read and/or clear dmesg buffer"),
    built::<host::Top>("top", "Monitor a host and the domains in real time"),
    built::<attach::Network>("network-attach", "Create a new virtual network device").dry_run().takes_any_number(),
    built::<device::NetworkList>("network-list", "List virtual network interfaces for a domain").takes_any_number(),
    built::<device::NetworkDetach>("network-detach", "Destroy a domain's virtual network device"),
    built::<small_device::ChannelList>("channel-list", "List virtual channel devices for a domain").takes_any_number(),
    built::<attach::Block>("block-attach", "Create a new virtual block device").dry_run().takes_any_number(),
    built::<device::BlockList>("block-list", "List virtual block devices for a domain").takes_any_number(),
    built::<device::BlockDetach>("block-detach", "Destroy a domain's virtual block device"),
    built::<attach::Vtpm>("vtpm-attach", "Create a new virtual TPM device").dry_run().takes_any_number(),
    built::<small_device::VtpmList>("vtpm-list", "List virtual TPM devices for a domain").takes_any_number(),
    built::<small_device::VtpmDetach>("vtpm-detach", "Destroy a domain's virtual TPM device"),
    built::<attach::Vkb>("vkb-attach", "Create a new virtual keyboard device").dry_run().takes_any_number(),
    built::<small_device::VkbList>("vkb-list", "List virtual keyboard devices for a domain").takes_any_number(),
    built::<small_device::VkbDetach>("vkb-detach", "Destroy a domain's virtual keyboard device"),
    built::<attach::Vdispl>("vdispl-attach", "Create a new virtual display device").dry_run().takes_any_number(),
    built::<small_device::VdisplList>("vdispl-list", "List virtual display devices for a domain").takes_any_number(),
    built::<small_device::VdisplDetach>("vdispl-detach", "Destroy a domain's virtual display device"),
    built::<attach::Vsnd>("vsnd-attach", "Create a new virtual sound device").dry_run().takes_any_number(),
    built::<small_device::VsndList>("vsnd-list", "List virtual sound devices for a domain").takes_any_number(),
    built::<small_device::VsndDetach>("vsnd-detach", "Destroy a domain's virtual sound device"),
    built::<list::Uptime>("uptime", "Print uptime for all/some domains").takes_any_number(),
    built::<list::Claims>("claims", "List outstanding claim information about all domains"),
    built::<cpupool::Create>("cpupool-create", "Create a new CPU pool").dry_run().takes_any_number(),
    built::<cpupool::List>("cpupool-list", "List CPU pools on host"),
    built::<cpupool::Destroy>("cpupool-destroy", "Deactivates a CPU pool"),
    built::<cpupool::Rename>("cpupool-rename", "Renames a CPU pool"),
    built::<cpupool::CpuAdd>("cpupool-cpu-add", "Adds a CPU to a CPU pool"),
    built::<cpupool::CpuRemove>("cpupool-cpu-remove", "Removes a CPU from a CPU pool"),
    built::<cpupool::Migrate>("cpupool-migrate", "Moves a domain into a CPU pool"),
    built::<cpupool::NumaSplit>("cpupool-numa-split", "Splits up the machine into one CPU pool per NUMA node"),
    built::<flask::Getenforce>("getenforce", "Returns the current enforcing mode of the Flask Xen security module"),
    built::<flask::Setenforce>("setenforce", "Sets the current enforcing mode of the Flask Xen security module"),
    built::<flask::Loadpolicy>("loadpolicy", "Loads a new policy into the Flask Xen security module"),
    built::<remus::Remus>("remus", "Enable Remus HA for domain"),
    built::<devd::Devd>("devd", "Daemon that listens for devices and launches backends"),
    planned("psr-hwinfo", "Show hardware information for Platform Shared Resource", unbuilt::psr_hwinfo),
    planned("psr-cmt-attach", "Attach Cache Monitoring Technology service to a domain", unbuilt::domain),
    planned("psr-cmt-detach", "Detach Cache Monitoring Technology service from a domain", unbuilt::domain),
    planned("psr-cmt-show", "Show Cache Monitoring Technology information", unbuilt::psr_cmt_show).refuses_surplus(USAGE),
    planned("psr-cat-set", "Set cache capacity bitmasks(CBM) for a domain", unbuilt::psr_cat_set).refuses_surplus(USAGE),
    planned("psr-cat-show", "Show Cache Allocation Technology information", unbuilt::psr_cat_show).refuses_surplus(USAGE),
    planned("psr-mba-set", "Set throttling value (THRTL) for a domain", unbuilt::psr_mba_set).refuses_surplus(1),
    planned("psr-mba-show", "Show Memory Bandwidth Allocation information", unbuilt::psr_mba_show).refuses_surplus(USAGE),
    built::<usb::CtrlAttach>("usbctrl-attach", "Create a virtual USB controller for a domain").takes_any_number(),
    built::<usb::CtrlDetach>("usbctrl-detach", "Remove the virtual USB controller specified by <DevId> for a domain"),
    built::<usb::DevAttach>("usbdev-attach", "Attach a USB device to a domain").takes_any_number(),
    built::<usb::DevDetach>("usbdev-detach", "Detach a USB device from a domain").refuses_surplus(1),
    built::<usb::List>("usb-list", "List information about all USB controllers and devices for a domain").refuses_surplus(255),
    planned("qemu-monitor-command", "Issue a qemu monitor command to the device model of a domain", unbuilt::qemu_monitor_command).refuses_surplus(1),
    built::<save::Suspend>("suspend", "Suspend a domain to RAM").newer(),
    built::<save::Resume>("resume", "Resume a domain from RAM").newer(),
    planned("dt-overlay", "Add, remove or attach a device tree overlay (Arm)", unbuilt::dt_overlay).newer(),
    planned("xenstore-quota-get", "Show the xenstore quota of a domain or of all", unbuilt::xenstore_quota_get).newer(),
    planned("xenstore-quota-set", "Set the xenstore quota of a domain or of all", unbuilt::xenstore_quota_set).newer().takes_any_number(),
    built::<configfile::Check>("check", "Check a configuration file without creating the domain").newer().takes_any_number(),
    built::<schema::Schema>("schema", "Print the keys that a configuration file can have").newer(),
    built::<configfile::Convert>("convert", "Convert a configuration file between the xl.cfg and TOML forms").newer(),
    built::<gc::Gc>("gc", "Find and remove what dead domains left behind").dry_run().newer(),
    built::<documents::Completions>("completions", "Print the completion script for a shell").newer(),
    built::<documents::Manual>("manual", "Print the manual page, xl(1)").newer(),
];

/// xl's own options, which stand before the subcommand.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Globals {
    /// Say more of what is being done; twice for all of it
    #[arg(short, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Show what would be done and do nothing
    #[arg(short = 'N')]
    pub(crate) dry_run: bool,
    /// Accepted for stock xl's sake
    #[arg(short)]
    force: bool,
    /// Draw progress on one line, with carriage returns
    #[arg(short = 't')]
    pub(crate) progress_by_cr: bool,
    /// Put the time and the process id before each message
    #[arg(short = 'T')]
    pub(crate) timestamps: bool,
}

/// What the command line asks for.
pub(crate) enum Call {
    /// Run this subcommand with these arguments.
    Run(Globals, &'static Subcommand, ArgMatches),
    /// Print this, and end with this status.
    Print(String, u8),
}

/// Reads a whole command line, the program's name first.
///
/// # Errors
/// Wrong options or arguments, with the status that stock xl gives.
pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Call, Failure> {
    let mut matches = match globals_parser().try_get_matches_from(argv) {
        Ok(matches) => matches,
        Err(e) if e.kind() == ErrorKind::DisplayHelp => return Ok(Call::Print(list_of_subcommands(), 0)),
        Err(e) => return Err(usage(e).with_status(1)),
    };
    let globals = Globals::from_arg_matches_mut(&mut matches).map_err(usage)?;
    let Some((name, mut rest)) = matches.remove_subcommand() else {
        return Ok(Call::Print(list_of_subcommands(), 1));
    };
    let rest: Vec<OsString> = rest.remove_many("").map(Iterator::collect).unwrap_or_default();
    let subcommand = match find(&name) {
        Err(_) if name == "help" => return Ok(Call::Print(help(rest.first()), 0)),
        found => found?,
    };
    if globals.dry_run && !subcommand.can_dry_run {
        return Err(Failure::new(1, format!("{}: this command has no dry run (-N)", subcommand.name)));
    }
    match subcommand.parser().try_get_matches_from(rest) {
        Ok(matches) => Ok(Call::Run(globals, subcommand, matches)),
        Err(e) if e.kind() == ErrorKind::DisplayHelp => Ok(Call::Print(e.render().to_string(), 0)),
        Err(e) => Err(usage(e)),
    }
}

impl Subcommand {
    /// Runs this subcommand with its parsed arguments.
    ///
    /// # Errors
    /// What it failed with, or that it is not built.
    pub(crate) fn run(&self, session: &Session, matches: &ArgMatches) -> Result<(), Failure> {
        let surplus = match self.surplus {
            Surplus::None => None,
            _ => matches.get_one::<String>(SURPLUS),
        };
        match (surplus, self.surplus) {
            (Some(argument), Surplus::Refused(status)) => {
                let text = format!("{}: unexpected argument '{argument}' (see xl {0} --help)", self.name);
                return Err(Failure::new(status, text));
            }
            (Some(argument), _) => tracing::warn!("{}: argument '{argument}' and what follows is ignored", self.name),
            (None, _) => {}
        }
        match self.run {
            Some(run) => run(session, matches),
            None => Err(Failure::new(1, format!("{}: this command is not built yet", self.name))),
        }
    }
}

/// The subcommand of this name, or of this beginning of one name alone.
fn find(name: &str) -> Result<&'static Subcommand, Failure> {
    if let Some(exact) = SUBCOMMANDS.iter().find(|s| s.name == name) {
        return Ok(exact);
    }
    let beginning = |in_4_17| SUBCOMMANDS.iter().filter(move |s| s.in_4_17 == in_4_17 && s.name.starts_with(name));
    let mut found: Vec<_> = beginning(true).collect();
    if found.is_empty() {
        found = beginning(false).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(1, format!("'{name}' is not a command of xl{}", suggestion(name)))),
        _ => {
            let names: Vec<_> = found.iter().map(|s| s.name).collect();
            Err(Failure::new(1, format!("'{name}' is short for more than one command: {}", names.join(", "))))
        }
    }
}

/// A hint at the command that a mistyped name resembles most.
fn suggestion(name: &str) -> String {
    let likeness = |s: &&Subcommand| strsim::jaro(s.name, name);
    let best = SUBCOMMANDS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|s| likeness(s) > 0.8) {
        Some(best) => format!(": did you mean '{}'?", best.name),
        None => " (see xl help)".to_string(),
    }
}

/// The whole command line, as a tree: for who describes it. A call is read in two steps instead.
pub(crate) fn tree() -> Command {
    globals_parser().subcommands(SUBCOMMANDS.iter().map(|subcommand| subcommand.parser().no_binary_name(false)))
}

fn globals_parser() -> Command {
    Globals::augment_args(Command::new("xl"))
        .override_usage("xl [-vfNtT] <subcommand> [args]")
        .disable_help_subcommand(true)
        .allow_external_subcommands(true)
}

/// What `xl help [SUBCOMMAND]` prints.
fn help(name: Option<&OsString>) -> String {
    let Some(name) = name.map(|n| n.to_string_lossy()).filter(|n| n != "help") else {
        return list_of_subcommands();
    };
    match find(&name) {
        Ok(subcommand) => subcommand.parser().render_help().to_string(),
        Err(_) => format!("command \"{name}\" not implemented\n"),
    }
}

/// The list of subcommands, in stock xl's form, which shells' completion scripts read.
fn list_of_subcommands() -> String {
    let mut text = "Usage xl [-vfNtT] <subcommand> [args]\n\nxl full list of subcommands:\n\n".to_string();
    for subcommand in SUBCOMMANDS {
        let name = subcommand.name;
        let gap = if name.len() > 19 { format!("\n {:19} ", "") } else { String::new() };
        let _ = writeln!(text, " {name:19} {gap}{}", subcommand.about());
    }
    text
}

/// A wrong call as a failure. Values that an option refuses give 1, as in stock xl, which reads them itself.
fn usage(error: clap::Error) -> Failure {
    let status = match error.kind() {
        ErrorKind::ValueValidation => 1,
        _ => USAGE,
    };
    let text = error.render().to_string();
    Failure::new(status, text.trim_start_matches("error: ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(line: &str) -> Result<Call, Failure> {
        parse(std::iter::once("xl").chain(line.split_whitespace()).map(OsString::from))
    }

    fn refusal(line: &str) -> Failure {
        call(line).err().unwrap_or_else(|| panic!("'xl {line}' is accepted"))
    }

    fn status(line: &str) -> u8 {
        refusal(line).status()
    }

    fn resolved(line: &str) -> &'static str {
        match call(line) {
            Ok(Call::Run(_, subcommand, _)) => subcommand.name,
            Ok(Call::Print(text, _)) => panic!("{text}"),
            Err(failure) => panic!("{failure}"),
        }
    }

    #[test]
    fn every_row_makes_a_sound_parser() {
        for subcommand in SUBCOMMANDS {
            subcommand.parser().debug_assert();
            assert_eq!(SUBCOMMANDS.iter().filter(|s| s.name == subcommand.name).count(), 1, "{}", subcommand.name);
        }
    }

    #[test]
    fn short_names_mean_what_they_mean_to_stock_xl() {
        assert_eq!(resolved("li"), "list");
        assert_eq!(resolved("sched-credit"), "sched-credit", "an exact name also begins another");
        assert_eq!(resolved("res x"), "restore", "a later command takes no abbreviation away");
        assert_eq!(resolved("resu 1"), "resume");
        assert_eq!(resolved("chan 1"), "channel-list");
        assert_eq!(resolved("g"), "getenforce");
        assert_eq!(status("pci-"), 1);
        assert_eq!(status("foo"), 1);
        assert!(refusal("pci-ass").to_string().contains("pci-assignable-add, pci-assignable-remove"));
        assert!(refusal("lst").to_string().contains("did you mean 'list'"));
    }

    #[test]
    fn statuses_of_wrong_calls_are_stock_xls() {
        assert_eq!(status("-q list"), 1);
        assert_eq!(status("list --bogus"), 2);
        assert_eq!(status("list -q"), 2);
        assert_eq!(status("pause"), 2);
        assert_eq!(status("rename a"), 2);
        assert_eq!(status("-N list"), 1);
        assert_eq!(status("sched-credit -d 1 -w heavy"), 1);
        assert_eq!(status("console -n"), 2);
    }

    #[test]
    fn help_comes_before_any_other_complaint() {
        for line in ["destroy -h", "rename --help", "help rename", "-h", "help", "help foo", "li -h"] {
            let Ok(Call::Print(text, 0)) = call(line) else { panic!("'xl {line}' prints no help") };
            assert!(!text.is_empty());
        }
        let Ok(Call::Print(text, 1)) = call("") else { panic!("xl alone ends with 1") };
        assert!(text.contains(" list                List information about all/some domains\n"));
        assert!(text.contains(" qemu-monitor-command \n                     Issue a qemu monitor command"));
    }

    #[test]
    fn commands_that_are_not_built_are_named() {
        let differences = include_str!("../../docs/differences.md");
        let row = differences.lines().find(|line| line.contains("\"this command is not built yet\"")).unwrap();
        for Subcommand { name, run, .. } in SUBCOMMANDS {
            assert_eq!(row.contains(&format!("`{name}`")), run.is_none(), "{name}");
        }
        assert!(
            list_of_subcommands()
                .contains(" pci-list            List pass-through pci devices for a domain (not built yet)\n")
        );
    }

    #[test]
    fn options_can_be_joined_shortened_repeated_and_mixed_with_arguments() {
        let Ok(Call::Run(globals, subcommand, matches)) = call("-vvN vcpu-pin -f 1 0 all --ign -f") else {
            panic!("refused")
        };
        assert_eq!((globals.verbose, globals.dry_run, subcommand.name), (2, true, "vcpu-pin"));
        assert!(matches.get_flag("force") && matches.get_flag("ignore_global_affinity_masks"));
        assert_eq!(resolved("list -lvZcn 3"), "list");
        assert_eq!(resolved("list -o json"), "list");
        assert_eq!(resolved("sched-credit -w 1 -w2"), "sched-credit");
        assert_eq!(resolved("vcpu-pin 0 3 - 6-9"), "vcpu-pin");
    }

    #[test]
    fn surplus_arguments_end_as_with_stock_xl() {
        let outcome = |line: &str| match call(line) {
            Ok(Call::Run(globals, subcommand, matches)) => {
                subcommand.run(&Session::new(globals), &matches).unwrap_err().to_string()
            }
            _ => panic!("'xl {line}' is not run"),
        };
        assert!(outcome("psr-cat-set 1 2 3").contains("unexpected argument '3'"));
        assert!(outcome("pci-list a b c").contains("not built yet"), "ignored, with a warning");
    }
}
