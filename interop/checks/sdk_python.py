"""tinybird-sdk (Python): its definitions, its client, its command line (which is tb 4.6)."""

import os
import subprocess
import sys
import time
from pathlib import Path

from checks import TOKEN, URL, check, end, same
from tinybird_sdk import create_tinybird_api

api = create_tinybird_api({"base_url": URL, "token": TOKEN})
with check("query"):
    same(len(api.query("totals", {})["data"]), 3)
with check("query with an array"):
    same(len(api.query("totals", {"names": ["O'Neil", "back\\slash"]})["data"]), 2)
with check("sql"):
    same(api.sql("SELECT count() AS n FROM events")["data"], [{"n": 4}])
EVENT = {"id": "p", "name": "python", "amount": 5, "at": "2026-03-01 00:00:00", "tags": ["x"]}
with check("ingest"):
    same(api.ingest("events", EVENT, {"wait": True}), {"successful_rows": 1, "quarantined_rows": 0})
with check("ingest of several"):
    same(api.ingest_batch("events", [EVENT, EVENT], {"wait": True})["successful_rows"], 2)
with check("delete rows"):
    api.delete_datasource("events", {"delete_condition": "name = 'python'"})
with check("truncate"):
    api.truncate_datasource("archive")
with check("a JWT"):
    given = {"name": "j", "expires_at": int(time.time()) + 60, "scopes": [{"type": "PIPES:READ", "resource": "totals"}]}
    token = api.create_token(given)["token"]
    signed = create_tinybird_api({"base_url": URL, "token": token})
    same(len(signed.query("totals", {"names": ["O'Neil"]})["data"]), 1)
with check("an error"):
    try:
        api.query("nothing", {})
    except Exception as error:
        same("nothing" in str(error), True)
    else:
        raise AssertionError("no error")

Path("app/lib").mkdir(parents=True)
Path("app/tinybird.config.json").write_text('{"include": ["lib/*.py"], "token": "%s", "base_url": "%s"}' % (TOKEN, URL))
Path("app/lib/__init__.py").touch()
Path("app/lib/resources.py").write_text("""
from tinybird_sdk import define_datasource, define_endpoint, engine, node, p, t
visits = define_datasource("visits", {
    "schema": {"at": t.date_time(), "path": t.string()}, "engine": engine.merge_tree({"sorting_key": ["at"]}),
})
top_paths = define_endpoint("top_paths", {
    "params": {"limit": p.int32().optional(10)},
    "nodes": [node({"name": "n", "sql": "SELECT path, count() AS visits FROM visits GROUP BY path LIMIT {{Int32(limit, 10)}}"})],
    "output": {"path": t.string(), "visits": t.uint64()},
})
""")


def cli(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("tinybird")), *arguments]
    environment = {**os.environ, "TINYBIRD_TOKEN": TOKEN, "TINYBIRD_URL": URL}
    done = subprocess.run(command, cwd="app", env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError((done.stdout + done.stderr)[-1500:])
    return done.stdout


with check("cli generate"):
    cli("generate")
end()
