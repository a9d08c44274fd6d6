//! The tables of work for many people: orders, mailings, imports, the groups that imports put people into, and words of
//! mails.

diesel::table! {
    cohort_jobs (id) {
        id -> Text,
        realm_id -> Text,
        state -> Text,
        work -> Text,
        total -> BigInt,
        done -> BigInt,
        skipped -> BigInt,
        place -> Text,
        error -> Nullable<Text>,
        lease_until -> BigInt,
        lease_token -> Nullable<Text>,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        telling -> Bool,
        told -> Text,
        undone_by -> Nullable<Text>,
    }
}

diesel::table! {
    cohort_people (job_id, user_id) {
        job_id -> Text,
        user_id -> Text,
    }
}

diesel::table! {
    cohort_before (job_id, user_id, action) {
        job_id -> Text,
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
    campaigns (id) {
        id -> Text,
        realm_id -> Text,
        name -> Text,
        kind -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        settings -> Text,
        frozen -> Bool,
        place -> Text,
        wake_at -> BigInt,
        created_at -> BigInt,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    campaign_recipients (campaign_id, user_id) {
        campaign_id -> Text,
        user_id -> Text,
        username -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        recipient -> Nullable<Text>,
        link_id -> Nullable<Text>,
        outbox_id -> Nullable<Text>,
        handed_at -> Nullable<BigInt>,
        settled_at -> Nullable<BigInt>,
        reminder_id -> Nullable<Text>,
        reminded_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    mail_pauses (realm_id) {
        realm_id -> Text,
        kind -> Text,
        reason -> Text,
        since -> BigInt,
        probe_at -> BigInt,
    }
}

diesel::table! {
    mail_paces (name) {
        name -> Text,
        batch -> Text,
        every -> BigInt,
        burst -> BigInt,
        next_at -> BigInt,
    }
}

diesel::table! {
    groups (id) {
        id -> Text,
        realm_id -> Text,
        parent_id -> Nullable<Text>,
        container_id -> Text,
        name -> Text,
        attributes -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    user_groups (user_id, group_id) {
        user_id -> Text,
        group_id -> Text,
    }
}

diesel::table! {
    import_jobs (id) {
        id -> Text,
        realm_id -> Text,
        state -> Text,
        source -> Text,
        author -> Text,
        options -> Text,
        digest -> Nullable<Text>,
        idempotency_key -> Nullable<Text>,
        total -> Nullable<BigInt>,
        done -> BigInt,
        accepted -> BigInt,
        updated -> BigInt,
        skipped -> BigInt,
        rejected -> BigInt,
        noted -> BigInt,
        campaign_id -> Nullable<Text>,
        error -> Nullable<Text>,
        lease_token -> Nullable<Text>,
        lease_until -> BigInt,
        created_at -> BigInt,
        finished_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    import_rows (job_id, row_number) {
        job_id -> Text,
        row_number -> BigInt,
        line -> BigInt,
        state -> Text,
        user_id -> Nullable<Text>,
        field -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    import_pieces (job_id, piece) {
        job_id -> Text,
        piece -> BigInt,
        content_sealed -> Binary,
    }
}

diesel::table! {
    mail_templates (realm_id, purpose, container_id, locale) {
        realm_id -> Text,
        purpose -> Text,
        client_uuid -> Nullable<Text>,
        container_id -> Text,
        locale -> Text,
        subject -> Text,
        text -> Text,
        html -> Text,
        changed_at -> BigInt,
    }
}
