//! A transaction in hand.

use std::cell::Cell;
use std::marker::PhantomData;

use diesel::RunQueryDsl;
use diesel::sql_types::BigInt;

use super::{Conn, StoreError};
use crate::kernel::{Clock, Timestamp};

/// A running transaction.
///
/// `'tx` is its brand: invariant and fresh for each transaction, so that a proof made in one cannot be used in,
/// or carried into, another.
pub struct Tx<'tx> {
    conn: &'tx mut Conn,
    clock: &'tx Clock,
    writable: bool,
    brand: PhantomData<fn(&'tx ()) -> &'tx ()>,
}

impl<'tx> Tx<'tx> {
    pub(super) fn new(conn: &'tx mut Conn, clock: &'tx Clock, writable: bool) -> Self {
        Self {
            conn,
            clock,
            writable,
            brand: PhantomData,
        }
    }

    /// The connection, for `db!`.
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.conn
    }

    /// Whether this transaction may write.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// The transaction's one clock, read now: PostgreSQL's `clock_timestamp()`, or the process's on SQLite.
    ///
    /// Not the time at which the transaction began: a submit that waited on a lock across the end of a window
    /// must see that the window has ended.
    ///
    /// # Errors
    /// The database does not answer.
    pub fn now(&mut self) -> Result<Timestamp, StoreError> {
        match self.conn {
            Conn::Sqlite(_) => Ok(self.clock.now()),
            Conn::Postgres(c) => {
                let micros: i64 = diesel::select(diesel::dsl::sql::<BigInt>(
                    "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
                ))
                .get_result(c)?;
                Ok(Timestamp::from_micros(
                    micros.saturating_add(self.clock.offset_micros()),
                ))
            }
        }
    }
}

thread_local! {
    static IN_TRANSACTION: Cell<bool> = const { Cell::new(false) };
}

/// Held by the one transaction that a thread may run.
///
/// A second one inside it would wait for the first: for the writer on SQLite, for its row locks on PostgreSQL.
pub(super) struct Alone(());

impl Alone {
    pub(super) fn new() -> Result<Self, StoreError> {
        if IN_TRANSACTION.replace(true) {
            return Err(StoreError::Nested);
        }
        Ok(Self(()))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        IN_TRANSACTION.set(false);
    }
}
