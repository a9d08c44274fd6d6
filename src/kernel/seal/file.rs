//! The master key's file: one line, `vestibule-master-key-v1:` and 32 bytes in base64. Owned by
//! `kernel::seal`; called at start and by `keys rotate-master`. Invariants: a file is never
//! overwritten, and one that others can read is refused.

use super::MasterKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the line starts with.
const PREFIX: &str = "vestibule-master-key-v1:";

/// A key file is shorter than this; what is longer is another file.
const MAX_BYTES: u64 = 1024;

/// Why there is no master key. Each text says what to do; none quotes the key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// There is no file, and the database holds values that only the lost key opens.
    #[error(
        "there is no master key at {0}, and the database holds values encrypted under one: put \
         the key file back from its backup, or set VESTIBULE_MASTER_KEY_FILE to where it is"
    )]
    Missing(PathBuf),
    /// The file is there already.
    #[error("{0} is there already, and a master key is never overwritten: choose another path")]
    Exists(PathBuf),
    /// Other accounts of this machine can read or write the file.
    #[error(
        "the master key {path} is open to other accounts (mode {mode:04o}): run `chmod 600 {path}`"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is something else.
    #[error(
        "{0} is not a master key of this version: it must be one line that starts with \
         `vestibule-master-key-v1:`; put the key file back from its backup, or, if the database \
         is new, delete the file and start again"
    )]
    NotAKey(PathBuf),
    /// The file is a key, but not of 32 bytes.
    #[error(
        "the master key {path} has {bytes} bytes and must have 32: put the key file back from its \
         backup"
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// The length found.
        bytes: usize,
    },
    /// The key is not the one whose fingerprint the database holds.
    #[error(
        "this master key is not the one the database was encrypted with: set \
         VESTIBULE_MASTER_KEY_FILE to the right file; all nodes on one database share one key"
    )]
    WrongKey,
    /// The file cannot be read or written.
    #[error("cannot use the master key {path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
}

impl MasterKey {
    /// Reads the key, or makes one where there is none and `may_create` says that the database
    /// holds nothing encrypted yet. When two nodes start at once, both get the key of the first.
    ///
    /// # Errors
    ///
    /// See [`MasterKeyError`].
    pub fn load_or_create(
        path: &Path,
        may_create: bool,
        random: &dyn Fn(&mut [u8]),
    ) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Missing(_)) if may_create => match Self::create(path, random) {
                Err(MasterKeyError::Exists(_)) => Self::load(path),
                made => made,
            },
            loaded => loaded,
        }
    }

    /// Reads a key whose file is there.
    ///
    /// # Errors
    ///
    /// When the file is missing, open to others, or no key.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let io_error = |cause| MasterKeyError::Io {
            path: path.to_owned(),
            cause,
        };
        let file = File::open(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => MasterKeyError::Missing(path.to_owned()),
            _ => io_error(cause),
        })?;
        check_mode(path, &file)?;
        let mut line = Zeroizing::new(String::new());
        file.take(MAX_BYTES)
            .read_to_string(&mut line)
            .map_err(|cause| match cause.kind() {
                io::ErrorKind::InvalidData => MasterKeyError::NotAKey(path.to_owned()),
                _ => io_error(cause),
            })?;
        parse(path, &line).map(Self::from_bytes)
    }

    /// Makes a new key and its file, with mode 0600, and the directory with mode 0700 if that is
    /// not there. The key is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the file is there already or cannot be written.
    pub fn create(path: &Path, random: &dyn Fn(&mut [u8])) -> Result<Self, MasterKeyError> {
        let key = Self::generate(random);
        write_new(path, &key).map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists => MasterKeyError::Exists(path.to_owned()),
            _ => MasterKeyError::Io {
                path: path.to_owned(),
                cause,
            },
        })?;
        Ok(key)
    }

    /// Whether this is the key whose [`fingerprint`](Self::fingerprint) the database holds.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::WrongKey`] when it is another.
    pub fn check_fingerprint(&self, stored: &str) -> Result<(), MasterKeyError> {
        if self.fingerprint() == stored {
            Ok(())
        } else {
            Err(MasterKeyError::WrongKey)
        }
    }
}

fn parse(path: &Path, line: &str) -> Result<Zeroizing<[u8; 32]>, MasterKeyError> {
    let not_a_key = || MasterKeyError::NotAKey(path.to_owned());
    let encoded = line.trim_end().strip_prefix(PREFIX).ok_or_else(not_a_key)?;
    let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| not_a_key())?);
    let bytes = <[u8; 32]>::try_from(decoded.as_slice());
    bytes
        .map(Zeroizing::new)
        .map_err(|_| MasterKeyError::WrongLength {
            path: path.to_owned(),
            bytes: decoded.len(),
        })
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    directory_builder().create(directory)?;
    let encoded = Zeroizing::new(STANDARD.encode(*key.bytes));
    let line = Zeroizing::new(format!("{PREFIX}{}\n", *encoded));
    // Written under another name first: a second node that starts at the same time reads a whole key or none.
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".new-{}", key.id()));
    let unfinished = PathBuf::from(unfinished);
    let mut file = private_file().open(&unfinished)?;
    let written = file
        .write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        // Unlike a rename this never takes the place of another node's key.
        .and_then(|()| match std::fs::hard_link(&unfinished, path) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
                // Not every file system has links.
                std::fs::rename(&unfinished, path)
            }
            linked => linked,
        });
    match std::fs::remove_file(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        Ok(()) | Err(_) => {}
    }
    written?;
    // Without this a crash could leave a database encrypted under a key that has no name.
    sync_directory(directory)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), MasterKeyError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|cause| MasterKeyError::Io {
        path: path.to_owned(),
        cause,
    })?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(MasterKeyError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> Result<(), MasterKeyError> {
    Ok(())
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn directory_builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
