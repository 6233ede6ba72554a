//! The states of a PV device's ends (`enum xenbus_state`, `xen/include/public/io/xenbus.h`).

/// The state that a frontend or a backend says it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum XenbusState {
    /// Nothing that we know; also what cannot be read as a state.
    Unknown = 0,
    /// The toolstack has just made it.
    Initialising = 1,
    /// Early set-up is done: waiting for the peer or for the hotplug script.
    InitWait = 2,
    /// Set up: waiting for the peer.
    Initialised = 3,
    /// In use.
    Connected = 4,
    /// Being taken away.
    Closing = 5,
    /// Taken away.
    Closed = 6,
    /// Its parts are being changed.
    Reconfiguring = 7,
    /// Its parts have been changed.
    Reconfigured = 8,
}

impl XenbusState {
    /// Reads what an end wrote, which may be anything.
    pub fn parse(text: &str) -> XenbusState {
        match text.trim() {
            "1" => XenbusState::Initialising,
            "2" => XenbusState::InitWait,
            "3" => XenbusState::Initialised,
            "4" => XenbusState::Connected,
            "5" => XenbusState::Closing,
            "6" => XenbusState::Closed,
            "7" => XenbusState::Reconfiguring,
            "8" => XenbusState::Reconfigured,
            _ => XenbusState::Unknown,
        }
    }

    /// How it stands in xenstore.
    pub fn digit(self) -> String {
        (self as u8).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nonsense() {
        for (text, state) in [("1", XenbusState::Initialising), ("4", XenbusState::Connected)] {
            assert_eq!(XenbusState::parse(text), state);
            assert_eq!(state.digit(), text);
        }
        for text in ["", "9", "-1", "0", "connected", "4 4"] {
            assert_eq!(XenbusState::parse(text), XenbusState::Unknown, "{text:?}");
        }
    }
}
