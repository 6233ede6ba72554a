//! What a helper gives up before it reads a stream, which may come from anywhere: rights, descriptors and most system
//! calls.

use crate::inherited;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

/// What copying a guest takes: the stream, hypercalls, memory, signals. Nothing opens a file, a socket or a program.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_ioctl,
    libc::SYS_fcntl,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_dup2,
    libc::SYS_dup3,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Closes every descriptor that the parent left open but standard input, output and error, and `kept`.
pub fn close_inherited(kept: impl AsFd) -> io::Result<()> {
    inherited::close_all_but(kept.as_fd())
}

/// From here on this thread makes no system calls but those that copying a guest takes, and gains no rights. One that
/// was forgotten here is an error where it is made: the guest must not be lost for it.
pub fn confine() -> io::Result<()> {
    let architecture = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let rules: BTreeMap<_, _> = ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture).map_err(io::Error::other)?;
    let program = BpfProgram::try_from(filter).map_err(io::Error::other)?;
    // It also sets no_new_privs.
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::process::Command;

    #[test]
    fn what_is_open_can_be_read_and_nothing_else_is_to_be_had() {
        // A filter is a thread's own.
        let confined = || {
            let mut open = File::open("/proc/self/status").unwrap();
            confine().unwrap();
            let mut status = String::new();
            open.read_to_string(&mut status).unwrap();
            let refused = [
                File::open("/dev/null").err(),
                Command::new("/bin/true").status().err(),
                std::net::TcpListener::bind("127.0.0.1:0").err(),
                fs::remove_file("/nonexistent").err(),
            ];
            refused.map(|e| e.map(|e| e.kind()))
        };
        let refused = std::thread::spawn(confined).join().unwrap();
        assert_eq!(refused, [Some(io::ErrorKind::PermissionDenied); 4]);
        assert!(File::open("/dev/null").is_ok(), "the other threads are free");
    }
}
