CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE realms (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  enabled BOOLEAN NOT NULL,
  verify_email BOOLEAN NOT NULL,
  not_before BIGINT NOT NULL,
  version BIGINT NOT NULL,
  settings TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE realm_keys (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  algorithm TEXT NOT NULL,
  state TEXT NOT NULL,
  private_sealed BLOB NOT NULL,
  public_jwk TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX realm_keys_realm ON realm_keys(realm_id);

CREATE TABLE realm_required_actions (
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  alias TEXT NOT NULL,
  name TEXT NOT NULL,
  enabled BOOLEAN NOT NULL,
  default_action BOOLEAN NOT NULL,
  priority BIGINT NOT NULL,
  config TEXT NOT NULL,
  PRIMARY KEY (realm_id, alias)
);

CREATE TABLE clients (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_id TEXT NOT NULL,
  enabled BOOLEAN NOT NULL,
  secret_sealed BLOB,
  secret_digest TEXT,
  settings TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (realm_id, client_id)
);

CREATE TABLE roles (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_uuid TEXT REFERENCES clients(id) ON DELETE CASCADE,
  container_id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT,
  attributes TEXT NOT NULL,
  UNIQUE (container_id, name)
);
CREATE INDEX roles_realm ON roles(realm_id);
CREATE INDEX roles_client ON roles(client_uuid);

CREATE TABLE role_composites (
  parent_id TEXT NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
  child_id TEXT NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
  PRIMARY KEY (parent_id, child_id)
);
CREATE INDEX role_composites_child ON role_composites(child_id);

CREATE TABLE client_scopes (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT,
  protocol TEXT NOT NULL,
  attributes TEXT NOT NULL,
  realm_default TEXT NOT NULL,
  UNIQUE (realm_id, name)
);

CREATE TABLE protocol_mappers (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_scope_id TEXT REFERENCES client_scopes(id) ON DELETE CASCADE,
  client_uuid TEXT REFERENCES clients(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  protocol TEXT NOT NULL,
  protocol_mapper TEXT NOT NULL,
  config TEXT NOT NULL
);
CREATE INDEX protocol_mappers_realm ON protocol_mappers(realm_id);
CREATE INDEX protocol_mappers_scope ON protocol_mappers(client_scope_id);
CREATE INDEX protocol_mappers_client ON protocol_mappers(client_uuid);

CREATE TABLE client_scope_assignments (
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  client_scope_id TEXT NOT NULL REFERENCES client_scopes(id) ON DELETE CASCADE,
  optional BOOLEAN NOT NULL,
  PRIMARY KEY (client_uuid, client_scope_id)
);
CREATE INDEX client_scope_assignments_scope ON client_scope_assignments(client_scope_id);

CREATE TABLE scope_mappings (
  owner_id TEXT NOT NULL,
  role_id TEXT NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  PRIMARY KEY (owner_id, role_id)
);
CREATE INDEX scope_mappings_role ON scope_mappings(role_id);
CREATE INDEX scope_mappings_realm ON scope_mappings(realm_id);

CREATE TABLE users (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  username TEXT NOT NULL,
  username_key TEXT NOT NULL,
  email TEXT,
  email_key TEXT,
  email_verified BOOLEAN NOT NULL,
  first_name TEXT,
  last_name TEXT,
  enabled BOOLEAN NOT NULL,
  auth_epoch TEXT NOT NULL,
  gate_version BIGINT NOT NULL,
  not_before BIGINT NOT NULL,
  locked_until BIGINT,
  service_client TEXT REFERENCES clients(id) ON DELETE CASCADE,
  attributes TEXT NOT NULL,
  extra TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  flagged_at BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX users_username ON users(realm_id, username_key);
CREATE INDEX users_email ON users(realm_id, email_key);
CREATE UNIQUE INDEX users_service ON users(service_client);

CREATE TABLE login_names (
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  name_key TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  PRIMARY KEY (realm_id, name_key)
);
CREATE INDEX login_names_user ON login_names(user_id);

CREATE TABLE credentials (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  label TEXT,
  secret TEXT NOT NULL,
  expires_at BIGINT,
  created_at BIGINT NOT NULL,
  -- Of which hash in an imported file this is: a keyed digest. Without one the password was set here.
  imported_digest TEXT
);
CREATE INDEX credentials_user ON credentials(user_id, kind);
CREATE UNIQUE INDEX credentials_password ON credentials(user_id) WHERE kind = 'password';

CREATE TABLE password_history (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  secret TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX password_history_user ON password_history(user_id);

CREATE TABLE user_roles (
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  role_id TEXT NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
  PRIMARY KEY (user_id, role_id)
);
CREATE INDEX user_roles_role ON user_roles(role_id);

CREATE TABLE required_actions (
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  action TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT,
  since BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  reset_proof TEXT NOT NULL,
  set_by_job TEXT,
  PRIMARY KEY (user_id, action)
);
CREATE INDEX required_actions_action ON required_actions(action);

CREATE TABLE former_addresses (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  email TEXT NOT NULL,
  standing TEXT NOT NULL,
  until BIGINT NOT NULL
);
CREATE INDEX former_addresses_user ON former_addresses(user_id);

CREATE TABLE user_activity (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  last_sign_in BIGINT NOT NULL
);

CREATE TABLE email_codes (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
  email TEXT NOT NULL,
  digest TEXT NOT NULL,
  wrong BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE consents (
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, client_uuid)
);
CREATE INDEX consents_client ON consents(client_uuid);

CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  auth_epoch TEXT NOT NULL,
  cookie_digest TEXT,
  kind TEXT NOT NULL,
  amr TEXT NOT NULL,
  remember_me BOOLEAN NOT NULL,
  auth_time BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  last_seen_at BIGINT NOT NULL,
  ip_address TEXT NOT NULL
);
CREATE UNIQUE INDEX sessions_cookie ON sessions(cookie_digest);
CREATE INDEX sessions_user ON sessions(user_id);
CREATE INDEX sessions_realm ON sessions(realm_id);

CREATE TABLE client_sessions (
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  grant_id TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  PRIMARY KEY (session_id, client_uuid)
);
CREATE INDEX client_sessions_client ON client_sessions(client_uuid);

CREATE TABLE flows (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  browser_digest TEXT NOT NULL,
  former_digest TEXT,
  rebound_at BIGINT,
  request TEXT NOT NULL,
  step BIGINT NOT NULL,
  user_id TEXT REFERENCES users(id) ON DELETE CASCADE,
  proved_at BIGINT,
  proof_amr TEXT,
  proof_epoch TEXT,
  remember_me BOOLEAN NOT NULL,
  session_id TEXT,
  link_id TEXT,
  consented BOOLEAN NOT NULL,
  flash TEXT,
  finished_at BIGINT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX flows_browser ON flows(browser_digest);
CREATE INDEX flows_user ON flows(user_id);
CREATE INDEX flows_client ON flows(client_uuid);
CREATE INDEX flows_realm ON flows(realm_id);
CREATE INDEX flows_expiry ON flows(expires_at);

CREATE TABLE codes (
  digest TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  session_id TEXT NOT NULL,
  auth_epoch TEXT NOT NULL,
  request TEXT NOT NULL,
  used_at BIGINT,
  expires_at BIGINT NOT NULL
);
CREATE INDEX codes_user ON codes(user_id);
CREATE INDEX codes_client ON codes(client_uuid);
CREATE INDEX codes_realm ON codes(realm_id);
CREATE INDEX codes_expiry ON codes(expires_at);

CREATE TABLE refresh_tokens (
  digest TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  client_uuid TEXT NOT NULL REFERENCES clients(id) ON DELETE CASCADE,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  grant_id TEXT NOT NULL,
  auth_epoch TEXT NOT NULL,
  scope TEXT NOT NULL,
  nonce TEXT,
  used_at BIGINT,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_session ON refresh_tokens(session_id);
CREATE INDEX refresh_tokens_user ON refresh_tokens(user_id);
CREATE INDEX refresh_tokens_client ON refresh_tokens(client_uuid);
CREATE INDEX refresh_tokens_realm ON refresh_tokens(realm_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens(expires_at);

CREATE TABLE revoked_tokens (
  jti TEXT NOT NULL PRIMARY KEY,
  expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_expiry ON revoked_tokens(expires_at);

CREATE TABLE throttles (
  name TEXT NOT NULL PRIMARY KEY,
  failures BIGINT NOT NULL,
  window_started_at BIGINT NOT NULL,
  blocked_until BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX throttles_expiry ON throttles(expires_at);

CREATE TABLE events (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  user_id TEXT,
  client_id TEXT,
  session_id TEXT,
  ip_address TEXT,
  error TEXT,
  details TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX events_realm ON events(realm_id, at);
CREATE INDEX events_kind ON events(realm_id, kind, at);
CREATE INDEX events_user ON events(user_id);

CREATE TABLE outbox (
  id TEXT NOT NULL PRIMARY KEY,
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  user_id TEXT REFERENCES users(id) ON DELETE CASCADE,
  recipient TEXT NOT NULL,
  template TEXT NOT NULL,
  locale TEXT NOT NULL,
  bulk BOOLEAN NOT NULL,
  content_sealed BLOB NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  not_before BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  lease_token TEXT,
  last_error TEXT,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  settled_at BIGINT,
  batch TEXT
);
CREATE INDEX outbox_batch ON outbox(batch, state);
CREATE INDEX outbox_due ON outbox(state, realm_id, bulk, not_before);
CREATE INDEX outbox_user ON outbox(user_id);
CREATE INDEX outbox_realm ON outbox(realm_id);
CREATE INDEX outbox_settled ON outbox(settled_at);

CREATE TABLE mail_pauses (
  realm_id TEXT NOT NULL PRIMARY KEY REFERENCES realms(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  probe_at BIGINT NOT NULL
);
