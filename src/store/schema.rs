//! The tables, as Diesel sees them on both databases. A test compares this with what the migrations make.

#![expect(
    missing_docs,
    reason = "the columns are documented where their rows become types"
)]

mod bulk;

pub use bulk::{
    campaign_recipients, campaigns, cohort_before, cohort_jobs, cohort_people, groups, import_jobs,
    import_pieces, import_rows, mail_paces, mail_pauses, mail_templates, user_groups,
};

diesel::table! {
    meta (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    realms (id) {
        id -> Text,
        name -> Text,
        enabled -> Bool,
        verify_email -> Bool,
        not_before -> BigInt,
        version -> BigInt,
        settings -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    realm_keys (id) {
        id -> Text,
        realm_id -> Text,
        algorithm -> Text,
        state -> Text,
        private_sealed -> Binary,
        public_jwk -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    realm_required_actions (realm_id, alias) {
        realm_id -> Text,
        alias -> Text,
        name -> Text,
        enabled -> Bool,
        default_action -> Bool,
        priority -> BigInt,
        config -> Text,
    }
}

diesel::table! {
    clients (id) {
        id -> Text,
        realm_id -> Text,
        client_id -> Text,
        enabled -> Bool,
        secret_sealed -> Nullable<Binary>,
        secret_digest -> Nullable<Text>,
        settings -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    roles (id) {
        id -> Text,
        realm_id -> Text,
        client_uuid -> Nullable<Text>,
        container_id -> Text,
        name -> Text,
        description -> Nullable<Text>,
        attributes -> Text,
    }
}

diesel::table! {
    role_composites (parent_id, child_id) {
        parent_id -> Text,
        child_id -> Text,
    }
}

diesel::table! {
    client_scopes (id) {
        id -> Text,
        realm_id -> Text,
        name -> Text,
        description -> Nullable<Text>,
        protocol -> Text,
        attributes -> Text,
        realm_default -> Text,
    }
}

diesel::table! {
    protocol_mappers (id) {
        id -> Text,
        realm_id -> Text,
        client_scope_id -> Nullable<Text>,
        client_uuid -> Nullable<Text>,
        name -> Text,
        protocol -> Text,
        protocol_mapper -> Text,
        config -> Text,
    }
}

diesel::table! {
    client_scope_assignments (client_uuid, client_scope_id) {
        client_uuid -> Text,
        client_scope_id -> Text,
        optional -> Bool,
    }
}

diesel::table! {
    scope_mappings (owner_id, role_id) {
        owner_id -> Text,
        role_id -> Text,
        realm_id -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        realm_id -> Text,
        username -> Text,
        username_key -> Text,
        email -> Nullable<Text>,
        email_key -> Nullable<Text>,
        email_verified -> Bool,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        enabled -> Bool,
        auth_epoch -> Text,
        gate_version -> BigInt,
        not_before -> BigInt,
        locked_until -> Nullable<BigInt>,
        service_client -> Nullable<Text>,
        attributes -> Text,
        extra -> Text,
        created_at -> BigInt,
        flagged_at -> BigInt,
    }
}

diesel::table! {
    login_names (realm_id, name_key) {
        realm_id -> Text,
        name_key -> Text,
        user_id -> Text,
    }
}

diesel::table! {
    credentials (id) {
        id -> Text,
        user_id -> Text,
        kind -> Text,
        label -> Nullable<Text>,
        secret -> Text,
        expires_at -> Nullable<BigInt>,
        created_at -> BigInt,
        imported_digest -> Nullable<Text>,
    }
}

diesel::table! {
    password_history (id) {
        id -> Text,
        user_id -> Text,
        secret -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    user_roles (user_id, role_id) {
        user_id -> Text,
        role_id -> Text,
    }
}

diesel::table! {
    required_actions (user_id, action) {
        user_id -> Text,
        action -> Text,
        source -> Text,
        reason -> Nullable<Text>,
        since -> BigInt,
        due_at -> BigInt,
        reset_proof -> Text,
        set_by_job -> Nullable<Text>,
    }
}

diesel::table! {
    former_addresses (id) {
        id -> Text,
        user_id -> Text,
        email -> Text,
        standing -> Text,
        until -> BigInt,
    }
}

diesel::table! {
    user_activity (user_id) {
        user_id -> Text,
        last_sign_in -> BigInt,
    }
}

diesel::table! {
    email_codes (user_id) {
        user_id -> Text,
        email -> Text,
        digest -> Text,
        wrong -> BigInt,
        sent_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    consents (user_id, client_uuid) {
        user_id -> Text,
        client_uuid -> Text,
        scopes -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        realm_id -> Text,
        user_id -> Text,
        auth_epoch -> Text,
        cookie_digest -> Nullable<Text>,
        kind -> Text,
        amr -> Text,
        remember_me -> Bool,
        auth_time -> BigInt,
        started_at -> BigInt,
        last_seen_at -> BigInt,
        ip_address -> Text,
    }
}

diesel::table! {
    remember_tokens (digest) {
        digest -> Text,
        session_id -> Text,
        used_at -> Nullable<BigInt>,
        expires_at -> BigInt,
    }
}

diesel::table! {
    client_sessions (session_id, client_uuid) {
        session_id -> Text,
        client_uuid -> Text,
        grant_id -> Text,
        started_at -> BigInt,
    }
}

diesel::table! {
    flows (id) {
        id -> Text,
        realm_id -> Text,
        client_uuid -> Text,
        browser_digest -> Text,
        former_digest -> Nullable<Text>,
        rebound_at -> Nullable<BigInt>,
        request -> Text,
        step -> BigInt,
        user_id -> Nullable<Text>,
        proved_at -> Nullable<BigInt>,
        proof_amr -> Nullable<Text>,
        proof_epoch -> Nullable<Text>,
        remember_me -> Bool,
        session_id -> Nullable<Text>,
        link_id -> Nullable<Text>,
        consented -> Bool,
        flash -> Nullable<Text>,
        finished_at -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    codes (digest) {
        digest -> Text,
        realm_id -> Text,
        client_uuid -> Text,
        user_id -> Text,
        session_id -> Text,
        auth_epoch -> Text,
        request -> Text,
        used_at -> Nullable<BigInt>,
        expires_at -> BigInt,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Text,
        realm_id -> Text,
        client_uuid -> Text,
        user_id -> Text,
        session_id -> Text,
        grant_id -> Text,
        auth_epoch -> Text,
        scope -> Text,
        nonce -> Nullable<Text>,
        used_at -> Nullable<BigInt>,
        issued_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    revoked_tokens (jti) {
        jti -> Text,
        expires_at -> BigInt,
    }
}

diesel::table! {
    throttles (name) {
        name -> Text,
        failures -> BigInt,
        window_started_at -> BigInt,
        blocked_until -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    events (id) {
        id -> Text,
        realm_id -> Text,
        kind -> Text,
        user_id -> Nullable<Text>,
        client_id -> Nullable<Text>,
        session_id -> Nullable<Text>,
        ip_address -> Nullable<Text>,
        error -> Nullable<Text>,
        details -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    outbox (id) {
        id -> Text,
        realm_id -> Text,
        user_id -> Nullable<Text>,
        recipient -> Text,
        template -> Text,
        locale -> Text,
        bulk -> Bool,
        content_sealed -> Binary,
        state -> Text,
        attempts -> BigInt,
        not_before -> BigInt,
        lease_until -> BigInt,
        lease_token -> Nullable<Text>,
        last_error -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
        settled_at -> Nullable<BigInt>,
        batch -> Nullable<Text>,
    }
}

diesel::table! {
    link_keys (version) {
        version -> BigInt,
        key_sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    links (id) {
        id -> Text,
        realm_id -> Text,
        user_id -> Text,
        purpose -> Text,
        sets_password -> Bool,
        address -> Nullable<Text>,
        address_key -> Text,
        auth_epoch -> Text,
        key_version -> BigInt,
        actions -> Text,
        client_id -> Nullable<Text>,
        redirect_uri -> Nullable<Text>,
        lifespan -> BigInt,
        campaign_id -> Nullable<Text>,
        mail_id -> Nullable<Text>,
        original_id -> Nullable<Text>,
        renewals -> BigInt,
        renewed_at -> Nullable<BigInt>,
        wrong_codes -> BigInt,
        automated -> Bool,
        created_at -> BigInt,
        sent_at -> Nullable<BigInt>,
        opened_at -> Nullable<BigInt>,
        committed_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        superseded_at -> Nullable<BigInt>,
        expires_at -> BigInt,
    }
}

diesel::table! {
    link_requests (id) {
        id -> Text,
        realm_id -> Text,
        login -> Text,
        locale -> Text,
        client_id -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::joinable!(users -> realms (realm_id));

diesel::allow_tables_to_appear_in_same_query!(
    meta,
    realms,
    realm_keys,
    realm_required_actions,
    clients,
    roles,
    role_composites,
    client_scopes,
    protocol_mappers,
    client_scope_assignments,
    scope_mappings,
    users,
    login_names,
    credentials,
    password_history,
    user_roles,
    required_actions,
    former_addresses,
    user_activity,
    email_codes,
    consents,
    sessions,
    client_sessions,
    remember_tokens,
    flows,
    codes,
    refresh_tokens,
    revoked_tokens,
    throttles,
    events,
    outbox,
    mail_pauses,
    mail_templates,
    cohort_jobs,
    cohort_people,
    cohort_before,
    campaigns,
    campaign_recipients,
    mail_paces,
    link_keys,
    links,
    link_requests,
    groups,
    user_groups,
    import_jobs,
    import_rows,
    import_pieces,
);
