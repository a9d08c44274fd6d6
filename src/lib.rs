//! Vestibule: a standalone OpenID Connect / OAuth 2 identity provider.
