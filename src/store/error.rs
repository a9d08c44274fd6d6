//! What can go wrong with the database itself.

use std::fmt::Display;

/// A failure of the infrastructure. Never a refusal of the protocol, and never "not found".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Query(#[from] diesel::result::Error),
    /// The database could not be reached.
    #[error("the database cannot be reached: {0}")]
    Connect(String),
    /// Every connection was taken for too long.
    #[error("the database is busy")]
    Busy,
    /// The schema does not fit this binary.
    #[error("{0}")]
    Schema(String),
    /// A stored value that this binary cannot read.
    #[error("corrupt data in {table}.{column} of {id}: {cause}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        id: String,
        /// What is wrong with the value.
        cause: String,
    },
    /// A write was tried in a read transaction.
    #[error("a write in a read transaction")]
    ReadOnly,
    /// A transaction was begun inside another one, which it would have waited for.
    #[error("a transaction inside a transaction: use the one at hand")]
    Nested,
    /// A sealed value could not be opened or made.
    #[error("a sealed value could not be opened: {0}")]
    Sealed(String),
    /// The work panicked; its transaction was rolled back.
    #[error("the work on the database panicked")]
    Panicked,
    /// The transaction, or one that shared its commit, could not be made durable.
    #[error("the commit failed: {0}")]
    Commit(String),
}

impl StoreError {
    /// Whether the statement broke a unique constraint.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Query(diesel::result::Error::DatabaseError(
                diesel::result::DatabaseErrorKind::UniqueViolation,
                _
            ))
        )
    }
}

/// A [`StoreError::Corrupt`] for one column of one row.
pub fn corrupt(
    table: &'static str,
    column: &'static str,
    id: impl Display,
    cause: impl Display,
) -> StoreError {
    StoreError::Corrupt {
        table,
        column,
        id: id.to_string(),
        cause: cause.to_string(),
    }
}
