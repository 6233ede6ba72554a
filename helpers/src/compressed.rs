//! The compressed form of a guest's stream (docs/migration.md): one zstd or LZ4 frame, in chunks with a length each.
//!
//! The chunks tell where the stream ends, so that what follows it on the same pipe, as in a migration, is not read.

use std::io::{self, BufRead, BufReader, Read, Write};
use zstd::zstd_safe::CParameter;

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1) and of an LZ4 frame.
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const LZ4_MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// The size of a chunk that is written.
const CHUNK: usize = 256 << 10;
/// The most that a reader accepts.
const CHUNK_MAX: u32 = 16 << 20;
/// Bytes that go into the compressor at once.
const COPIED_AT_ONCE: usize = 256 << 10;

/// Bytes that a processor compresses on its own: what is in work when the guest stands still already is then this much for
/// each of them, at any level.
const JOB: u32 = 8 << 20;

/// How to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// zstd at this level, on all processors.
    Zstd(i32),
    /// LZ4: less work, larger.
    Lz4,
}

/// Compresses all of `from` into `to`.
pub fn compress(method: Method, from: impl Read, to: impl Write) -> io::Result<()> {
    let to = ChunkWriter::new(to);
    match method {
        Method::Zstd(level) => {
            let mut encoder = zstd::Encoder::new(to, level)?;
            encoder.include_checksum(true)?;
            // One processor needs no workers beside the caller.
            let processors = std::thread::available_parallelism().map_or(1, usize::from) as u32;
            if processors > 1 {
                encoder.multithread(processors)?;
                encoder.set_parameter(CParameter::JobSize(JOB))?;
            }
            copy(from, &mut encoder)?;
            encoder.finish()?.finish()
        }
        Method::Lz4 => {
            let mut info = lz4_flex::frame::FrameInfo::new();
            info.block_size = lz4_flex::frame::BlockSize::Max1MB;
            info.content_checksum = true;
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, to);
            copy(from, &mut encoder)?;
            encoder.finish().map_err(io::Error::other)?.finish()
        }
    }
}

/// Decompresses one stream from `from`, whichever way it was compressed, and reads nothing after it.
pub fn decompress(from: impl Read, to: impl Write) -> io::Result<()> {
    copy(Decoder::new(from)?, to)
}

/// The stream that a compressed one holds. At its end exactly the compressed one was read.
pub struct Decoder<R: Read>(Frame<R>);

type Chunks<R> = BufReader<ChunkReader<R>>;

enum Frame<R: Read> {
    Zstd(zstd::Decoder<'static, Chunks<R>>),
    Lz4(lz4_flex::frame::FrameDecoder<Chunks<R>>),
}

impl<R: Read> Decoder<R> {
    /// Finds out how it was compressed.
    pub fn new(from: R) -> io::Result<Self> {
        let mut chunks = BufReader::with_capacity(CHUNK, ChunkReader::new(from));
        let begin = chunks.fill_buf()?;
        if begin.starts_with(&ZSTD_MAGIC) {
            Ok(Decoder(Frame::Zstd(zstd::Decoder::with_buffer(chunks)?.single_frame())))
        } else if begin.starts_with(&LZ4_MAGIC) {
            Ok(Decoder(Frame::Lz4(lz4_flex::frame::FrameDecoder::new(chunks))))
        } else {
            Err(damaged("it is compressed in no known way"))
        }
    }

