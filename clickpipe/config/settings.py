"""The settings with their defaults, and where they are read from."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clickpipe.config.rules import COPY_SOURCES, SETTINGS_FILE, ProjectRules, names_of
from clickpipe.diagnostics import ClickpipeError, did_you_mean

DEFAULT_PORT = 7181
_CHOICES = {
    "broken_branches": ("error", "warning"),
    "buckets": ("on", "off"),
    "enum_values": ("error", "ignore"),
    "environment_secrets": ("all", "default"),
    "import_private_urls": ("refuse", "allow"),
    "kafka": ("on", "off"),
    "local_tokens": ("off", "on"),
    "log_format": ("console", "json"),
    "log_level": ("debug", "info", "warning", "error"),
    "log_requests": ("off", "errors", "all"),
    "metrics_access": ("token", "open"),
    "sinks": ("on", "off"),
}


class KeyOfProject(str):
    """An `encryption_key` from a `clickpipe.toml`, which may come from somebody else."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """All limits and addresses. Set in `clickpipe.toml` by these names, or as `CLICKPIPE_<NAME>` in the environment.

    Sizes are in bytes, times in seconds.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    clickhouse_port: int = 0
    data_dir: str = ".clickpipe"
    admin_token: str = ""
    jwt_signing_key: str = ""
    jwt_keys: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    encryption_key: str = ""
    workers: int = 4
    max_body_bytes: int = 10_000_000
    max_project_bytes: int = 100_000_000
    request_header_seconds: float = 30.0
    request_body_seconds: float = 60.0
    ingest_batch_bytes: int = 16_777_216
    ingest_queue_bytes: int = 201_326_592
    ingest_flush_seconds: float = 1.0
    ingest_requests_per_second: int = 0
    ingest_bytes_per_second: int = 0
    fail_fast: str = ""
    import_max_bytes: int = 32_000_000_000
    import_max_seconds: float = 3600.0
    import_private_urls: str = "refuse"
    delete_max_seconds: float = 3600.0
    token_requests_per_second: int = 0
    endpoint_requests_per_second: int = 0
    address_requests_per_second: int = 0
    cache_max_bytes: int = 67_108_864
    connections_max_memory_bytes: int = 0
    results_max_disk_bytes: int = 0
    compress_min_bytes: int = 1_000
    range_max_bytes: int = 268_435_456
    range_seconds: float = 60.0
    query_max_seconds: int = 10
    query_stuck_seconds: float = 300.0
    query_queue: int = 256
    query_threads: int = 0
    query_max_memory_bytes: int = 0
    queries_max_memory_bytes: int = 0
    query_max_rows_to_read: int = 0
    query_max_result_rows: int = 0
    query_max_result_bytes: int = 100_000_000
    deploy_wait_seconds: float = 5.0
    stop_seconds: float = 25.0
    keep_previous_seconds: int = 3600
    history_days: int = 90
    quarantine_days: int = 0
    previews: int = 50
    preview_seconds: int = 604_800
    backfill_threads: int = 0
    backfill_rows_per_second: int = 0
    broken_branches: str = "warning"
    enum_values: str = "error"
    copy_sources: str = ""
    lossy_columns: str = ""
    environment_secrets: str = "all"
    local_tokens: str = "off"
    kafka: str = "on"
    kafka_hosts: str = ""
    kafka_most_readers: int = 100
    buckets: str = "on"
    bucket_poll_seconds: float = 60.0
    sinks: str = "on"
    cors_origins: str = "*"
    trusted_proxies: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    metrics_access: str = "token"
    log_level: str = "info"
    log_format: str = "console"
    log_requests: str = "errors"

    def fail_fast_names(self) -> frozenset[str]:
        """Return the data sources that refuse a request if any of its rows does not fit; `*` means all."""
        return frozenset(name.strip() for name in self.fail_fast.split(",") if name.strip())

    def rules(self, *, on_server: bool = False) -> ProjectRules:
        """Return the rules for projects; `on_server` if these are the settings of the server that runs them."""
        sources = frozenset(name.strip().lower() for name in self.copy_sources.split(",") if name.strip())
        lenient, any_enum = self.broken_branches == "warning", self.enum_values == "ignore"
        missing = (self.no_kafka, self.no_buckets, self.no_producer) if on_server else ()
        return ProjectRules(lenient, sources, any_enum, on_server, names_of(self.lossy_columns), *missing)

    @property
    def no_buckets(self) -> str:
        """Return why no files are imported from buckets here, and what to do; '' if they are."""
        off = "the server's setting buckets is off (`clickpipe dev` imports files with --with-connections)"
        return off if self.buckets == "off" else ""

    @property
    def no_kafka(self) -> str:
        """Return why no Kafka data source reads its topic here, and what to do; '' if they do."""
        if self.kafka == "off":
            return "the server's setting kafka is off (`clickpipe dev` reads topics with --with-connections)"
        return self.no_producer

    @property
    def no_producer(self) -> str:
        """Return why no sink sends its rows to Kafka here, and what to do; '' if they do."""
        lacks = find_spec("confluent_kafka") is None
        return "the server lacks confluent-kafka: pip install 'clickpipe[kafka]'" if lacks else ""


def load_settings(folder: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings for a project folder; `flags` that are not None override all others.

    Raises ClickpipeError for an unknown name or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    path = (folder or Path()) / SETTINGS_FILE
    if path.is_file():
        values |= _read(path)
        if "encryption_key" in values:
            values["encryption_key"] = KeyOfProject(values["encryption_key"])
    for field in fields(Settings):
        text = os.environ.get(f"CLICKPIPE_{field.name.upper()}")
        if text is not None and field.name != "host":  # CLICKPIPE_HOST is the URL that client commands use
            values[field.name] = _convert(field.name, text, f"CLICKPIPE_{field.name.upper()}")
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    settings = Settings(**values)
    _require_possible(settings)
    return settings


def _require_possible(settings: Settings) -> None:
    """Raise ClickpipeError for a value of the right type that is not possible."""
    _require_no_negative(settings)
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            message = f"{name} must be {' or '.join(choices)}, not {getattr(settings, name)!r}"
            raise ClickpipeError(message, code="bad_settings")
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        message = "set both tls_certificate and tls_key (files in PEM format), or neither"
        raise ClickpipeError(message, code="bad_settings")
    for source in settings.rules().copy_sources:
        if source not in COPY_SOURCES:
            message = f"copy_sources contains {source!r}, but only {', '.join(COPY_SOURCES)} are supported"
            raise ClickpipeError(message, code="bad_settings")


def _require_no_negative(settings: Settings) -> None:
    for field in fields(Settings):
        value = getattr(settings, field.name)
        if isinstance(value, int | float) and value < 0:
            message = f"{field.name} must be 0 or more, not {value}"
            raise ClickpipeError(message, code="bad_settings")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path}: {error}"
        raise ClickpipeError(message, code="bad_settings") from None
    known = {field.name for field in fields(Settings)}
    for name in found:
        if name not in known:
            hint = did_you_mean(name, known)
            message = f"{path}: '{name}' is not a setting" + (f": {hint}" if hint else "")
            raise ClickpipeError(message, code="bad_settings")
    return {name: _convert(name, value, str(path)) for name, value in found.items()}


def _convert(name: str, value: Any, where: str) -> Any:
    import msgspec  # here: `clickpipe check` tells a kept result without it

    kind = type(getattr(Settings(), name))
    with contextlib.suppress(msgspec.ValidationError):
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    message = f"{where}: {name} must be of type {kind.__name__}, not {value!r}"
    raise ClickpipeError(message, code="bad_settings")
