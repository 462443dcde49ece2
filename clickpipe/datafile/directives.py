"""The directives of each kind of datafile, with their arguments. To add a directive, add a line here.

docs/datafiles.md describes them, and which ones belong to Tinybird Classic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from clickpipe.datafile.syntax import Kind
from clickpipe.diagnostics import Diagnostic, Severity, Span, did_you_mean


class Form(Enum):
    """The form of a directive's argument."""

    VALUE = auto()  # the rest of the line is one value, quoted or not
    WORDS = auto()  # several words, each quoted or not
    BLOCK = auto()  # a block only
    EITHER = auto()  # a value or a block
    FREE = auto()  # a value, or a block of prose in which `#` has no meaning


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name, the form of its argument, the values it accepts.

    `deprecated` says what to write instead of a directive that causes a warning, `refused` of one that is an error.
    """

    name: str
    form: Form = Form.VALUE
    arity: tuple[int, int] = (1, 1)
    choices: tuple[str, ...] = ()
    repeats: bool = False
    example: str = ""
    aliases: tuple[str, ...] = ()
    deprecated: str = ""
    refused: str = ""


_BOOLEANS = ("true", "false")
_KAFKA_FORMATS = ("string", "json_without_schema", "json_with_schema", "avro")

_COMMON = (
    Directive("DESCRIPTION", Form.FREE, example="DESCRIPTION What this is for"),
    Directive("TAGS", Form.EITHER, example='TAGS "web, events"'),
    Directive("INCLUDE", Form.WORDS, (1, 50), repeats=True, example='INCLUDE "shared/kafka.incl" "TOPIC=events"'),
    Directive("VERSION", deprecated="deployments replace versions: remove the line"),
)
_TOKEN = Directive("TOKEN", Form.WORDS, (2, 2), repeats=True, example='TOKEN "my_token" READ')

_ENGINE = (
    Directive("ENGINE", example="ENGINE MergeTree"),
    Directive("ENGINE_PARTITION_KEY", aliases=("PARTITION_KEY",), example="ENGINE_PARTITION_KEY toYYYYMM(timestamp)"),
    Directive("ENGINE_SORTING_KEY", aliases=("SORTING_KEY",), example="ENGINE_SORTING_KEY timestamp, user_id"),
    Directive("ENGINE_PRIMARY_KEY", aliases=("PRIMARY_KEY",), example="ENGINE_PRIMARY_KEY timestamp"),
    Directive("ENGINE_SAMPLING_KEY", aliases=("SAMPLING_KEY",), example="ENGINE_SAMPLING_KEY user_hash"),
    Directive("ENGINE_TTL", aliases=("TTL",), example="ENGINE_TTL timestamp + toIntervalDay(90)"),
    Directive("ENGINE_SETTINGS", example="ENGINE_SETTINGS index_granularity=1024"),
    Directive("ENGINE_VER", example="ENGINE_VER updated_at"),
    Directive("ENGINE_IS_DELETED", example="ENGINE_IS_DELETED deleted"),
    Directive("ENGINE_COLUMNS", aliases=("ENGINE_SUMMING_COLUMNS",), example="ENGINE_COLUMNS clicks, cost"),
    Directive("ENGINE_SIGN", example="ENGINE_SIGN sign"),
    Directive("ENGINE_VERSION", example="ENGINE_VERSION version"),
    Directive("ENGINE_JOIN_STRICTNESS", choices=("any", "all", "semi", "anti"), example="ENGINE_JOIN_STRICTNESS ANY"),
    Directive("ENGINE_JOIN_TYPE", choices=("left", "inner", "right", "full"), example="ENGINE_JOIN_TYPE LEFT"),
    Directive("ENGINE_KEY_COLUMNS", example="ENGINE_KEY_COLUMNS id"),
)

_SOURCES = (
    Directive("KAFKA_CONNECTION_NAME", example="KAFKA_CONNECTION_NAME my_kafka"),
    Directive("KAFKA_TOPIC", example="KAFKA_TOPIC events"),
    Directive("KAFKA_GROUP_ID", example="KAFKA_GROUP_ID clickpipe_events"),
    Directive("KAFKA_AUTO_OFFSET_RESET", choices=("latest", "earliest"), example="KAFKA_AUTO_OFFSET_RESET latest"),
    Directive("KAFKA_STORE_RAW_VALUE", choices=_BOOLEANS, example="KAFKA_STORE_RAW_VALUE True"),
    Directive("KAFKA_STORE_HEADERS", choices=_BOOLEANS, example="KAFKA_STORE_HEADERS True"),
    Directive("KAFKA_KEY_FORMAT", choices=_KAFKA_FORMATS, example="KAFKA_KEY_FORMAT avro"),
    Directive("KAFKA_VALUE_FORMAT", choices=_KAFKA_FORMATS, example="KAFKA_VALUE_FORMAT json_without_schema"),
    Directive("KAFKA_STORE_BINARY_HEADERS", deprecated="headers are stored as text: use KAFKA_STORE_HEADERS"),
    Directive("KAFKA_TARGET_PARTITIONS", deprecated="partitions are assigned by Kafka: remove the line"),
    Directive("KAFKA_KEY_AVRO_DESERIALIZATION", deprecated="use KAFKA_KEY_FORMAT avro"),
    *(
        Directive(name, deprecated="put it into the .connection file")
        for name in (
            *("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_KEY", "KAFKA_SECRET", "KAFKA_SECURITY_PROTOCOL"),
            *("KAFKA_SASL_MECHANISM", "KAFKA_SCHEMA_REGISTRY_URL", "KAFKA_SSL_KEY_PASSWORD"),
        )
    ),
    *(
        Directive(name, Form.EITHER, deprecated="put it into the .connection file")
        for name in ("KAFKA_SSL_CA_PEM", "KAFKA_SSL_CERTIFICATE_PEM", "KAFKA_SSL_KEY_PEM")
    ),
    Directive("IMPORT_CONNECTION_NAME", example="IMPORT_CONNECTION_NAME my_s3"),
    Directive("IMPORT_SCHEDULE", example="IMPORT_SCHEDULE @auto"),
    Directive("IMPORT_BUCKET_URI", example="IMPORT_BUCKET_URI s3://bucket/path/*.ndjson"),
    Directive("IMPORT_FORMAT", choices=("csv", "ndjson", "parquet"), example="IMPORT_FORMAT ndjson"),
    Directive("IMPORT_FROM_TIMESTAMP", example="IMPORT_FROM_TIMESTAMP 2024-01-01T00:00:00Z"),
    Directive("IMPORT_TABLE_ARN", example="IMPORT_TABLE_ARN arn:aws:dynamodb:eu-west-1:123456789012:table/users"),
    Directive("IMPORT_EXPORT_BUCKET", example="IMPORT_EXPORT_BUCKET my-bucket"),
    Directive("IMPORT_STRATEGY", deprecated="imports append; to replace, use a copy pipe with COPY_MODE replace"),
    Directive("IMPORT_SERVICE", deprecated="the .connection file says which service it is: remove the line"),
    Directive("IMPORT_EXTERNAL_DATASOURCE", deprecated="import files with IMPORT_BUCKET_URI"),
    Directive("IMPORT_QUERY", Form.EITHER, deprecated="import files with IMPORT_BUCKET_URI"),
    Directive("PG_CONNECTION_NAME", example="PG_CONNECTION_NAME my_postgres"),
    Directive("PG_TABLE", example="PG_TABLE public.users"),
    Directive("EXPORT_SERVICE", deprecated="the .connection file says which service it is: remove the line"),
)

_SINKS = (
    Directive("EXPORT_CONNECTION_NAME", example="EXPORT_CONNECTION_NAME my_s3"),
    Directive("EXPORT_SCHEDULE", example='EXPORT_SCHEDULE "0 * * * *"'),
    Directive("EXPORT_BUCKET_URI", example="EXPORT_BUCKET_URI s3://bucket/path"),
    Directive("EXPORT_FILE_TEMPLATE", example="EXPORT_FILE_TEMPLATE events_{timestamp}"),
    Directive("EXPORT_FORMAT", example="EXPORT_FORMAT csv"),
    Directive("EXPORT_COMPRESSION", example="EXPORT_COMPRESSION gz"),
    Directive("EXPORT_STRATEGY", example="EXPORT_STRATEGY @new"),
    Directive("EXPORT_WRITE_STRATEGY", example="EXPORT_WRITE_STRATEGY new"),
    Directive("EXPORT_KAFKA_TOPIC", example="EXPORT_KAFKA_TOPIC events_out"),
    Directive("EXPORT_SERVICE", deprecated="the .connection file says which service it is: remove the line"),
)

_DATASOURCE = (
    *_COMMON,
    _TOKEN,
    Directive("SCHEMA", Form.BLOCK, example="SCHEMA >\n    id String `json:$.id`"),
    Directive("INDEXES", Form.EITHER, example="INDEXES >\n    by_user user_id TYPE bloom_filter GRANULARITY 4"),
    *_ENGINE,
    Directive("SETTINGS", refused="use ENGINE_SETTINGS"),
    Directive("SHARED_WITH", Form.EITHER, example="SHARED_WITH other_workspace"),
    Directive("FORWARD_QUERY", Form.BLOCK, example="FORWARD_QUERY >\n    SELECT id, toUInt64(amount) AS amount"),
    Directive("BACKFILL", choices=("skip",), example="BACKFILL skip"),
    *_SOURCES,
    Directive("SOURCE", refused="data comes in by events, files or a connection: remove the line"),
)

_PIPE = (
    *_COMMON,
    _TOKEN,
    Directive("NODE", repeats=True, aliases=("SCOPE",), example="NODE endpoint"),
    Directive("SQL", Form.BLOCK, repeats=True, example="SQL >\n    SELECT 1"),
    Directive("TYPE", choices=("endpoint", "materialized", "copy", "sink", "standard"), example="TYPE endpoint"),
    Directive("DATASOURCE", example="DATASOURCE daily_pages"),
    Directive("DEPLOYMENT_METHOD", choices=("alter",), example="DEPLOYMENT_METHOD alter"),
    Directive("TARGET_DATASOURCE", example="TARGET_DATASOURCE daily_sessions"),
    Directive("COPY_SCHEDULE", example='COPY_SCHEDULE "0 1 * * *"'),
    Directive("COPY_MODE", choices=("append", "replace"), aliases=("MODE",), example="COPY_MODE append"),
    Directive("ON_DEMAND_COMPUTE", choices=_BOOLEANS, example="ON_DEMAND_COMPUTE true"),
    Directive("FILTER", deprecated="put the condition into the SQL"),
    Directive("CACHE", deprecated="results are not cached by a directive: remove the line"),
    *_SINKS,
    *(replace(d, deprecated="put it into the target's .datasource file") for d in _ENGINE),
)

_CONNECTION = (
    *_COMMON,
    Directive("TYPE", example="TYPE kafka"),
    Directive("KAFKA_BOOTSTRAP_SERVERS", example="KAFKA_BOOTSTRAP_SERVERS broker:9092"),
    Directive("KAFKA_KEY", example='KAFKA_KEY {{ tb_secret("KAFKA_KEY") }}'),
    Directive("KAFKA_SECRET", example='KAFKA_SECRET {{ tb_secret("KAFKA_SECRET") }}'),
    Directive(
        "KAFKA_SECURITY_PROTOCOL",
        choices=("sasl_ssl", "plaintext", "sasl_plaintext", "ssl"),
        example="KAFKA_SECURITY_PROTOCOL SASL_SSL",
    ),
    Directive(
        "KAFKA_SASL_MECHANISM",
        choices=("plain", "scram-sha-256", "scram-sha-512", "oauthbearer"),
        example="KAFKA_SASL_MECHANISM PLAIN",
    ),
    Directive("KAFKA_SCHEMA_REGISTRY_URL", example="KAFKA_SCHEMA_REGISTRY_URL https://registry:8081"),
    Directive("KAFKA_SSL_CA_PEM", Form.EITHER, example="KAFKA_SSL_CA_PEM >\n    -----BEGIN CERTIFICATE-----"),
    Directive(
        "KAFKA_SSL_CERTIFICATE_PEM",
        Form.EITHER,
        example='KAFKA_SSL_CERTIFICATE_PEM {{ tb_secret("KAFKA_CERTIFICATE") }}',
    ),
    Directive("KAFKA_SSL_KEY_PEM", Form.EITHER, example='KAFKA_SSL_KEY_PEM {{ tb_secret("KAFKA_KEY_PEM") }}'),
    Directive("KAFKA_SSL_KEY_PASSWORD", example='KAFKA_SSL_KEY_PASSWORD {{ tb_secret("KAFKA_KEY_PASSWORD") }}'),
    Directive("KAFKA_SASL_OAUTHBEARER_METHOD", example="KAFKA_SASL_OAUTHBEARER_METHOD OIDC"),
    Directive(
        "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        example="KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL https://login.example.com/token",
    ),
    Directive("KAFKA_SASL_OAUTHBEARER_SCOPE", example="KAFKA_SASL_OAUTHBEARER_SCOPE kafka"),
    Directive("KAFKA_SASL_OAUTHBEARER_EXTENSIONS", example="KAFKA_SASL_OAUTHBEARER_EXTENSIONS logicalCluster=lkc-1"),
    Directive("KAFKA_SASL_OAUTHBEARER_AWS_REGION", example="KAFKA_SASL_OAUTHBEARER_AWS_REGION eu-west-1"),
    Directive("KAFKA_SASL_OAUTHBEARER_AWS_ROLE_ARN", example="KAFKA_SASL_OAUTHBEARER_AWS_ROLE_ARN arn:aws:iam::…"),
    Directive("KAFKA_SASL_OAUTHBEARER_AWS_EXTERNAL_ID", example="KAFKA_SASL_OAUTHBEARER_AWS_EXTERNAL_ID id"),
    Directive("S3_REGION", example="S3_REGION eu-west-1"),
    Directive("S3_ARN", example="S3_ARN arn:aws:iam::123456789012:role/reader"),
    Directive("S3_ACCESS_KEY", example='S3_ACCESS_KEY {{ tb_secret("S3_ACCESS_KEY") }}'),
    Directive("S3_SECRET", example='S3_SECRET {{ tb_secret("S3_SECRET") }}'),
    Directive("S3_ENDPOINT", example="S3_ENDPOINT https://storage.example.com"),
    Directive(
        "GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON",
        Form.EITHER,
        example='GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON {{ tb_secret("GCS_JSON") }}',
    ),
    Directive("GCS_HMAC_ACCESS_ID", example='GCS_HMAC_ACCESS_ID {{ tb_secret("GCS_ID") }}'),
    Directive("GCS_HMAC_SECRET", example='GCS_HMAC_SECRET {{ tb_secret("GCS_SECRET") }}'),
    Directive("DYNAMODB_ARN", example="DYNAMODB_ARN arn:aws:iam::123456789012:role/reader"),
    Directive("DYNAMODB_REGION", example="DYNAMODB_REGION eu-west-1"),
    Directive("PG_HOST", example="PG_HOST db.example.com"),
    Directive("PG_PORT", example="PG_PORT 5432"),
    Directive("PG_DATABASE", example="PG_DATABASE app"),
    Directive("PG_USER", example="PG_USER reader"),
    Directive("PG_PASSWORD", example='PG_PASSWORD {{ tb_secret("PG_PASSWORD") }}'),
    Directive("PG_SSL_MODE", example="PG_SSL_MODE require"),
)

DIRECTIVES: dict[Kind, dict[str, Directive]] = {
    kind: {name: directive for directive in table for name in (directive.name, *directive.aliases)}
    for kind, table in ((Kind.DATASOURCE, _DATASOURCE), (Kind.PIPE, _PIPE), (Kind.CONNECTION, _CONNECTION))
}


def not_a_directive(word: str, kind: Kind, span: Span) -> Diagnostic:
    """Return the diagnostic for a line that does not start with a directive of this kind of file."""
    other = next((k for k, table in DIRECTIVES.items() if k is not kind and word.upper() in table), None)
    hint = did_you_mean(word, DIRECTIVES[kind]) or "is a line of a block not indented?"
    if other is not None:
        hint = f"{word.upper()} belongs in .{other} files"
    return Diagnostic("CP1001", f"{word} is not a valid option in {kind} files.", span, hint=hint)


def taken_with_a_word(directive: Directive, span: Span) -> Diagnostic | None:
    """Return the warning for a deprecated directive, the error for a refused one, None for others."""
    if directive.refused:
        return Diagnostic("CP1010", f"{directive.name} is not supported", span, hint=directive.refused)
    if directive.deprecated:
        message = f"{directive.name} is deprecated"
        return Diagnostic("CP1011", message, span, Severity.WARNING, directive.deprecated)
    return None
