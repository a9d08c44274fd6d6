CREATE TABLE cohort_jobs (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  state TEXT NOT NULL,
  work TEXT NOT NULL,
  total BIGINT NOT NULL,
  done BIGINT NOT NULL,
  skipped BIGINT NOT NULL,
  place TEXT NOT NULL,
  error TEXT,
  lease_until BIGINT NOT NULL,
  lease_token TEXT,
  created_at BIGINT NOT NULL,
  finished_at BIGINT,
  telling BOOLEAN NOT NULL,
  told TEXT NOT NULL,
  undone_by TEXT
);
CREATE INDEX cohort_jobs_realm ON cohort_jobs(realm_id);
CREATE INDEX cohort_jobs_state ON cohort_jobs(state, lease_until);

CREATE TABLE cohort_people (
  job_id TEXT NOT NULL REFERENCES cohort_jobs(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  PRIMARY KEY (job_id, user_id)
);
CREATE INDEX cohort_people_user ON cohort_people(user_id);

CREATE TABLE cohort_before (
  job_id TEXT NOT NULL REFERENCES cohort_jobs(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  action TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT,
  since BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  reset_proof TEXT NOT NULL,
  set_by_job TEXT,
  PRIMARY KEY (job_id, user_id, action)
);
CREATE INDEX cohort_before_user ON cohort_before(user_id);

CREATE TABLE campaigns (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  settings TEXT NOT NULL,
  frozen BOOLEAN NOT NULL,
  place TEXT NOT NULL,
  wake_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT
);
CREATE INDEX campaigns_realm ON campaigns(realm_id, created_at);
CREATE INDEX campaigns_wake ON campaigns(wake_at);

CREATE TABLE campaign_recipients (
  campaign_id TEXT NOT NULL REFERENCES campaigns(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL,
  username TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  recipient TEXT,
  link_id TEXT,
  outbox_id TEXT,
  handed_at BIGINT,
  settled_at BIGINT,
  reminder_id TEXT,
  reminded_at BIGINT,
  PRIMARY KEY (campaign_id, user_id)
);
CREATE INDEX campaign_recipients_state ON campaign_recipients(campaign_id, state, user_id);
CREATE INDEX campaign_recipients_mail ON campaign_recipients(outbox_id);
CREATE INDEX campaign_recipients_reminder ON campaign_recipients(reminder_id);
CREATE INDEX campaign_recipients_user ON campaign_recipients(user_id);

CREATE TABLE mail_paces (
  name TEXT NOT NULL PRIMARY KEY,
  batch TEXT NOT NULL,
  every BIGINT NOT NULL,
  burst BIGINT NOT NULL,
  next_at BIGINT NOT NULL
);
CREATE INDEX mail_paces_batch ON mail_paces(batch);
