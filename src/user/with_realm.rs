//! The gate's look at a user and his realm, in one query: it is asked before every token.

use diesel::backend::Backend;
use diesel::dsl::SqlTypeOf;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType, Text};
use diesel::sqlite::Sqlite;

use super::User;
use super::rows::UserRow;
use crate::kernel::{RealmId, Timestamp, UserId};
use crate::store::{StoreError, Tx, db};

/// What the gate reads of the realm beside the user.
#[derive(Debug, Clone, Copy)]
pub struct RealmFacts {
    /// Whether anything of it answers.
    pub enabled: bool,
    /// Whether it wants proved addresses.
    pub verifies_email: bool,
    /// Tokens from before are refused.
    pub not_before: Timestamp,
    /// The version of its configuration.
    pub version: i64,
}

type Row = (UserRow, (bool, bool, Timestamp, i64));

/// The look as text: Diesel goes through a query's expression twice each time, which takes as long for this one as
/// SQLite takes to answer it. A test compares it with Diesel's.
const LOOK: &str = "SELECT users.id, users.realm_id, users.username, users.email, users.email_verified, \
     users.first_name, users.last_name, users.enabled, users.auth_epoch, users.not_before, users.locked_until, \
     users.service_client, users.attributes, users.extra, users.created_at, \
     realms.enabled, realms.verify_email, realms.not_before, realms.version \
     FROM (users INNER JOIN realms ON (users.realm_id = realms.id)) WHERE (users.id = ";

struct Look<'a> {
    realm: &'a RealmId,
    id: &'a UserId,
}

impl QueryId for Look<'_> {
    type QueryId = Look<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Look<'_> {
    type SqlType = (
        SqlTypeOf<<UserRow as Selectable<Sqlite>>::SelectExpression>,
        (Bool, Bool, BigInt, BigInt),
    );
}

impl<DB> QueryFragment<DB> for Look<'_>
where
    DB: Backend + HasSqlType<Text>,
    UserId: ToSql<Text, DB>,
    RealmId: ToSql<Text, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(LOOK);
        out.push_bind_param::<Text, _>(self.id)?;
        out.push_sql(") AND (users.realm_id = ");
        out.push_bind_param::<Text, _>(self.realm)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<C: Connection> RunQueryDsl<C> for Look<'_> {}

/// The realm's user of that id with what the gate reads of the realm, in one look.
///
/// # Errors
/// The database fails.
pub fn with_realm(
    tx: &mut Tx<'_>,
    realm: &RealmId,
    id: &UserId,
) -> Result<Option<(User, RealmFacts)>, StoreError> {
    let look = Look { realm, id };
    let row: Option<Row> = db!(tx, |c| look.get_result(c).optional())?;
    row.map(|(row, (enabled, verifies_email, not_before, version))| {
        let facts = RealmFacts {
            enabled,
            verifies_email,
            not_before,
            version,
        };
        Ok((User::try_from(row)?, facts))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::{realms, users};
    use diesel::debug_query;

    #[test]
    fn the_look_says_what_diesel_would_say() {
        let (realm, id) = (RealmId::new("r"), UserId::new("u"));
        let expression = users::table
            .inner_join(realms::table)
            .filter(users::id.eq(&id))
            .filter(users::realm_id.eq(&realm))
            .select((
                UserRow::as_select(),
                (
                    realms::enabled,
                    realms::verify_email,
                    realms::not_before,
                    realms::version,
                ),
            ));
        let look = Look {
            realm: &realm,
            id: &id,
        };
        let plain = |text: String| text.replace('`', "").replace("((", "(").replace("))", ")");
        assert_eq!(
            plain(debug_query::<Sqlite, _>(&look).to_string()),
            plain(debug_query::<Sqlite, _>(&expression).to_string())
        );
    }
}
