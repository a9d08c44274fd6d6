"""A third-party app in Python, Authlib in a Flask app, for the tests to sign in to.

One JSON value a line, in on stdin, out on stdout:
  in   {"issuer", "client_id", "client_secret"?, "redirect_uri", "scope"?}
  out  {"authorization_url"}        PKCE, state and nonce; the endpoints come from discovery
  in   {"callback_url"}             where the browser was sent back to
  out  {"claims", "userinfo", "token"}  exchanged and verified by the library
  in   {"refresh": true}
  out  {"claims", "userinfo", "token"}  the same after one refresh
Whatever the library refuses ends it: {"error", "error_description"?} and status 1.
"""

import json
import os
import secrets
import sys
from urllib.parse import urlsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask


def read():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def write(answer):
    print(json.dumps(answer), flush=True)


def is_loopback(url):
    """Plain HTTP is for an issuer on this machine and for nothing else."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")


def report(provider, token, claims):
    kept = ("access_token", "refresh_token", "id_token", "token_type", "expires_in", "scope")
    write(
        {
            "claims": claims,
            "userinfo": provider.userinfo(token=token),
            "token": {name: token.get(name) for name in kept},
        }
    )


def build_app(settings):
    """The app as its author would write it: a login view, a callback view, a registered provider."""
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    provider = OAuth(app).register(
        "vestibule",
        client_id=settings["client_id"],
        client_secret=settings.get("client_secret"),
        server_metadata_url=settings["issuer"] + "/.well-known/openid-configuration",
        client_kwargs={
            "scope": settings.get("scope", "openid profile email"),
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": (
                "client_secret_basic" if settings.get("client_secret") else "none"
            ),
        },
    )
    received = {}

    @app.get("/login")
    def login():
        return provider.authorize_redirect(settings["redirect_uri"])

    @app.get("/callback")
    def callback():
        received.update(provider.authorize_access_token())
        return ""

    # A refusal is for the caller of the views to see, not for an error page of Flask.
    app.testing = True
    return app, provider, received


def refresh(settings, provider, token):
    method = "client_secret_basic" if settings.get("client_secret") else "none"
    with OAuth2Session(
        settings["client_id"],
        settings.get("client_secret"),
        token_endpoint_auth_method=method,
    ) as session:
        return session.refresh_token(
            provider.load_server_metadata()["token_endpoint"],
            refresh_token=token["refresh_token"],
        )


def main():
    settings = read()
    if is_loopback(settings["issuer"]):
        os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    app, provider, token = build_app(settings)
    # The test client keeps the app's session cookie, as the person's browser would.
    browser = app.test_client()
    write({"authorization_url": browser.get("/login").headers["Location"]})

    browser.get("/callback?" + urlsplit(read()["callback_url"]).query)
    report(provider, token, token["userinfo"])

    read()
    renewed = refresh(settings, provider, token)
    # The renewed ID token carries no new nonce, so it is judged against none.
    claims = provider.parse_id_token(renewed, nonce=None)
    if claims is not None and claims["sub"] != token["userinfo"]["sub"]:
        raise ValueError("the renewed ID token names somebody else")
    report(provider, renewed, claims)


try:
    main()
except OAuthError as error:
    write({"error": error.error, "error_description": error.description})
    sys.exit(1)
except Exception as error:  # Whatever it is, the test shall read it on stdout.
    write({"error": type(error).__name__, "error_description": str(error)})
    sys.exit(1)
