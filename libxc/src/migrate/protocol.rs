//! What libxl and its save helper say to each other over two pipes.
//!
//! The helper writes messages: a length of 16 bits, then a number of 16 bits and the arguments, all in the machine's
//! byte order, unaligned. Where a message asks for an answer, libxl writes one `int` back. [`Message`] is the one table
//! from which both directions come.

use std::io::{self, Read, Write};

/// An argument of a message.
trait Argument: Sized {
    fn put(&self, out: &mut Vec<u8>);
    /// Takes the argument from the front; `None` if it is not whole.
    fn get(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_ne_bytes());
            }

            fn get(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$type>::from_ne_bytes(*bytes))
            }
        }
    )*};
}

numbers!(u32, i32, u64);

/// A string travels with its NUL, and a length that counts it.
impl Argument for String {
    fn put(&self, out: &mut Vec<u8>) {
        let text: Vec<u8> = self.bytes().filter(|&b| b != 0).collect();
        (text.len() as u32 + 1).put(out);
        out.extend_from_slice(&text);
        out.push(0);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let length = u32::get(from)? as usize;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        // What is behind an earlier NUL is no part of it to C.
        let text = bytes.strip_suffix(&[0])?.split(|&byte| byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])* $number:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? } $(-> $reply:ident)?;)*) => {
        /// What the helper says.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type),* },)*
        }

        impl Message {
            /// Its number; a bit of the helper's callback flags is `1 << number`.
            pub fn number(&self) -> u16 {
                match self {
                    $(Message::$name { .. } => $number,)*
                }
            }

            /// Whether the helper waits for an answer.
            pub fn wants_reply(&self) -> bool {
                match self {
                    $(Message::$name { .. } => messages!(@reply $($reply)?),)*
                }
            }

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.number().to_ne_bytes());
                match self {
                    $(Message::$name { $($field),* } => { $($field.put(out);)* })*
                }
            }

            /// Reads a message without its length.
            fn get(mut from: &[u8]) -> Option<Message> {
                let (number, rest) = from.split_first_chunk()?;
                from = rest;
                let message = match u16::from_ne_bytes(*number) {
                    $($number => Message::$name { $($field: <$type>::get(&mut from)?),* },)*
                    _ => return None,
                };
                from.is_empty().then_some(message)
            }
        }
    };
    (@reply) => { false };
    (@reply $reply:ident) => { true };
}

messages! {
    /// A line for the log.
    1 Log {
        /// Its weight ([`level`]).
        level: u32,
        /// The errno that belongs to it; -1 if none does.
        errno: i32,
        /// The part of the program that speaks.
        context: String,
        /// The line.
        text: String,
    };
    /// How far the helper is.
    2 Progress {
        /// The part of the program that speaks.
        context: String,
        /// What it is doing.
        what: String,
        /// So much is done.
        done: u64,
        /// Of so much; 0 for a mere step.
        total: u64,
    };
    /// The guest is to be suspended: 1 once it is, 0 if it cannot be.
    3 Suspend {} -> reply;
    /// The guest may go on after a checkpoint.
    4 Postcopy {} -> reply;
    /// A checkpoint is whole: 0 to stop, 1 to go on, 2 to take over.
    5 Checkpoint {} -> reply;
    /// The next checkpoint is awaited.
    6 WaitCheckpoint {} -> reply;
    /// The device model is to note what it writes: 0 once it does.
    7 SwitchQemuLogdirty {
        /// Whose device model.
        domid: u32,
        /// 1 to begin, 0 to end.
        enable: u32,
    } -> reply;
    /// What never changes has been restored: 0 to go on.
    8 StaticDataDone {
        /// Bit 0: no CPUID policy was in the stream; bit 1: no MSR policy.
        missing: u32,
    } -> reply;
    /// Where the guest's rings are.
    9 RestoreResults {
        /// The ring to xenstored.
        store_gfn: u64,
        /// The console's ring.
        console_gfn: u64,
    };
    /// The last message: how it went. The answer 0 ends the helper.
    10 Complete {
        /// 0 if all went well.
        retval: i32,
        /// Why not.
        errno: i32,
    } -> reply;
}

