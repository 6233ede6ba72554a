//! What libxl tells its caller about domains.

use super::{DeviceDisk, Uuid};

record! {
    /// Something that happened to a domain (`libxl_event`).
    pub struct Event {
        /// The domain.
        domid: u32,
        /// Its UUID.
        domuuid: Uuid,
        /// What the caller gave when it asked for the event.
        for_user: u64,
        /// What happened; libxl's `u`, selected by `type`.
        kind: Option<EventKind>,
    }
}

keyed_union! {
    /// What happened to a domain (`libxl_event_type`).
    pub enum EventKind optional {
        /// It shut down.
        DomainShutdown(DomainShutdown) = "type.domain_shutdown",
        /// It wants a CD out.
        DiskEject(Box<DiskEject>) = "type.disk_eject",
        /// An operation on it has ended.
        OperationComplete(OperationComplete) = "type.operation_complete";
        /// It is gone.
        DomainDeath = "type.domain_death",
        /// It is being made, and has a console already.
        DomainCreateConsoleAvailable = "type.domain_create_console_available",
    }
}

record! {
    /// A domain shut down.
    pub struct DomainShutdown {
        /// Why: a [`super::ShutdownReason`] by its number.
        shutdown_reason: u8,
    }
}

record! {
    /// A domain wants a CD out.
    pub struct DiskEject {
        /// What the guest calls the drive.
        vdev: Option<String>,
        /// The disk.
        disk: DeviceDisk,
    }
}

record! {
    /// An operation has ended.
    pub struct OperationComplete {
        /// 0, or libxl's error code.
        rc: i32,
    }
}

names! {
    /// The kinds of events by number (`libxl_event_type`).
    pub enum EventType {
        DomainShutdown = 1 "domain_shutdown",
        DomainDeath = 2 "domain_death",
        DiskEject = 3 "disk_eject",
        OperationComplete = 4 "operation_complete",
        DomainCreateConsoleAvailable = 5 "domain_create_console_available",
    }
}
