//! Mailed code.
use super::engine::Engine;
use super::show::Reply;
use super::steps::{self, Stage, Visit, Where};
use crate::store::{StoreError, Tx};
use crate::user::User;

pub(super) fn submitted(
    tx: &mut Tx<'_>,
    engine: &Engine,
    (visit, stage): (&Visit, &mut Stage),
    _: &User,
) -> Result<Reply, StoreError> {
    steps::go_on(tx, engine, visit, (stage, Where::Posted))
}
