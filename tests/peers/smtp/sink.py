"""A mail server that is not ours: Debian's aiosmtpd, which writes down what it is sent.

Started with one argument, a JSON object:

    address    where it listens; 127.0.0.1 by default
    tls        "none", "starttls" (refuses anything before it) or "implicit"
    cert, key  PEM files, for TLS
    login      null, or {"user", "password"}: without it nothing is taken
    mechanisms which of "PLAIN", "LOGIN", "XOAUTH2" are offered
    client_id  whose access tokens XOAUTH2 takes, for the user of `login`
    utf8       whether SMTPUTF8 is offered
    eightbit   whether 8BITMIME is offered
    timeout    seconds after which it ends a connection on which nothing is said

It prints JSON lines: {"port"} first, then one for each mail ("mail") and for each connection that has ended
("connection"), each with the bytes that have come over that connection since the last one ("wire", after
decryption). A line {"refuse_seen_tokens": true} on its stdin
is answered by {"refused": how many} and takes every access token seen so far as revoked. It ends with its stdin.
"""

import asyncio
import base64
import json
import logging
import ssl
import sys
import threading
import time
import warnings
from email import message_from_string, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

SETTINGS = json.loads(sys.argv[1])
LOGIN = SETTINGS.get("login")
seen_tokens, refused_tokens = set(), set()
output = threading.Lock()


def say(**line):
    with output:
        print(json.dumps(line), flush=True)


def encoded(data):
    return base64.b64encode(bytes(data)).decode()


class Recording(SMTP):
    """Keeps the bytes of a connection, and takes commands as long as RFC 4954 wants AUTH to be."""

    line_length_limit = 12288

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.command_size_limits["AUTH"] = 12288
        self.wire = bytearray()
        self.ended = False

    def data_received(self, data):
        self.wire += data
        super().data_received(data)

    def connection_lost(self, error):
        if not self.ended:
            self.ended = True
            say(connection={"wire": self.taken()})
        super().connection_lost(error)

    def taken(self):
        """What came since this was last asked."""
        wire, self.wire = encoded(self.wire), bytearray()
        return wire


def parsed(content):
    """What a reader of mail makes of it."""
    message = message_from_string(content.decode(), policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    parts = list(message.walk())
    return {
        "headers": [[name, str(value)] for name, value in message.items()],
        "to": [address.addr_spec for address in message["To"].addresses],
        "from": [[address.display_name, address.addr_spec] for address in message["From"].addresses],
        "types": [part.get_content_type() for part in parts],
        "text": text.get_content() if text else None,
        "html": html.get_content() if html else None,
        "defects": [repr(defect) for part in parts for defect in part.defects]
        + [repr(defect) for value in message.values() for defect in value.defects],
    }


class Handler:
    async def handle_DATA(self, server, session, envelope):
        content = envelope.original_content
        say(
            mail={
                "mail_from": envelope.mail_from,
                "mail_options": envelope.mail_options,
                "rcpt_tos": envelope.rcpt_tos,
                "content": encoded(content),
                "wire": server.taken(),
                "parsed": parsed(content),
                "tls": server.transport.get_extra_info("sslcontext") is not None,
                "signed_in": bool(session.authenticated),
            }
        )
        return "250 2.0.0 taken"

    if "XOAUTH2" in SETTINGS.get("mechanisms", []):

        async def auth_XOAUTH2(self, server, args):
            text = base64.b64decode(args[1], validate=True).decode() if len(args) == 2 else ""
            why = wrong_with(text)
            if why is None:
                return AuthResult(success=True, auth_data=LoginPassword(LOGIN["user"].encode(), b""))
            # The mechanism's way to say no: a challenge that the client answers with an empty line.
            challenge = {"status": "401", "schemes": "bearer", "why": why}
            answer = await server.challenge_auth(base64.b64encode(json.dumps(challenge).encode()), encode_to_b64=False)
            if answer not in (b"", None):
                return AuthResult(success=False, handled=False, message="501 5.5.2 an empty line was expected")
            return AuthResult(success=False, handled=False, message="535 5.7.8 " + why)


def wrong_with(text):
    """Why an XOAUTH2 string is refused: user=…^Aauth=Bearer …^A^A and nothing else."""
    fields = text.split("\x01")
    if len(fields) != 4 or fields[2:] != ["", ""]:
        return "the string is malformed"
    if fields[0] != "user=" + LOGIN["user"] or not fields[1].startswith("auth=Bearer "):
        return "the string is not of this user"
    token = fields[1][len("auth=Bearer ") :]
    seen_tokens.add(token)
    if token in refused_tokens:
        return "the token was revoked"
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if claims.get("azp") != SETTINGS["client_id"]:
        return "the token is of another client"
    if claims["exp"] <= time.time():
        return "the token has expired"
    return None


def check_login(mechanism, login, password):
    return LOGIN is not None and (login, password) == (LOGIN["user"].encode(), LOGIN["password"].encode())


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(SETTINGS["cert"], SETTINGS["key"])
    return made


def server(loop):
    offered = set(SETTINGS.get("mechanisms", []))
    starttls = SETTINGS["tls"] == "starttls"
    return Recording(
        Handler(),
        hostname="mail.test",
        enable_SMTPUTF8=SETTINGS.get("utf8", False),
        decode_data=not SETTINGS.get("eightbit", True),
        tls_context=context() if starttls else None,
        require_starttls=starttls,
        auth_required=LOGIN is not None,
        auth_require_tls=starttls,
        auth_exclude_mechanism=[name for name in ("PLAIN", "LOGIN") if name not in offered],
        auth_callback=check_login,
        timeout=SETTINGS.get("timeout", 300),
        loop=loop,
    )


def obey():
    for line in sys.stdin:
        if json.loads(line).get("refuse_seen_tokens"):
            refused_tokens.update(seen_tokens)
            say(refused=len(refused_tokens))


async def main():
    loop = asyncio.get_running_loop()
    implicit = context() if SETTINGS["tls"] == "implicit" else None
    listening = await loop.create_server(lambda: server(loop), SETTINGS.get("address", "127.0.0.1"), 0, ssl=implicit)
    say(port=listening.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, obey)


warnings.simplefilter("ignore")
logging.getLogger("mail.log").setLevel(logging.ERROR)
asyncio.run(main())
