//! Timeouts and sizes that are the same everywhere. Constants, because a wrong value here would be
//! found only under attack. Read by `web`, `store`, `mail` and the composition root.

use std::time::Duration;

/// A request's head must be complete after this.
pub const REQUEST_HEAD: Duration = Duration::from_secs(5);
/// A request's body must be complete after this.
pub const REQUEST_BODY: Duration = Duration::from_secs(30);
/// A file of people must be complete after this; its sender has been let in before it is read.
pub const IMPORT_BODY: Duration = Duration::from_secs(3600);
/// An idle connection is closed after this.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A TLS handshake must be complete after this.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection whose client takes nothing of what was written to it is closed after this.
pub const UNREAD: Duration = Duration::from_secs(30);
/// Waiting for a connection to the database.
pub const DATABASE_ACQUIRE: Duration = Duration::from_secs(2);
/// One statement of the database.
pub const DATABASE_STATEMENT: Duration = Duration::from_secs(5);
/// Waiting for a lock of the database.
pub const DATABASE_LOCK: Duration = Duration::from_secs(1);
/// One command of Redis.
pub const REDIS: Duration = Duration::from_millis(100);
/// A request of ours to another server.
pub const OUTBOUND: Duration = Duration::from_secs(5);
/// The longest answer to one, in bytes.
pub const OUTBOUND_BYTES: usize = 256 * 1024;
/// One command of a mail server.
pub const SMTP_COMMAND: Duration = Duration::from_secs(30);
/// Handing over one mail.
pub const SMTP_DATA: Duration = Duration::from_secs(120);

/// The longest request target, in bytes.
pub const URL_BYTES: usize = 8 * 1024;
/// The longest head of a request, in bytes.
pub const HEADERS_BYTES: usize = 32 * 1024;
/// The most headers of a request: as many as the HTTP/1 parser takes.
pub const HEADERS: usize = 96;
/// The longest posted form, in bytes.
pub const FORM_BYTES: usize = 16 * 1024;
/// The longest posted JSON, in bytes.
pub const JSON_BYTES: usize = 1024 * 1024;
