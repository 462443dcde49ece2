"""The clients, what each is installed from, and the script that says what it does here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Client:
    """One environment and its checks: `checks/<script>` is run in it.

    `packages` come from the registry of its `kind`. `fixed_port`: it has `localhost:7181` built in.
    `programs` are those of the machine that it needs; without them it is left out.
    """

    name: str
    kind: Literal["python", "node"]
    packages: tuple[str, ...]
    script: str
    seconds: int = 180
    fixed_port: bool = False
    programs: tuple[str, ...] = ()


# mcp-tinybird is not among them: it sends its logs to its vendor.
CLIENTS: tuple[Client, ...] = (
    Client("tb", "python", ("tinybird>=5,<6",), "tb_.py", 480, fixed_port=True),
    Client("tinybird-sdk", "python", ("tinybird-sdk>=0.4,<1",), "sdk_python.py"),
    Client("tinybird-python-sdk", "python", ("tinybird-python-sdk",), "python_sdk.py"),
    Client("verdin", "python", ("verdin==0.5.3", "requests", "pytest", "tinybird>=5,<6"), "verdin_suite.py", 300, True),
    Client("clickhouse-connect", "python", ("clickhouse-connect[pandas,arrow,sqlalchemy]",), "clickhouse_connect_.py"),
    Client("dbt-clickhouse", "python", ("dbt-core>=1.9,<1.10", "dbt-clickhouse<1.10"), "dbt_.py", 300),
    Client("ibis", "python", ("ibis-framework[clickhouse]", "packaging", "polars"), "ibis_.py"),
    Client("duckdb", "python", ("duckdb==1.4.4", "duckdb-ext-httpfs==1.4.4.20260205"), "duckdb_.py"),
    Client("polars", "python", ("polars", "pyarrow"), "polars_.py"),
    Client("pandas", "python", ("pandas", "pyarrow", "lxml"), "pandas_.py"),
    Client("@tinybirdco/sdk", "node", ("@tinybirdco/sdk@0.0.84",), "tinybirdco_sdk.mjs", fixed_port=True),
    Client("zod-bird", "node", ("@chronark/zod-bird", "zod"), "zod_bird.mjs"),
    Client("@clickhouse/client", "node", ("@clickhouse/client",), "clickhouse_client.mjs"),
    Client("cube", "node", ("@cubejs-backend/clickhouse-driver",), "cube.mjs", 300),
    Client("Ghost", "node", ("jsonwebtoken",), "ghost.mjs", 300, programs=("tar",)),
    Client(
        "flock.js and charts",
        "node",
        ("@tinybirdco/flock.js", "@tinybirdco/charts", "react", "react-dom", "esbuild", "playwright-core"),
        "browser.mjs",
        300,
        programs=("chromium",),
    ),
)
