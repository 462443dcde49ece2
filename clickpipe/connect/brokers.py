"""The brokers of a Kafka connection, with librdkafka's settings for them; secrets are filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from clickpipe.connect.login import Login, Tokens
from clickpipe.connect.reach import Reach, servers_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import Tls, pem_text, tls_of

_OAUTH = "KAFKA_SASL_OAUTHBEARER"
_SECRET_OPTIONS = ("KAFKA_KEY", "KAFKA_SECRET", "KAFKA_SSL_KEY_PEM", "KAFKA_SSL_KEY_PASSWORD")
_CREDENTIALS = re.compile(r"://([^/?#]*)@")


@dataclass(frozen=True, slots=True)
class Brokers:
    """How a client connects.

    `settings` are librdkafka's; `tls` is what of them is to be checked before it is used; `login` says where tokens
    come from, for OAUTHBEARER; `hidden` lists the secrets, which must not be shown.
    """

    settings: Mapping[str, str | int | bool] = field(repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    tls: Tls = field(default_factory=Tls)
    login: Login | None = None


def brokers_of(options: Mapping[str, str], filled: Mapping[str, str]) -> Brokers:
    """Return the brokers that KAFKA_* options name; `filled` are these with secrets. Raises ClickpipeError 400."""
    return Brokers(
        _settings(filled),
        tuple(
            secret
            for name in options
            if name in _SECRET_OPTIONS or filled[name] != options[name].strip() or _CREDENTIALS.search(filled[name])
            for secret in _hidden(filled[name])
        ),
        tls_of(filled) if _protocol(filled).endswith("SSL") else Tls(),
        _login(filled) if _by_token(filled) else None,
    )


def client_settings(brokers: Brokers, reach: Reach) -> tuple[dict[str, Any], Tokens | None]:
    """Return the settings of a client that may connect now, and its tokens, if it has any.

    Raises ClickpipeError for certificates that do not fit, brokers out of `reach`, and if there is no token.
    """
    if (problem := brokers.tls.problem()) is not None:
        raise ClickpipeError(f"{problem[1]}.", code="bad_connection")
    servers = servers_of(str(brokers.settings["bootstrap.servers"]))
    reach.require_brokers(servers.values())
    settings: dict[str, Any] = {**brokers.settings, "bootstrap.servers": ",".join(servers)}
    if brokers.login is None:
        return settings, None
    tokens = Tokens(brokers.login, reach.check)
    tokens.get()  # fails here with a reason, and in librdkafka after ten seconds without one
    return {**settings, "oauth_cb": tokens.get}, tokens


def _settings(options: Mapping[str, str]) -> dict[str, str | int | bool]:
    protocol = _protocol(options)
    settings: dict[str, str | int | bool] = {
        "client.id": "clickpipe",
        "bootstrap.servers": options["KAFKA_BOOTSTRAP_SERVERS"],
        "security.protocol": protocol,
    }
    if protocol.startswith("SASL"):
        if "KAFKA_KEY" not in options or "KAFKA_SECRET" not in options:
            message = (
                f"The connection has the protocol {protocol}, and no KAFKA_KEY and KAFKA_SECRET: "
                "add them, or KAFKA_SECURITY_PROTOCOL PLAINTEXT or SSL."
            )
            raise ClickpipeError(message, code="bad_connection")
        settings["sasl.mechanisms"] = options.get("KAFKA_SASL_MECHANISM", "PLAIN").upper()
        if not _by_token(options):
            settings["sasl.username"], settings["sasl.password"] = options["KAFKA_KEY"], options["KAFKA_SECRET"]
    if protocol.endswith("SSL"):
        settings |= _tls_settings(tls_of(options))
    return settings


def _hidden(value: str) -> list[str]:
    """Return what to hide of a secret: of PEM, not the lines that say what it is; of a URL, whose it is."""
    if (found := _CREDENTIALS.search(value)) is not None:
        password = found[1].partition(":")[2]
        return [found[1], password, unquote(password)]
    return [line for line in pem_text(value).splitlines() if "-----" not in line] if "-----BEGIN" in value else [value]


def _protocol(options: Mapping[str, str]) -> str:
    return options.get("KAFKA_SECURITY_PROTOCOL", "SASL_SSL").upper()


def _by_token(options: Mapping[str, str]) -> bool:
    return _protocol(options).startswith("SASL") and options.get("KAFKA_SASL_MECHANISM", "").upper() == "OAUTHBEARER"


def _login(options: Mapping[str, str]) -> Login:
    pairs = (pair.partition("=") for pair in options.get(f"{_OAUTH}_EXTENSIONS", "").split(",") if pair.strip())
    return Login(
        options[f"{_OAUTH}_TOKEN_ENDPOINT_URL"],
        options["KAFKA_KEY"],
        options["KAFKA_SECRET"],
        options.get(f"{_OAUTH}_SCOPE", ""),
        tuple((name.strip(), value.strip()) for name, _, value in pairs),
        tls_of(options).ca,
    )


def _tls_settings(tls: Tls) -> dict[str, str]:
    made = {
        "ssl.ca.pem": tls.ca,
        "ssl.certificate.pem": tls.certificate,
        "ssl.key.pem": tls.key,
        "ssl.key.password": tls.password,
    }
    return {name: value for name, value in made.items() if value}
