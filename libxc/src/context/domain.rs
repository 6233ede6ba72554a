//! Domain context: records as HVM context has them, proposed for all kinds of domains (xen/save.h of that proposal; no
//! release of Xen has it).
//!
//! A record is a descriptor of 16 bytes and its data: `u16` type, `u16` vCPU, `u32` flags, `u64` length. The list begins
//! with HEADER and ends with END; in between the types come in the order of their numbers, those of vCPUs once for each.

use nix::errno::Errno;

const END: u16 = 0;
const HEADER: u16 = 1;
/// Bit of the flags: the reader passes over the data.
const IGNORE: u32 = 1 << 0;
/// "SAVE".
const MAGIC: u32 = 0x5341_5645;
const VERSION: u32 = 1;
const DESCRIPTOR: usize = 16;

/// The result of writing or reading a context.
pub type Result<T> = std::result::Result<T, Errno>;

/// Writes the record of a vCPU, or of the domain (0).
pub type Save<'t> = dyn Fn(u16, &mut Writer) -> Result<()> + 't;
/// Reads a record.
pub type Load<'t> = dyn Fn(&mut Record<'_>) -> Result<()> + 't;

/// A type of record beside HEADER and END, and who writes and reads it.
pub struct Type<'t> {
    /// Its number, from 2 on.
    pub number: u16,
    /// Whether each vCPU has one.
    pub per_vcpu: bool,
    /// Writes it. None if this type is only read.
    pub save: Option<&'t Save<'t>>,
    /// Reads it. None if this type is only written.
    pub load: Option<&'t Load<'t>>,
}

/// Writes records, or only counts what they would take.
pub struct Writer {
    /// None if only the length is wanted.
    bytes: Option<Vec<u8>>,
    length: u64,
    /// The type and the vCPU of the record at hand.
    at: (u16, u16),
    /// What that record still lacks; none before it has begun.
    left: Option<u64>,
}

impl Writer {
    /// Begins the record at hand, whose data has this length.
    ///
    /// # Errors
    /// `EBUSY` if it was begun.
    pub fn begin(&mut self, length: u64) -> Result<()> {
        if self.left.is_some() {
            return Err(Errno::EBUSY);
        }
        let (number, vcpu) = self.at;
        let mut descriptor = [0; DESCRIPTOR];
        descriptor[..2].copy_from_slice(&number.to_le_bytes());
        descriptor[2..4].copy_from_slice(&vcpu.to_le_bytes());
        descriptor[8..].copy_from_slice(&length.to_le_bytes());
        self.put(&descriptor);
        self.left = Some(length);
        Ok(())
    }

    /// Writes data of the record.
    ///
    /// # Errors
    /// `ENOSPC` beyond the length that was announced.
    pub fn data(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.left.and_then(|left| left.checked_sub(bytes.len() as u64)).ok_or(Errno::ENOSPC)?;
        self.left = Some(left);
        self.put(bytes);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if let Some(all) = &mut self.bytes {
            all.extend_from_slice(bytes);
        }
    }

    /// Lets `save` write a record; it may leave it out.
    fn record(&mut self, number: u16, vcpu: u16, save: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        (self.at, self.left) = ((number, vcpu), None);
        save(self)?;
        match self.left {
            None | Some(0) => Ok(()),
            Some(_) => Err(Errno::EIO),
        }
    }

