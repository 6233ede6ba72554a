//! A domain's life after its creation: pausing, asking it to stop, sending it events, destroying it.

use clap::Args;

/// `xl destroy`.
#[derive(Args)]
pub(crate) struct Destroy {
    /// Permit destroying domain 0, which only works from another control domain
    #[arg(short)]
    force: bool,
    /// Name or number of the domain
    domain: String,
}

/// `xl pause`.
#[derive(Args)]
pub(crate) struct Pause {
    /// Name or number of the domain
    domain: String,
}

/// `xl unpause`.
#[derive(Args)]
pub(crate) struct Unpause {
    /// Name or number of the domain
    domain: String,
}

/// What `xl shutdown` and `xl reboot` take.
#[derive(Args)]
struct Request {
    /// All domains but this one
    #[arg(short, long)]
    all: bool,
    /// Wait until it has stopped; twice to wait until it is gone
    #[arg(short, long, action = clap::ArgAction::Count)]
    wait: u8,
    /// Press the ACPI button of a guest that has no PV drivers
    #[arg(short = 'F')]
    fall_back: bool,
    /// Name or number of the domain
    domain: Option<String>,
}

/// `xl shutdown`.
#[derive(Args)]
pub(crate) struct Shutdown {
    #[command(flatten)]
    request: Request,
}

/// `xl reboot`.
#[derive(Args)]
pub(crate) struct Reboot {
    #[command(flatten)]
    request: Request,
}

/// `xl trigger`.
#[derive(Args)]
pub(crate) struct Trigger {
    /// Name or number of the domain
    domain: String,
    /// nmi, reset, init, power, sleep or s3resume
    trigger: String,
    /// The vCPU that gets it
    vcpu: Option<String>,
}

/// `xl button-press`.
#[derive(Args)]
pub(crate) struct ButtonPress {
    /// Name or number of the domain
    domain: String,
    /// power or sleep
    button: String,
}

/// `xl sysrq`.
#[derive(Args)]
pub(crate) struct Sysrq {
    /// Name or number of the domain
    domain: String,
    /// The key, one character
    letter: String,
}
