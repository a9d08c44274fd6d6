CREATE TABLE groups (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  parent_id TEXT REFERENCES groups(id) ON DELETE CASCADE,
  container_id TEXT NOT NULL,
  name TEXT NOT NULL,
  attributes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (container_id, name)
);
CREATE INDEX groups_realm ON groups(realm_id);
CREATE INDEX groups_parent ON groups(parent_id);

CREATE TABLE user_groups (
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  group_id TEXT NOT NULL REFERENCES groups(id) ON DELETE CASCADE,
  PRIMARY KEY (user_id, group_id)
);
CREATE INDEX user_groups_group ON user_groups(group_id);

CREATE TABLE import_jobs (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  state TEXT NOT NULL,
  source TEXT NOT NULL,
  author TEXT NOT NULL,
  options TEXT NOT NULL,
  digest TEXT,
  idempotency_key TEXT,
  total BIGINT,
  done BIGINT NOT NULL,
  accepted BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  skipped BIGINT NOT NULL,
  rejected BIGINT NOT NULL,
  noted BIGINT NOT NULL,
  campaign_id TEXT,
  error TEXT,
  lease_token TEXT,
  lease_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  finished_at BIGINT,
  UNIQUE (realm_id, idempotency_key)
);
CREATE INDEX import_jobs_realm ON import_jobs(realm_id, created_at);
CREATE INDEX import_jobs_due ON import_jobs(state, lease_until);

CREATE TABLE import_rows (
  job_id TEXT NOT NULL REFERENCES import_jobs(id) ON DELETE CASCADE,
  row_number BIGINT NOT NULL,
  line BIGINT NOT NULL,
  state TEXT NOT NULL,
  user_id TEXT,
  field TEXT,
  reason TEXT,
  PRIMARY KEY (job_id, row_number)
);
CREATE INDEX import_rows_state ON import_rows(job_id, state, row_number);

CREATE TABLE import_pieces (
  job_id TEXT NOT NULL REFERENCES import_jobs(id) ON DELETE CASCADE,
  piece BIGINT NOT NULL,
  content_sealed BLOB NOT NULL,
  PRIMARY KEY (job_id, piece)
);
