//! An audience as SQL.

/// Builds the boxed query; a macro because its type differs between the two databases.
macro_rules! filtered {
    ($realm:expr, $filter:expr, $now:expr) => {{
        let filter: &Audience = $filter;
        let now: Timestamp = $now;
        let mut query = users::table
            .filter(users::realm_id.eq($realm))
            .filter(users::service_client.is_null())
            .into_boxed();
        if let Some(search) = &filter.search {
            for pattern in search_patterns(search) {
                query = query.filter(
                    users::username_key
                        .like(pattern.clone())
                        .escape('\\')
                        .nullable()
                        .or(users::email_key.like(pattern.clone()).escape('\\'))
                        .or(lower(users::first_name).like(pattern.clone()).escape('\\'))
                        .or(lower(users::last_name).like(pattern).escape('\\')),
                );
            }
        }
        if let Some(text) = &filter.username {
            query = query.filter(
                users::username_key
                    .like(part(&name_key(text), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.email {
            query = query.filter(
                users::email_key
                    .like(part(&name_key(text), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.first_name {
            query = query.filter(
                lower(users::first_name)
                    .like(part(&text.to_lowercase(), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(text) = &filter.last_name {
            query = query.filter(
                lower(users::last_name)
                    .like(part(&text.to_lowercase(), filter.exact))
                    .escape('\\'),
            );
        }
        if let Some(enabled) = filter.enabled {
            query = query.filter(users::enabled.eq(enabled));
        }
        if let Some(verified) = filter.email_verified {
            query = query.filter(users::email_verified.eq(verified));
        }
        for (name, value) in &filter.attributes {
            let key = name_key(value);
            query = match name.as_str() {
                "username" => query.filter(users::username_key.eq(key)),
                "email" => query.filter(users::email_key.eq(key)),
                "firstName" => query.filter(lower(users::first_name).eq(value.to_lowercase())),
                "lastName" => query.filter(lower(users::last_name).eq(value.to_lowercase())),
                _ => query.filter(HasAttribute::new(name, value)),
            };
        }
        if let Some(names) = &filter.usernames {
            let keys: Vec<String> = names.iter().map(|name| name_key(name)).collect();
            query = query.filter(users::username_key.eq_any(keys));
        }
        if let Some(until) = filter.made_until {
            query = query.filter(users::created_at.le(until));
        }
        if !filter.without_ids.is_empty() {
            query = query.filter(users::id.ne_all(&filter.without_ids));
        }
        if !filter.without_roles.is_empty() {
            query = query.filter(not(exists(
                user_roles::table
                    .filter(user_roles::user_id.eq(users::id))
                    .filter(user_roles::role_id.eq_any(&filter.without_roles)),
            )));
        }
        if let Some(ids) = &filter.ids {
            query = query.filter(users::id.eq_any(ids));
        }
        if let Some(roles) = &filter.roles {
            query = query.filter(exists(
                user_roles::table
                    .filter(user_roles::user_id.eq(users::id))
                    .filter(user_roles::role_id.eq_any(roles)),
            ));
        }
        if let Some(action) = &filter.pending_action {
            query = query.filter(exists(
                required_actions::table
                    .filter(required_actions::user_id.eq(users::id))
                    .filter(required_actions::action.eq(action)),
            ));
        }
        let signed_in = || user_activity::table.filter(user_activity::user_id.eq(users::id));
        match filter.never_signed_in {
            Some(true) => query = query.filter(not(exists(signed_in()))),
            Some(false) => query = query.filter(exists(signed_in())),
            None => {}
        }
        let unlocked = || {
            users::locked_until
                .is_null()
                .or(users::locked_until.le(now).assume_not_null())
        };
        let password = || {
            credentials::table
                .filter(credentials::user_id.eq(users::id))
                .filter(credentials::kind.eq("password"))
        };
        match filter.has_password {
            Some(true) => query = query.filter(exists(password())),
            Some(false) => query = query.filter(not(exists(password()))),
            None => {}
        }
        match filter.has_address {
            Some(true) => query = query.filter(users::email.is_not_null()),
            Some(false) => query = query.filter(users::email.is_null()),
            None => {}
        }
        // Links to set a password that nothing but time has ended, and those that live.
        let links_that = |live: bool| {
            links::table
                .filter(links::user_id.eq(users::id))
                .filter(links::auth_epoch.eq(users::auth_epoch))
                .filter(links::sets_password.eq(true))
                .filter(links::committed_at.is_null())
                .filter(links::superseded_at.is_null())
                .filter(links::revoked_at.is_null())
                .filter(links::expires_at.gt(now).eq(live))
        };
        let newer = diesel::alias!(outbox as newer_mail);
        match filter.mail_state {
            None => {}
            Some(MailState::None) => {
                query = query.filter(not(exists(
                    outbox::table.filter(outbox::user_id.eq(users::id.nullable())),
                )));
            }
            Some(state) => {
                // Ids of mails are in the order of time.
                query = query.filter(exists(
                    outbox::table
                        .filter(outbox::user_id.eq(users::id.nullable()))
                        .filter(outbox::state.eq_any(state.stored()))
                        .filter(not(exists(
                            newer
                                .filter(newer.field(outbox::user_id).eq(users::id.nullable()))
                                .filter(newer.field(outbox::id).gt(outbox::id)),
                        ))),
                ));
            }
        }
        let flagged = || {
            required_actions::table
                .filter(required_actions::user_id.eq(users::id))
                .filter(required_actions::action.eq(UPDATE_PASSWORD))
        };
        match filter.status {
            None => {}
            Some(Status::Disabled) => query = query.filter(users::enabled.eq(false)),
            Some(Status::Locked) => {
                query = query
                    .filter(users::enabled.eq(true))
                    .filter(users::locked_until.gt(now));
            }
            Some(Status::LinkExpired) => {
                query = query
                    .filter(users::enabled.eq(true))
                    .filter(unlocked())
                    .filter(not(exists(password())))
                    .filter(exists(links_that(false)))
                    .filter(not(exists(links_that(true))));
            }
            Some(Status::AwaitingFirstPassword) => {
                query = query
                    .filter(users::enabled.eq(true))
                    .filter(unlocked())
                    .filter(not(exists(password())))
                    .filter(not(exists(links_that(false))).or(exists(links_that(true))));
            }
            Some(Status::PasswordResetRequired) => {
                query = query.filter(users::enabled.eq(true)).filter(unlocked());
                query = query.filter(exists(password())).filter(exists(flagged()));
            }
            Some(Status::Active) => {
                query = query.filter(users::enabled.eq(true)).filter(unlocked());
                query = query
                    .filter(exists(password()))
                    .filter(not(exists(flagged())));
            }
        }
        query
    }};
}

pub(super) use filtered;
