//! What stands in front of a saved or migrating guest: xl's own header, with the guest's configuration.

use crate::config::load::{self, Loaded, Options};
use crate::failure::Failure;
use crate::output::say;
use crate::session::Session;
use libxc::DomId;
use libxl::domain::configuration;
use libxl::stream::{Form, SaveFileHeader};
use libxl::types::{DomainConfig, json};
use std::io::{self, Read, Write};
use std::path::Path;

/// Which configuration a guest takes along.
pub(crate) struct Taken<'a> {
    /// This file's in place of the guest's own.
    pub(crate) file: Option<&'a str>,
    /// The guest is to have its number again.
    pub(crate) keep_domid: bool,
}

/// What the header says of the guest that follows.
pub(crate) struct Saved {
    /// Its configuration, and xl's own.
    pub(crate) loaded: Loaded,
    /// The form of its stream.
    pub(crate) form: Form,
}

/// The configuration that a guest takes along.
pub(crate) fn config(session: &Session, domid: DomId, taken: &Taken<'_>) -> Result<DomainConfig, Failure> {
    if let Some(file) = taken.file {
        let options = Options { quiet: true, ignore_masks: true, ..Options::default() };
        let loaded = load::guest(&session.ctx, Path::new(file), &[], options);
        return loaded.map(|loaded| loaded.config).map_err(|e| e.with_status(1));
    }
    let mut config = configuration::current(&session.ctx, domid)?;
    config.c_info.domid = if taken.keep_domid { domid.0.into() } else { 0 };
    Ok(config)
}

/// Writes the header. `name` is what `to` is called; the stream may be `compressed`.
pub(crate) fn write(mut to: impl Write, name: &str, config: &DomainConfig, compressed: bool) -> Result<(), Failure> {
    // yajl ends a text with a newline.
    let text = json::to_string(config) + "\n";
    let (header, data) = SaveFileHeader::with_config(&text, compressed).map_err(libxl::Error::from)?;
    let bytes = [&header.encode()[..], &data].concat();
    to.write_all(&bytes).map_err(|e| Failure::new(1, format!("writing to {name}: {}", libxc::reason(&e))))?;
    say(format_args!("Saving to {name} new xl format (info {})", words(&header)));
    Ok(())
}

/// Reads the header, and the guest's configuration: `file`, if given, goes in place of what the header has.
pub(crate) fn read(session: &Session, from: impl Read, name: &str, file: Option<&str>) -> Result<Saved, Failure> {
    let (header, data) = header(from, name)?;
    say(format_args!("Loading new save file {name} (new xl fmt info {})", words(&header)));
    let config = header.config(&data).map_err(|e| damaged(name, &e))?;
    if config.is_some() {
        say(format_args!(" Savefile contains xl domain config{}", if header.json { " in JSON format" } else { "" }));
    }
    let loaded = match (file, config) {
        (Some(file), _) => load::guest(&session.ctx, Path::new(file), &[], Options::default()),
        (None, Some(text)) => {
            say(format_args!("Parsing config from <saved>"));
            load::saved(&session.ctx, text, header.json)
        }
        (None, None) => Err(Failure::new(1, format!("{name} has no configuration: xl restore CONFIGFILE {name}"))),
    };
    let loaded = loaded.map_err(|e| e.with_status(1))?;
    Ok(Saved { loaded, form: header.form() })
}

fn header(mut from: impl Read, name: &str) -> Result<(SaveFileHeader, Vec<u8>), Failure> {
    let mut bytes = [0; SaveFileHeader::SIZE];
    from.read_exact(&mut bytes).map_err(|e| unreadable(name, &e))?;
    let header = SaveFileHeader::decode(&bytes).map_err(|e| damaged(name, &e))?;
    let length = u64::from(header.optional_data_len);
    let mut data = Vec::new();
    let read = from.take(length).read_to_end(&mut data).map_err(|e| unreadable(name, &e))?;
    match read as u64 == length {
        true => Ok((header, data)),
        false => Err(unreadable(name, &io::ErrorKind::UnexpectedEof.into())),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::new(1, format!("{name} is truncated")),
        _ => Failure::new(1, format!("reading {name}: {}", libxc::reason(error))),
    }
}

fn damaged(name: &str, error: &libxl::stream::StreamError) -> Failure {
    Failure::new(1, format!("{name}: {error}"))
}

/// The header's numbers, in the form of stock xl's messages.
fn words(header: &SaveFileHeader) -> String {
    format!("{:#x}/{:#x}/{}", header.mandatory_flags(), header.optional_flags, header.optional_data_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        header(bytes, "g.save").map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_header_is_read_back_and_nothing_after_it() {
        let mut bytes = Vec::new();
        write(&mut bytes, "g.save", &DomainConfig::default(), false).unwrap();
        bytes.extend(b"LibxlFmt");
        let mut from = &bytes[..];
        let (header, data) = header(&mut from, "g.save").unwrap();
        assert_eq!(from, b"LibxlFmt");
        let text = header.config(&data).unwrap().unwrap();
        assert!(text.ends_with(b"}\n"), "as stock's, without the NUL");
        assert_eq!(words(&header), format!("0x3/0x0/{}", data.len()));
    }

    #[test]
    fn truncated_and_other_files_are_refused_by_name() {
        let mut bytes = Vec::new();
        write(&mut bytes, "g.save", &DomainConfig::default(), false).unwrap();
        for length in [0, 47, 48, bytes.len() - 1] {
            assert_eq!(refusal(&bytes[..length]), "xl: g.save is truncated");
        }
        assert!(refusal(&[b'x'; 100]).contains("no file of `xl save`"));
    }
}
