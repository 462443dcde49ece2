"""dbt-clickhouse: debug, show, sources, compile, docs; what writes is refused."""

import os
import subprocess
import sys
from pathlib import Path

from checks import PORT, TOKEN, check, end, same

FILES = {
    "profiles.yml": f"""
it:
  target: dev
  outputs:
    dev: {{type: clickhouse, driver: http, host: 127.0.0.1, port: {PORT}, user: u, password: "{TOKEN}", schema: default,
           secure: false, threads: 1, check_exchange: false}}
""",
    "dbt_project.yml": "name: it\nprofile: it\nversion: 1.0.0\nmodel-paths: [models]\nflags: {use_colors: false}\n",
    "models/sources.yml": """
version: 2
sources:
  - name: here
    schema: default
    tables:
      - name: events
        columns: [{name: id, tests: [unique, not_null]}]
      - name: totals
""",
    "models/by_name.sql": "{{ config(materialized='ephemeral') }}\nSELECT name, sum(amount) AS n "
    "FROM {{ source('here', 'events') }} GROUP BY name",
    "models/table.sql": "{{ config(materialized='table') }}\nSELECT * FROM {{ source('here', 'totals') }}",
}
for name, text in FILES.items():
    path = Path("dbt") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def dbt(*arguments: str, fails: bool = False) -> str:
    command = [str(Path(sys.executable).with_name("dbt")), "--no-use-colors", *arguments, "--profiles-dir", "."]
    done = subprocess.run(command, cwd="dbt", capture_output=True, text=True, check=False, env=os.environ)
    text = done.stdout + done.stderr
    if (done.returncode != 0) != fails:
        raise AssertionError(text[-1500:])
    return text


with check("debug"):
    same("All checks passed" in dbt("debug"), True)
with check("show --inline"):
    same("10" in dbt("show", "--inline", "SELECT sum(amount) AS n FROM {{ source('here', 'events') }}"), True)
with check("show of a model"):
    same("O'Neil" in dbt("show", "--select", "by_name"), True)
with check("compile"):
    same("events" in dbt("compile", "--select", "by_name"), True)
with check("list of sources"):
    same("source:it.here.events" in dbt("ls", "--resource-type", "source"), True)
with check("tests of a source"):
    dbt("test", "--select", "source:here.events")
with check("docs generate"):
    dbt("docs", "generate", "--no-compile")
    import json

    catalog = json.loads((Path("dbt") / "target" / "catalog.json").read_text(encoding="utf-8"))
    same(list(catalog["sources"]["source.it.here.totals"]["columns"]), ["name", "total", "events"])
with check("run is refused with where rows go"):
    same("read-only here" in dbt("run", "--select", "table", fails=True), True)
end()
