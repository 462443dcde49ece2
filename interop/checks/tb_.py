"""tb 5: what its commands do, in cloud mode, in local mode and on branches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from checks import PORT, TOKEN, URL, check, end, same

TB = str(Path(sys.executable).with_name("tb"))
CLOUD = {"TB_HOST": URL, "TB_TOKEN": TOKEN, "TB_USER_TOKEN": TOKEN}
LOCAL = {"TB_LOCAL_HOST": "127.0.0.1", "TB_LOCAL_PORT": str(PORT)}


def tb(*arguments: str, env: dict[str, str] | None = None, fails: bool = False, stdin: str = "") -> str:
    """Run a command in the project; return what it prints."""
    environment = {**os.environ, **LOCAL, **(CLOUD if env is None else env)}
    command = [TB, *arguments]
    done = subprocess.run(
        command, cwd="project", env=environment, capture_output=True, text=True, check=False, input=stdin, timeout=120
    )
    text = done.stdout + done.stderr
    if (done.returncode != 0) != fails:
        raise AssertionError(f"tb {' '.join(arguments)} ended with {done.returncode}: {text[-1200:]}")
    return text


def cloud(*arguments: str, **more: object) -> str:
    return tb("--cloud", *arguments, **more)  # type: ignore[arg-type]


def has(text: str, *parts: str) -> None:
    for part in parts:
        if part not in text:
            raise AssertionError(f"'{part}' is not in: {text[-1200:]}")


# Deployments
with check("--cloud deploy --check"):
    has(cloud("deploy", "--check"), "No changes")
with check("--cloud deploy without changes"):
    has(cloud("deploy"), "No changes")
with check("--cloud deploy of a change"):
    pipe = Path("project/endpoints/count.pipe")
    pipe.write_text("NODE n\nSQL >\n    SELECT count() AS n FROM events\n\nTYPE endpoint\n")
    has(cloud("deploy"), "is live")
with check("--cloud deploy of a broken project"):
    pipe.write_text("NODE n\nSQL >\n    SELECT nope FROM events\n\nTYPE endpoint\n")
    has(cloud("deploy", fails=True), "count.pipe", "nope")
    pipe.write_text("NODE n\nSQL >\n    SELECT count() AS n, 1 AS one FROM events\n\nTYPE endpoint\n")
with check("--cloud deployment create, ls, promote"):
    cloud("deployment", "create", "--wait", "--no-auto")
    has(cloud("deployment", "ls"), "Staging")
    has(cloud("deployment", "promote", "--wait"), "promoted")
with check("--cloud deployment discard"):
    pipe.write_text("NODE n\nSQL >\n    SELECT count() AS n, 2 AS two FROM events\n\nTYPE endpoint\n")
    cloud("deployment", "create", "--wait", "--no-auto")
    cloud("deployment", "discard", "--wait")
with check("removing a data source needs leave"):
    source = Path("project/datasources/extra.datasource")
    source.write_text("SCHEMA >\n    a Int64\n\nENGINE MergeTree\nENGINE_SORTING_KEY a\n")
    cloud("deploy")
    source.unlink()
    has(cloud("deploy", fails=True), "extra")
    cloud("deploy", "--allow-destructive-operations")

# Queries
with check("sql"):
    has(cloud("sql", "SELECT count() AS n FROM events"), "4")
with check("sql --output json"):
    same(json.loads(cloud("--output", "json", "sql", "SELECT count() AS n FROM events"))["data"], [{"n": 4}])
with check("sql --stats"):
    has(cloud("sql", "--stats", "SELECT count() FROM events"), "4")
with check("sql of an error"):
    has(cloud("sql", "SELECT nope FROM events", fails=True), "nope")
with check("sql that is long"):
    has(cloud("sql", "SELECT count() AS n FROM events WHERE id != '" + "x" * 5000 + "'"), "4")
with check("endpoint data"):
    has(cloud("endpoint", "data", "totals", "--least", "4"), "4")
with check("endpoint ls"):
    has(cloud("endpoint", "ls"), "totals")
with check("endpoint url"):
    has(cloud("endpoint", "url", "totals"), "/v0/pipes/totals.json")
with check("endpoint token"):
    has(cloud("endpoint", "token", "totals"), "p.")
with check("endpoint stats"):
    cloud("endpoint", "stats", "totals")
with check("pipe ls"):
    has(cloud("pipe", "ls"), "totals")
with check("sql --pipe --node", "it asks /v0/sql_tables only for pipes without local data sources: its own KeyError"):
    cloud("sql", "--pipe", "endpoints/totals.pipe", "--node", "totals_0")

# Data
Path("project/rows.csv").write_text('t1,tb,1,1,,"[]",2026-04-01 00:00:00\n')
Path("project/rows.ndjson").write_text('{"id":"t2","name":"tb","amount":2,"at":"2026-04-01 00:00:00","tags":[]}\n')
with check("datasource append of a CSV file"):
    has(cloud("datasource", "append", "events", "--file", "rows.csv"), "appended")
    has(cloud("sql", "SELECT count() AS n FROM events WHERE id = 't1'"), "1")
with check("datasource append of NDJSON"):
    cloud("datasource", "append", "events", "--file", "rows.ndjson")
with check("datasource append --events"):
    cloud("datasource", "append", "events", "--events", Path("project/rows.ndjson").read_text().strip())
with check("datasource append of a row that does not fit"):
    keys = {name: value for name, value in CLOUD.items() if name != "TB_USER_TOKEN"}  # with it, it asks an LLM
    text = cloud("datasource", "append", "events", "--events", '{"id":"bad","amount":"many"}', env=keys)
    has(text, "1 row went to quarantine", "c__error")
with check("datasource ls"):
    has(cloud("datasource", "ls"), "events", "archive")
with check("datasource data"):
    has(cloud("datasource", "data", "events"), "O'Neil")
with check("datasource analyze"):
    has(cloud("datasource", "analyze", "rows.ndjson"), "amount")
with check("datasource export"):
    cloud("datasource", "export", "events", "--format", "ndjson", "--target", "out.ndjson")
    same(len(Path("project/out.ndjson").read_text().splitlines()) >= 6, True)
with check("datasource delete --dry-run"):
    has(cloud("datasource", "delete", "events", "--sql-condition", "name='tb'", "--dry-run"), "3")
with check("datasource delete --wait"):
    cloud("datasource", "delete", "events", "--sql-condition", "name='tb'", "--yes", "--wait")
    has(cloud("sql", "SELECT count() AS n FROM events WHERE name = 'tb'"), "0")
with check("datasource replace"):
    Path("project/archive.csv").write_text("x,1\ny,2\n")
    cloud("datasource", "replace", "archive", "archive.csv", stdin="y\n")
    has(cloud("sql", "SELECT sum(total) AS n FROM archive"), "3")
with check("datasource truncate"):
    cloud("datasource", "truncate", "archive", "--yes")
with check("datasource truncate --cascade"):
    has(cloud("datasource", "truncate", "events", "--yes", "--cascade"), "events", "daily")
    has(cloud("sql", "SELECT count() AS n FROM daily"), "0")
    cloud("datasource", "append", "events", "--file", "fixtures/events.ndjson")

# Copies, views, jobs
with check("copy ls and run --wait"):
    has(cloud("copy", "ls"), "to_archive")
    cloud("copy", "run", "to_archive", "--wait", "--yes")
    has(cloud("sql", "SELECT sum(total) AS n FROM archive"), "10")
with check("materialization ls"):
    has(cloud("materialization", "ls"), "to_daily")
with check("job ls and details"):
    jobs = cloud("job", "ls")
    has(jobs, "copy", URL)
with check("sink ls"):
    cloud("sink", "ls")
with check("connection ls"):
    cloud("connection", "ls")
with check("logs"):
    cloud("logs", "--start", "-1h")

# Tokens and secrets
with check("token ls"):
    has(cloud("token", "ls"), "workspace admin token", "dashboard")
with check("token create static"):
    cloud("token", "create", "static", "mine", "--scope", "PIPES:READ", "--resource", "totals")
with check("token scopes"):
    has(cloud("token", "scopes", "mine"), "totals")
with check("token refresh"):
    cloud("token", "refresh", "mine", "--yes")
with check("token rm"):
    cloud("token", "rm", "mine", "--yes")
with check("token create jwt"):
    jwt = cloud("token", "create", "jwt", "j", "--ttl", "1h", "--scope", "PIPES:READ", "--resource", "totals")
    has(jwt, "eyJ")
with check("secret set, ls, rm"):
    cloud("secret", "set", "API_KEY", "hidden")
    text = cloud("secret", "ls")
    has(text, "API_KEY")
    same("hidden" in text, False)
    cloud("secret", "rm", "API_KEY")
    same("API_KEY" in cloud("secret", "ls"), False)

# Workspaces
with check("workspace current and ls"):
    has(cloud("workspace", "current"), "default")
    has(cloud("workspace", "ls"), "default")
with check("workspace create"):
    cloud("workspace", "create", "team_b")
    has(cloud("workspace", "ls"), "team_b")
with check("workspace delete"):
    cloud("workspace", "delete", "team_b", "--yes")
    same("team_b" in cloud("workspace", "ls"), False)
with check("workspace members ls"):
    cloud("workspace", "members", "ls")
with check("info"):
    has(cloud("info"), "default")
with check("pull"):
    cloud("pull", "--force")
    same(Path("project/endpoints/totals.pipe").exists(), True)

# Branches
with check("branch create, build on it, ls, rm"):
    cloud("branch", "create", "feature_x", "--last-partition")
    has(cloud("branch", "ls"), "feature_x")
    tb("--branch=feature_x", "build")
    cloud("branch", "rm", "feature_x", "--yes")

# Local mode, where each folder and git branch has a workspace of its own
ONLY_LOCAL: dict[str, str] = {}
with check("--local build"):
    Path("project/endpoints/new.pipe").write_text("NODE n\nSQL >\n    SELECT 2 AS n\n\nTYPE endpoint\n")
    has(tb("--local", "build", env=ONLY_LOCAL), "completed")
with check("--local deploy"):
    Path("project/endpoints/more.pipe").write_text("NODE n\nSQL >\n    SELECT 1 AS n\n\nTYPE endpoint\n")
    has(tb("--local", "deploy", env=ONLY_LOCAL), "live")
with check("--local sql"):
    has(tb("--local", "sql", "SELECT count() AS n FROM events", env=ONLY_LOCAL), "4")
with check("--local endpoint data"):
    has(tb("--local", "endpoint", "data", "totals", env=ONLY_LOCAL), "O'Neil")
with check("--local token ls"):
    has(tb("--local", "token", "ls", env=ONLY_LOCAL), "workspace admin token")
with check("test run"):
    has(tb("test", "run", env=ONLY_LOCAL), "passed")
with check("test run of one that fails"):
    tests = Path("project/tests/totals.yaml")
    kept = tests.read_text()
    tests.write_text(kept.replace('"total":4', '"total":5'))
    tb("test", "run", env=ONLY_LOCAL, fails=True)
with check("test update"):
    tb("test", "update", "totals", env=ONLY_LOCAL)
    same(tests.read_text().split(), kept.split())
with check("local ls"):
    has(tb("local", "ls", env=ONLY_LOCAL), "default")
with check("local version"):
    tb("local", "version", env=ONLY_LOCAL)

# Login by code: somebody shows a token on the page
with check("login --method code"):
    import re
    import time
    import urllib.parse
    import urllib.request

    shutil.rmtree("login", ignore_errors=True)
    Path("login").mkdir()
    command = [TB, "login", "--host", URL, "--auth-host", URL, "--method", "code"]
    environment = {**os.environ, "BROWSER": "true", "PYTHONUNBUFFERED": "1"}
    with open("login/out", "w") as out:
        running = subprocess.Popen(command, cwd="login", env=environment, stdin=subprocess.PIPE, stdout=out, stderr=out)
        assert running.stdin
        running.stdin.write(b"\n")
        running.stdin.close()
        for _ in range(60):
            time.sleep(0.5)
            if found := re.search(r"[?&]code=(\w{8})", Path("login/out").read_text()):
                break
        assert found, Path("login/out").read_text()
        form = urllib.parse.urlencode({"method": "code", "code": found[1], "token": TOKEN}).encode()
        urllib.request.urlopen(f"{URL}/api/cli-login", form).read()
        same(running.wait(60), 0)
    same(json.loads(Path("login/.tinyb").read_text())["token"], TOKEN)
end()