    fn all(&mut self, types: &[Type<'_>], vcpus: u16) -> Result<()> {
        let header = [MAGIC.to_le_bytes(), VERSION.to_le_bytes()].concat();
        self.record(HEADER, 0, |w| w.begin(header.len() as u64).and_then(|()| w.data(&header)))?;
        let mut types: Vec<_> = types.iter().filter_map(|t| Some((t.number, t.per_vcpu, t.save?))).collect();
        types.sort_by_key(|(number, ..)| *number);
        for (number, per_vcpu, save) in types {
            for vcpu in 0..if per_vcpu { vcpus } else { 1 } {
                self.record(number, vcpu, |w| save(vcpu, w))?;
            }
        }
        self.record(END, 0, |w| w.begin(0))
    }
}

/// The length of what [`save`] writes.
///
/// # Errors
/// As those of [`save`].
pub fn size(types: &[Type<'_>], vcpus: u16) -> Result<u64> {
    let mut writer = Writer { bytes: None, length: 0, at: (END, 0), left: None };
    writer.all(types, vcpus)?;
    Ok(writer.length)
}

/// Writes a context: HEADER, each type that can be saved, END.
///
/// # Errors
/// What a type's writer fails with; `EIO` if it wrote less than it announced.
pub fn save(types: &[Type<'_>], vcpus: u16) -> Result<Vec<u8>> {
    let mut writer = Writer { bytes: Some(Vec::new()), length: 0, at: (END, 0), left: None };
    writer.all(types, vcpus)?;
    Ok(writer.bytes.unwrap_or_default())
}

/// A record that is being read.
pub struct Record<'a> {
    /// Of which vCPU; 0 if the type is of the domain.
    pub vcpu: u16,
    data: &'a [u8],
    /// Bytes of zeros after the data, for a type that has grown since.
    zeros: u64,
    /// Whether [`Record::begin`] was called.
    begun: bool,
}

impl Record<'_> {
    /// Begins to read a structure of this length. Unless it is to be `exact`, a shorter record is filled up with zeros.
    ///
    /// # Errors
    /// `EINVAL` for another length.
    pub fn begin(&mut self, length: u64, exact: bool) -> Result<()> {
        let missing = length.checked_sub(self.data.len() as u64).filter(|missing| *missing == 0 || !exact);
        self.zeros = missing.ok_or(Errno::EINVAL)?;
        self.begun = true;
        Ok(())
    }

    /// Reads data.
    ///
    /// # Errors
    /// `ENODATA` beyond the structure's end.
    pub fn data(&mut self, into: &mut [u8]) -> Result<()> {
        let taken = into.len().min(self.data.len());
        let zeros = (into.len() - taken) as u64;
        if !self.begun || zeros > self.zeros {
            return Err(Errno::ENODATA);
        }
        let (data, rest) = self.data.split_at(taken);
        into[..taken].copy_from_slice(data);
        into[taken..].fill(0);
        (self.data, self.zeros) = (rest, self.zeros - zeros);
        Ok(())
    }

    /// The record is to be read whole.
    fn end(&self) -> Result<()> {
        if self.data.is_empty() && self.zeros == 0 { Ok(()) } else { Err(Errno::EIO) }
    }
}

/// Reads a context of a domain with so many vCPUs. What follows END is not looked at.
///
/// # Errors
/// `EINVAL` where a descriptor breaks the rules, `EOPNOTSUPP` for a type that is only written, `ENODATA` where the
/// context ends early, `EIO` if a type's reader leaves something unread, or what it fails with.
pub fn load(types: &[Type<'_>], vcpus: u16, mut bytes: &[u8]) -> Result<()> {
    header(take_record(&mut bytes)?)?;
    loop {
        let (descriptor, data) = take_record(&mut bytes)?;
        match descriptor.number {
            END if descriptor == Descriptor::default() && data.is_empty() => return Ok(()),
            END => return Err(Errno::EINVAL),
            HEADER if descriptor.flags != 0 => return Err(Errno::EINVAL),
            HEADER => return Err(Errno::EOPNOTSUPP),
            _ => load_one(types, vcpus, &descriptor, data)?,
        }
    }
}

fn load_one(types: &[Type<'_>], vcpus: u16, descriptor: &Descriptor, data: &[u8]) -> Result<()> {
    let &Descriptor { number, vcpu, flags } = descriptor;
    if flags & !IGNORE != 0 {
        return Err(Errno::EINVAL);
    }
    let found = types.iter().find(|t| t.number == number).ok_or(Errno::EINVAL)?;
    if vcpu >= if found.per_vcpu { vcpus } else { 1 } {
        return Err(Errno::EINVAL);
    }
    if flags & IGNORE != 0 {
        return Ok(());
    }
    let mut record = Record { vcpu, data, zeros: 0, begun: false };
    found.load.ok_or(Errno::EOPNOTSUPP)?(&mut record)?;
    record.end()
}

fn header((descriptor, data): (Descriptor, &[u8])) -> Result<()> {
    let expected = [MAGIC.to_le_bytes(), VERSION.to_le_bytes()].concat();
    let is_header = descriptor == Descriptor { number: HEADER, vcpu: 0, flags: 0 };
    if is_header && data == expected { Ok(()) } else { Err(Errno::EINVAL) }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Descriptor {
    number: u16,
    vcpu: u16,
    flags: u32,
}

/// Takes a record from the front.
fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<(Descriptor, &'a [u8])> {
    let (head, rest) = bytes.split_first_chunk::<DESCRIPTOR>().ok_or(Errno::ENODATA)?;
    let number = |from: usize, width: usize| {
        head[from..from + width].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    let length = usize::try_from(number(8, 8)).map_err(|_| Errno::ENODATA)?;
    let (data, rest) = rest.split_at_checked(length).ok_or(Errno::ENODATA)?;
    *bytes = rest;
    Ok((Descriptor { number: number(0, 2) as u16, vcpu: number(2, 2) as u16, flags: number(4, 4) as u32 }, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A type of the domain with 8 bytes, and one of each vCPU with 4, which one may leave out.
    fn saved() -> Vec<u8> {
        let domain = |_: u16, w: &mut Writer| w.begin(8).and_then(|()| w.data(b"abcd")).and_then(|()| w.data(b"efgh"));
        let vcpu = |vcpu: u16, w: &mut Writer| match vcpu {
            1 => Ok(()),
            _ => w.begin(4).and_then(|()| w.data(&[vcpu as u8; 4])),
        };
        let types = [
            Type { number: 3, per_vcpu: true, save: Some(&vcpu), load: None },
            Type { number: 2, per_vcpu: false, save: Some(&domain), load: None },
        ];
        let bytes = save(&types, 3).unwrap();
        assert_eq!(size(&types, 3).unwrap(), bytes.len() as u64);
        bytes
    }

    fn record(number: u16, vcpu: u16, flags: u32, data: &[u8]) -> Vec<u8> {
        let head = [&number.to_le_bytes()[..], &vcpu.to_le_bytes(), &flags.to_le_bytes()].concat();
        [&head[..], &(data.len() as u64).to_le_bytes(), data].concat()
    }

    fn context(records: &[Vec<u8>]) -> Vec<u8> {
        [record(HEADER, 0, 0, b"EVAS\x01\0\0\0"), records.concat(), record(END, 0, 0, &[])].concat()
    }

    /// Loads with a reader for each of the two types: what it was given, per record.
    fn loaded(bytes: &[u8], wanted: u64, exact: bool) -> Result<Vec<(u16, Vec<u8>)>> {
        let seen = RefCell::new(Vec::new());
        let read = |record: &mut Record<'_>| {
            record.begin(wanted, exact)?;
            let mut data = vec![0xff; wanted as usize];
            record.data(&mut data)?;
            seen.borrow_mut().push((record.vcpu, data));
            Ok(())
        };
        let types = [(2, false), (3, true)];
        let types = types.map(|(number, per_vcpu)| Type { number, per_vcpu, save: None, load: Some(&read) });
        load(&types, 3, bytes)?;
        Ok(seen.take())
    }

    #[test]
    fn types_are_written_in_order_once_for_each_vcpu() {
        let expected = context(&[record(2, 0, 0, b"abcdefgh"), record(3, 0, 0, &[0; 4]), record(3, 2, 0, &[2; 4])]);
        assert_eq!(saved(), expected);
    }

    #[test]
    fn writers_keep_to_the_length_they_announced() {
        let fails = |save: &dyn Fn(u16, &mut Writer) -> Result<()>| {
            let types = [Type { number: 2, per_vcpu: false, save: Some(save), load: None }];
            assert_eq!(size(&types, 1).unwrap_err(), super::save(&types, 1).unwrap_err());
            size(&types, 1).unwrap_err()
        };
        assert_eq!(fails(&|_, w| w.begin(4).and_then(|()| w.data(b"abc"))), Errno::EIO);
        assert_eq!(fails(&|_, w| w.begin(2).and_then(|()| w.data(b"abc"))), Errno::ENOSPC);
        assert_eq!(fails(&|_, w| w.data(b"abc")), Errno::ENOSPC);
        assert_eq!(fails(&|_, w| w.begin(0).and_then(|()| w.begin(0))), Errno::EBUSY);
        assert_eq!(fails(&|_, _| Err(Errno::ENOMEM)), Errno::ENOMEM);
    }

    #[test]
    fn shorter_records_are_filled_up_unless_they_are_to_be_exact() {
        let bytes = context(&[record(2, 0, 0, b"abc"), record(3, 2, 0, b"defg")]);
        let filled = vec![(0, b"abc\0\0\0".to_vec()), (2, b"defg\0\0".to_vec())];
        assert_eq!(loaded(&bytes, 6, false), Ok(filled));
        assert_eq!(loaded(&bytes, 6, true), Err(Errno::EINVAL));
        assert_eq!(loaded(&bytes, 3, false), Err(Errno::EINVAL), "never longer");
        assert_eq!(loaded(&context(&[record(2, 0, 0, b"abc")]), 3, true), Ok(vec![(0, b"abc".to_vec())]));
    }

    #[test]
    fn readers_read_all_and_no_more() {
        let bytes = context(&[record(2, 0, 0, b"abcd")]);
        let with = |load: &Load<'_>| {
            super::load(&[Type { number: 2, per_vcpu: false, save: None, load: Some(load) }], 1, &bytes)
        };
        assert_eq!(with(&|r| r.begin(4, true).and_then(|()| r.data(&mut [0; 3]))), Err(Errno::EIO));
        assert_eq!(with(&|r| r.begin(4, true).and_then(|()| r.data(&mut [0; 5]))), Err(Errno::ENODATA));
        assert_eq!(with(&|r| r.begin(6, false).and_then(|()| r.data(&mut [0; 5]))), Err(Errno::EIO));
        assert_eq!(with(&|r| r.data(&mut [0; 4])), Err(Errno::ENODATA), "before it has begun");
        assert_eq!(with(&|_| Ok(())), Err(Errno::EIO));
        let only_written = [Type { number: 2, per_vcpu: false, save: None, load: None }];
        assert_eq!(load(&only_written, 1, &bytes), Err(Errno::EOPNOTSUPP));
    }

    #[test]
    fn ignored_records_are_passed_over() {
        let bytes = context(&[record(3, 1, IGNORE, b"too long for anybody"), record(3, 1, 0, b"abcd")]);
        assert_eq!(loaded(&bytes, 4, true), Ok(vec![(1, b"abcd".to_vec())]));
    }

    #[test]
    fn descriptors_that_break_the_rules_are_refused() {
        let refused = |bytes: &[u8]| loaded(bytes, 4, true).unwrap_err();
        for bad in [
            record(2, 0, 2, b"abcd"),
            record(2, 1, 0, b"abcd"),
            record(3, 3, 0, b"abcd"),
            record(4, 0, 0, b"abcd"),
            record(4, 0, IGNORE, b"abcd"),
            record(HEADER, 0, IGNORE, b"EVAS\x01\0\0\0"),
            record(END, 0, 0, b"x"),
            record(END, 0, IGNORE, b""),
        ] {
            assert_eq!(refused(&context(&[bad])), Errno::EINVAL);
        }
        assert_eq!(refused(&context(&[record(HEADER, 0, 0, b"EVAS\x01\0\0\0")])), Errno::EOPNOTSUPP);
        for header in [
            record(HEADER, 0, 0, b"EVAS\x02\0\0\0"),
            record(HEADER, 0, 0, b"SAVE\x01\0\0\0"),
            record(HEADER, 1, 0, b"EVAS\x01\0\0\0"),
            record(HEADER, 0, IGNORE, b"EVAS\x01\0\0\0"),
            record(HEADER, 0, 0, b"EVAS\x01\0\0\0\0"),
            record(2, 0, 0, b"abcd"),
        ] {
            assert_eq!(refused(&[header, record(END, 0, 0, &[])].concat()), Errno::EINVAL);
        }
    }

    #[test]
    fn what_follows_the_end_is_not_read_and_what_ends_early_is_an_error() {
        let bytes = context(&[record(2, 0, 0, b"abcd")]);
        assert!(loaded(&[&bytes[..], b"rest"].concat(), 4, true).is_ok());
        for length in 0..bytes.len() {
            assert_eq!(loaded(&bytes[..length], 4, true), Err(Errno::ENODATA), "{length}");
        }
    }
}
