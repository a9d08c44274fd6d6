CREATE TABLE link_keys (
  version BIGINT NOT NULL PRIMARY KEY,
  key_sealed BYTEA NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE links (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  purpose TEXT NOT NULL,
  sets_password BOOLEAN NOT NULL,
  address TEXT,
  address_key TEXT NOT NULL,
  auth_epoch TEXT NOT NULL,
  key_version BIGINT NOT NULL,
  actions TEXT NOT NULL,
  client_id TEXT,
  redirect_uri TEXT,
  lifespan BIGINT NOT NULL,
  campaign_id TEXT,
  mail_id TEXT,
  original_id TEXT,
  renewals BIGINT NOT NULL,
  renewed_at BIGINT,
  wrong_codes BIGINT NOT NULL,
  automated BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  sent_at BIGINT,
  opened_at BIGINT,
  committed_at BIGINT,
  revoked_at BIGINT,
  superseded_at BIGINT,
  expires_at BIGINT NOT NULL
);
CREATE INDEX links_user ON links(user_id);
CREATE INDEX links_realm ON links(realm_id);
CREATE INDEX links_address ON links(realm_id, address_key);
CREATE INDEX links_campaign ON links(campaign_id);
CREATE INDEX links_mail ON links(mail_id);
CREATE INDEX links_expiry ON links(expires_at);

CREATE TABLE link_requests (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  login TEXT NOT NULL,
  locale TEXT NOT NULL,
  client_id TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX link_requests_realm ON link_requests(realm_id);
