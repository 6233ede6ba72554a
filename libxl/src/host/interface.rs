//! Network interfaces of this host (netdevice(7), Linux's `sockios.h`).

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Linux's `sockios.h`; the crate libc does not have it.
const SIOCBRADDIF: libc::c_ulong = 0x89a2;

/// One interface, by name.
#[derive(Debug)]
pub struct Interface {
    name: libc::ifreq,
    socket: OwnedFd,
}

impl Interface {
    /// The interface of this name, which need not exist yet.
    ///
    /// # Errors
    /// A name that none can have: too long, empty, or with a NUL.
    pub fn named(name: &str) -> io::Result<Interface> {
        // SAFETY: plain integers go in.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just made this descriptor, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Interface { name: request_for(name)?, socket })
    }

    /// Takes it out of use.
    pub fn set_down(&self) -> io::Result<()> {
        self.change_flags(|flags| flags & !(libc::IFF_UP as i16))
    }

    /// Puts it into use.
    pub fn set_up(&self) -> io::Result<()> {
        self.change_flags(|flags| flags | libc::IFF_UP as i16)
    }

    fn change_flags(&self, change: impl FnOnce(i16) -> i16) -> io::Result<()> {
        let mut request = self.ask(libc::SIOCGIFFLAGS as libc::c_ulong, self.name)?;
        // SAFETY: SIOCGIFFLAGS has filled in this member.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = change(flags);
        self.ask(libc::SIOCSIFFLAGS as libc::c_ulong, request).map(drop)
    }

    /// Gives it an Ethernet address.
    pub fn set_address(&self, address: [u8; 6]) -> io::Result<()> {
        let mut data = [0; 14];
        for (to, from) in data.iter_mut().zip(address) {
            *to = from as libc::c_char;
        }
        let mut request = self.name;
        request.ifr_ifru.ifru_hwaddr = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: data };
        self.ask(libc::SIOCSIFHWADDR as libc::c_ulong, request).map(drop)
    }

    /// Sets its largest packet.
    pub fn set_mtu(&self, mtu: i32) -> io::Result<()> {
        let mut request = self.name;
        request.ifr_ifru.ifru_mtu = mtu;
        self.ask(libc::SIOCSIFMTU as libc::c_ulong, request).map(drop)
    }

    /// Its largest packet.
    pub fn mtu(&self) -> io::Result<i32> {
        let request = self.ask(libc::SIOCGIFMTU as libc::c_ulong, self.name)?;
        // SAFETY: SIOCGIFMTU has filled in this member.
        Ok(unsafe { request.ifr_ifru.ifru_mtu })
    }

    /// Gives it another name. It must be down.
    pub fn rename(self, name: &str) -> io::Result<Interface> {
        let new = request_for(name)?;
        let mut request = self.name;
        request.ifr_ifru.ifru_newname = new.ifr_name;
        self.ask(libc::SIOCSIFNAME as libc::c_ulong, request)?;
        Ok(Interface { name: new, socket: self.socket })
    }

    /// Makes another interface a port of this bridge.
    pub fn add_port(&self, port: &Interface) -> io::Result<()> {
        let found = port.ask(libc::SIOCGIFINDEX as libc::c_ulong, port.name)?;
        let mut request = self.name;
        // SAFETY: SIOCGIFINDEX has filled in this member.
        request.ifr_ifru.ifru_ifindex = unsafe { found.ifr_ifru.ifru_ifindex };
        self.ask(SIOCBRADDIF, request).map(drop)
    }

    /// Sends a request about the interface that it names, and gives it back as the kernel has filled it in.
    fn ask(&self, what: libc::c_ulong, mut request: libc::ifreq) -> io::Result<libc::ifreq> {
        // SAFETY: the socket is open; every request above takes an `ifreq`, reads no more than that and writes into
        // it only while the call lasts.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), what, &raw mut request) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(request),
        }
    }
}

/// An empty request that names an interface.
fn request_for(name: &str) -> io::Result<libc::ifreq> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // One byte stays, for the NUL.
    if name.is_empty() || name.len() >= ifr_name.len() || name.bytes().any(|b| b == 0 || b == b'/') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("\"{name}\" cannot be an interface's name")));
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(libc::ifreq { ifr_name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_ifindex: 0 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_answers() {
        let lo = Interface::named("lo").unwrap();
        assert!(lo.mtu().unwrap() >= 1500);
    }

    #[test]
    fn names_that_no_interface_has() {
        for name in ["", "a-name-that-is-too-long", "a/b", "nul\0"] {
            assert_eq!(Interface::named(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
        let missing = Interface::named("none0").unwrap();
        assert_eq!(missing.mtu().unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(missing.set_up().unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