    fn read_end(&mut self) -> io::Result<()> {
        let chunks = match &mut self.0 {
            Frame::Zstd(frame) => frame.get_mut(),
            Frame::Lz4(frame) => frame.get_mut(),
        };
        match chunks.fill_buf()? {
            [] => Ok(()),
            _ => Err(damaged("more follows the compressed stream")),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.0 {
            Frame::Zstd(frame) => frame.read(into)?,
            Frame::Lz4(frame) => frame.read(into)?,
        };
        if read == 0 && !into.is_empty() {
            self.read_end()?;
        }
        Ok(read)
    }
}

fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; COPIED_AT_ONCE];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.flush(),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn damaged(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}

/// Writes chunks: a length of 32 bits, little endian, then so many bytes; the length 0 is the end.
struct ChunkWriter<W> {
    to: W,
    chunk: Vec<u8>,
}

impl<W: Write> ChunkWriter<W> {
    fn new(to: W) -> Self {
        ChunkWriter { to, chunk: Vec::with_capacity(CHUNK) }
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if !self.chunk.is_empty() {
            self.to.write_all(&(self.chunk.len() as u32).to_le_bytes())?;
            self.to.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_chunk()?;
        self.to.write_all(&[0; 4])?;
        self.to.flush()
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.end_chunk()?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Chunks are as long as they can be: the encoder's flushes do not end them.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what a [`ChunkWriter`] wrote, and not a byte more.
struct ChunkReader<R> {
    from: R,
    /// Bytes of the chunk at hand that are not read yet.
    left: u32,
    ended: bool,
}

impl<R: Read> ChunkReader<R> {
    fn new(from: R) -> Self {
        ChunkReader { from, left: 0, ended: false }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => too_short(),
            _ => e,
        })?;
        match u32::from_le_bytes(length) {
            0 => self.ended = true,
            length @ ..=CHUNK_MAX => self.left = length,
            length => return Err(damaged(&format!("a chunk of {length} bytes"))),
        }
        Ok(())
    }
}

impl<R: Read> Read for ChunkReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let wanted = into.len().min(self.left as usize);
        match self.from.read(&mut into[..wanted])? {
            0 => Err(too_short()),
            read => {
                self.left -= read as u32;
                Ok(read)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 3] = [Method::Zstd(1), Method::Zstd(19), Method::Lz4];

    /// A guest's memory in small: zeros, text, noise.
    fn memory() -> Vec<u8> {
        let mut noise = 1_u32;
        let noise = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        });
        let text = b"tick ".iter().copied().cycle().take(100_000);
        std::iter::repeat_n(0, 700_000).chain(text).chain(noise.take(600_000)).collect()
    }

    fn compressed(method: Method) -> Vec<u8> {
        let mut out = Vec::new();
        compress(method, &memory()[..], &mut out).unwrap();
        out
    }

    #[test]
    fn a_stream_comes_back_and_what_follows_it_is_not_read() {
        for method in METHODS {
            let mut bytes = compressed(method);
            assert!(bytes.len() < 650_000, "{method:?}: {}", bytes.len());
            bytes.extend(b"domain is yours");
            let (mut from, mut found) = (&bytes[..], Vec::new());
            decompress(&mut from, &mut found).unwrap();
            assert!(found == memory(), "{method:?}");
            assert_eq!(from, b"domain is yours");
        }
    }

    #[test]
    fn an_empty_stream_comes_back() {
        for method in METHODS {
            let (mut bytes, mut found) = (Vec::new(), Vec::new());
            compress(method, io::empty(), &mut bytes).unwrap();
            decompress(&bytes[..], &mut found).unwrap();
            assert!(found.is_empty());
        }
    }

    #[test]
    fn truncated_and_damaged_streams_are_errors() {
        for method in [Method::Zstd(1), Method::Lz4] {
            let bytes = compressed(method);
            for length in [0, 3, 4, 8, 1000, bytes.len() - 5, bytes.len() - 1] {
                assert!(decompress(&bytes[..length], io::sink()).is_err(), "{method:?}: {length}");
            }
            for at in [4, 300_000, bytes.len() - 6] {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x10;
                assert!(decompress(&bytes[..], io::sink()).is_err(), "{method:?}: byte {at}");
            }
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let huge = [&u32::MAX.to_le_bytes()[..], &ZSTD_MAGIC].concat();
        assert_eq!(decompress(&huge[..], io::sink()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let mut twice = compressed(Method::Lz4);
        twice.truncate(twice.len() - 4);
        twice.extend([1, 0, 0, 0, 9, 0, 0, 0, 0]);
        assert!(decompress(&twice[..], io::sink()).is_err());
    }
}
