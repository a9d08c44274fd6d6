//! gzip: one member, and never more than a hundred times what came in (threats V131, V147).

use std::io::{BufRead, BufReader, Cursor, Error, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::bufread::GzDecoder;

use super::FileError;

/// How much larger the contents of a file may be than the file.
const RATIO: u64 = 100;
/// Below this size nobody asks for the ratio: short files pack better than long ones.
const FREE: u64 = 1024 * 1024;

/// The contents of a file, unpacked where it is gzip.
///
/// # Errors
/// The file cannot be read, or is packed in another way.
pub(super) fn unpacked(mut input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, FileError> {
    let mut magic = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut magic)?;
    let zip = magic.starts_with(b"PK\x03\x04");
    let gzip = magic.starts_with(&[0x1f, 0x8b]);
    let other = [
        &b"BZh"[..],
        &[0xfd, b'7', b'z'],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"7z\xbc",
    ];
    if zip || other.iter().any(|start| magic.starts_with(start)) {
        return Err(FileError::format(
            "the file is an archive: unpack it, or pack the one file inside it with gzip",
        ));
    }
    let input = Cursor::new(magic).chain(input);
    if gzip {
        Ok(Box::new(Member::new(input)))
    } else {
        Ok(Box::new(input))
    }
}

/// Counts the bytes that are taken out of it.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// The one member of a gzip file.
struct Member<R: Read> {
    inner: GzDecoder<BufReader<Counted<R>>>,
    packed: Arc<AtomicU64>,
    unpacked: u64,
    ended: bool,
}

impl<R: Read> Member<R> {
    fn new(input: R) -> Self {
        let packed = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: input,
            read: Arc::clone(&packed),
        };
        Self {
            inner: GzDecoder::new(BufReader::new(counted)),
            packed,
            unpacked: 0,
            ended: false,
        }
    }
}

impl<R: Read> Read for Member<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(into)?;
        self.unpacked = self.unpacked.saturating_add(read as u64);
        let most = self.packed.load(Relaxed).saturating_mul(RATIO).max(FREE);
        if self.unpacked > most {
            return Err(Error::other(format!(
                "it unpacks to more than {RATIO} times its size; unpack it first, and import what is inside"
            )));
        }
        if read == 0 {
            self.ended = true;
            if !self.inner.get_mut().fill_buf()?.is_empty() {
                return Err(Error::other(
                    "it is several gzip files in one; import them one by one",
                ));
            }
        }
        Ok(read)
    }
}
