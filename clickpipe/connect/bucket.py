"""The bucket of a data source: where its files are, and with which keys; secrets are filled in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from clickpipe.catalog import Ledger, Live
from clickpipe.connect.access import Access, access_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import (
    DataSource,
    Files,
    bucket_obstacle,
    bucket_options,
    files_of,
    fill_secrets,
    is_bucket,
    since,
)

_ENDINGS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".parquet": "parquet"}
_COMPRESSED = (".gz", ".zst", ".zstd")


@dataclass(frozen=True, slots=True)
class Bucket:
    """The files that a data source imports, and when: `schedule` is @auto, @once, @on-demand or cron (UTC).

    `endpoint` is where the bucket is: https://host, or http://host. `format` is '' where a file's name says it; `since`
    leaves out files that were changed last before it.
    """

    workspace: str
    data_source: str
    files: Files
    schedule: str
    format: str
    since: datetime | None
    endpoint: str
    access: Access = field(repr=False)

    @property
    def ledger(self) -> Ledger:
        """Return what its files are recorded under."""
        return Ledger(self.workspace, self.data_source, f"{self.endpoint}/{self.files.bucket}")

    def format_of(self, key: str) -> str:
        """Return a file's format. Raises ClickpipeError 400 if neither the data source nor its name says it."""
        plain = key.lower()
        for ending in _COMPRESSED:
            plain = plain.removesuffix(ending)
        found = self.format or next((format_ for end, format_ in _ENDINGS.items() if plain.endswith(end)), "")
        if not found:
            message = "its name does not say what it is (.csv, .ndjson, .parquet): add IMPORT_FORMAT."
            raise ClickpipeError(message, code="unknown_format")
        return found


def buckets_of(
    workspace: str, live: Live, secret: Callable[[str], str | None]
) -> Iterator[Bucket | tuple[str, ClickpipeError]]:
    """Yield the buckets that a deployment's data sources import from; for one that cannot, its name and the error.

    Whatever a project or a secret holds, the others are yielded.
    """
    connections = live.compiled.project.connections
    for source in live.compiled.data_sources.values():
        if not is_bucket(source.connector) or not live.takes_events(source.name):
            continue
        if (found := bucket_obstacle(source, connections)) is not None:
            yield source.name, ClickpipeError(f"{found[1]}.", code="bad_bucket")
            continue
        yield _bucket_or_error(workspace, source, bucket_options(source, connections), secret)


def _bucket_or_error(
    workspace: str, source: DataSource, options: Mapping[str, str], secret: Callable[[str], str | None]
) -> Bucket | tuple[str, ClickpipeError]:
    try:
        return _bucket(workspace, source, options, secret)
    except ClickpipeError as error:
        return source.name, error
    except KeyError as error:
        return source.name, ClickpipeError(f"There is no {error.args[0]}.", code="bad_connection")
    except ValueError:
        return source.name, ClickpipeError("An option of the bucket cannot be read.", code="bad_connection")


def _bucket(
    workspace: str, source: DataSource, options: Mapping[str, str], secret: Callable[[str], str | None]
) -> Bucket:
    filled = {name: fill_secrets(text, secret).strip() for name, text in options.items()}
    endpoint, access = access_of(filled)
    return Bucket(
        workspace,
        source.name,
        files_of(filled["IMPORT_BUCKET_URI"]),
        filled["IMPORT_SCHEDULE"],
        filled.get("IMPORT_FORMAT", "").lower(),
        since(filled["IMPORT_FROM_TIMESTAMP"]) if "IMPORT_FROM_TIMESTAMP" in filled else None,
        endpoint,
        access,
    )