/// Weights of log lines (`xentoollog_level`, xentoollog.h).
pub mod level {
    /// For who looks for faults in the program.
    pub const DEBUG: u32 = 1;
    /// What is going on.
    pub const INFO: u32 = 5;
    /// Odd, but it goes on.
    pub const WARN: u32 = 7;
    /// It does not go on.
    pub const ERROR: u32 = 8;
}

/// Writes a message.
///
/// # Errors
/// Besides those of writing: a message of 64 KiB or more.
pub fn send(to: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut bytes = vec![0, 0];
    message.put(&mut bytes);
    let length = u16::try_from(bytes.len() - 2).map_err(|_| io::Error::other("a message of 64 KiB or more"))?;
    bytes[..2].copy_from_slice(&length.to_ne_bytes());
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads a message; `None` where the helper closed the pipe between two messages.
pub fn receive(from: &mut impl Read) -> io::Result<Option<Message>> {
    let mut length = [0; 2];
    match from.read(&mut length)? {
        0 => return Ok(None),
        1 => from.read_exact(&mut length[1..])?,
        _ => {}
    }
    let mut body = vec![0; u16::from_ne_bytes(length).into()];
    from.read_exact(&mut body)?;
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, format!("no message: {} bytes", body.len()));
    Message::get(&body).ok_or_else(unknown).map(Some)
}

/// Writes an answer.
pub fn send_reply(to: &mut impl Write, reply: i32) -> io::Result<()> {
    to.write_all(&reply.to_ne_bytes())?;
    to.flush()
}

/// Reads an answer.
pub fn receive_reply(from: &mut impl Read) -> io::Result<i32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        vec![
            Message::Log { level: level::DEBUG, errno: -1, context: "xc".into(), text: "starting save".into() },
            Message::Progress { context: "xc".into(), what: "Frames".into(), done: 1, total: 1 << 40 },
            Message::Suspend {},
            Message::Postcopy {},
            Message::Checkpoint {},
            Message::WaitCheckpoint {},
            Message::SwitchQemuLogdirty { domid: 7, enable: 1 },
            Message::StaticDataDone { missing: 3 },
            Message::RestoreResults { store_gfn: 0xfeffc, console_gfn: 0xfefff },
            Message::Complete { retval: -1, errno: 22 },
        ]
    }

    #[test]
    fn every_message_survives_the_round_trip() {
        let mut pipe = Vec::new();
        all().iter().for_each(|m| send(&mut pipe, m).unwrap());
        let mut from = &pipe[..];
        for (i, message) in all().into_iter().enumerate() {
            assert_eq!(message.number() as usize, i + 1);
            assert_eq!(receive(&mut from).unwrap(), Some(message));
        }
        assert_eq!(receive(&mut from).unwrap(), None);
    }

    #[test]
    fn the_bytes_are_those_of_stocks_helper() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Message::SwitchQemuLogdirty { domid: 1, enable: 1 }).unwrap();
        assert_eq!(bytes, [10, 0, 7, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
        bytes.clear();
        send(&mut bytes, &Message::Log { level: 1, errno: -1, context: "x".into(), text: String::new() }).unwrap();
        assert_eq!(bytes, [21, 0, 1, 0, 1, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0, b'x', 0, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_text_ends_at_its_first_nul() {
        let mut bytes = Vec::new();
        send(&mut bytes, &Message::Log { level: 1, errno: 0, context: "xc".into(), text: "a-b".into() }).unwrap();
        let at = bytes.len() - 3;
        bytes[at] = 0;
        let Some(Message::Log { text, .. }) = receive(&mut &bytes[..]).unwrap() else { panic!("another message") };
        assert_eq!(text, "a");
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        for body in
            [&[][..], &[1], &[99, 0], &[3, 0, 0], &[7, 0, 1, 0, 0], &[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]]
        {
            let mut bytes = (body.len() as u16).to_ne_bytes().to_vec();
            bytes.extend(body);
            assert!(receive(&mut &bytes[..]).is_err(), "{body:?}");
        }
        assert!(receive(&mut &[5][..]).is_err());
    }
}
