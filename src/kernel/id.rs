//! Identifiers: one newtype per noun, so that a user's id is never taken for a session's.

/// Declares a text newtype that goes through serde and both databases as its string.
macro_rules! text_newtype {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Text)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; it is looked up, never trusted.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<DB: diesel::backend::Backend> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for $name
        where
            String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(Self(String::from_sql(bytes)?))
            }
        }

        impl<DB: diesel::backend::Backend> diesel::serialize::ToSql<diesel::sql_types::Text, DB> for $name
        where
            String: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, DB>,
            ) -> diesel::serialize::Result {
                self.0.to_sql(out)
            }
        }
    };
}

pub(crate) use text_newtype;

text_newtype!(
    /// A realm's id. Not its name: a realm can be renamed, its keys, cookies and sealed secrets stay bound to the id.
    RealmId
);
text_newtype!(
    /// A user's id: the `sub` of tokens and the `id` of the admin API.
    UserId
);
text_newtype!(
    /// A client's id in the admin API (Keycloak's `id`); the OAuth `client_id` is another thing.
    ClientUuid
);
text_newtype!(
    /// A role's id.
    RoleId
);
text_newtype!(
    /// A client scope's id.
    ClientScopeId
);
text_newtype!(
    /// A session's public id: the `sid` of tokens. Knowing it gives nothing; the cookie is another secret.
    SessionId
);
text_newtype!(
    /// A credential's id.
    CredentialId
);
text_newtype!(
    /// A group's id.
    GroupId
);
text_newtype!(
    /// An import's id.
    ImportId
);
