CREATE TABLE mail_templates (
  realm_id TEXT NOT NULL REFERENCES realms(id) ON DELETE CASCADE,
  purpose TEXT NOT NULL,
  client_uuid TEXT REFERENCES clients(id) ON DELETE CASCADE,
  container_id TEXT NOT NULL,
  locale TEXT NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  html TEXT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (realm_id, purpose, container_id, locale)
);
CREATE INDEX mail_templates_client ON mail_templates(client_uuid);
