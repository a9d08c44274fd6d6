CREATE TABLE remember_tokens (
  digest TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  used_at BIGINT,
  expires_at BIGINT NOT NULL
);
CREATE INDEX remember_tokens_session ON remember_tokens(session_id);
CREATE INDEX remember_tokens_expiry ON remember_tokens(expires_at);
