"""Ways in that worked on an earlier build: SQL and datafiles that say one thing to one reader and another to the next.

Each variant of a kind works in another way; README.md beside this file says which tests try which kind.
"""

# ruff: noqa: E501 - tables of attacks
from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.security.known import CANARY, FILE, SECRET, World
from tests.server.conftest import Client, sign

# 01: what stands in a comment, a quote or a name for one reader is SQL for another. `?` is what the token may read.
FAILS = "if(0,map(1),map())"
SPLICED = [
    f"SELECT * FROM ( # FROM ?, (SELECT * FROM %) AS z /*\n (SELECT 1, {FAILS}) ) --*/",
    f'SELECT 1 AS "x FROM ? y", {FAILS}, (SELECT any(secret) FROM %)',
    "SELECT * FROM ? z EXCEPT SELECT 1, 'a', 'b' UNION ALL SELECT * FROM %",
    "SELECT $h$ FROM ? $h$, (SELECT any(secret) FROM %) FROM ?",
    "SELECT $h$ $h$ FROM % -- $h$ FROM ?",
    "SELECT 'a\\' FROM ? -- ' , secret FROM %",
    "SELECT 'a'' FROM ? ' AS x, z.secret FROM %  AS z",
    "SELECT `a\\` FROM ? -- ` FROM %",
    "SELECT \u2018a\u2019, secret FROM % -- \u2018 FROM ?",
    "SELECT \u201csecret\u201d FROM % -- FROM ?",
    "SELECT /* /* */ FROM ? */ secret FROM %",
    "SELECT 1 /* FROM ? */, secret FROM % --",
    "SELECT 1 -- FROM ?\r, secret FROM %",
    "SELECT 1 #!FROM ?\n, secret FROM %",
    "SELECT secret FROM\u00a0%\u00a0-- FROM ?",
    "SELECT secret FROM %\0 -- FROM ?",
    "WITH ? AS (SELECT * FROM %) SELECT * FROM ?",
    "SELECT * FROM (SELECT * FROM % SETTINGS additional_table_filters = {'ev': '1'}) AS z, ?",
    "SELECT COLUMNS('.*') EXCEPT id FROM ? ARRAY JOIN (SELECT groupArray(secret) FROM %) AS s",
    "SELECT * FROM ? AS `x`, % AS `/*`, ? AS `*/`",
]


@pytest.mark.parametrize("sql", SPLICED)
def test_splices_give_what_the_token_may_read(known: World, sql: str) -> None:
    weak = sign(
        known.client,
        {"type": "PIPES:READ", "resource": "oth"},
        {"type": "DATASOURCES:READ", "resource": "ev", "filter": "tenant = 'acme'"},
    )
    for readable in ("oth", "ev"):
        for table in (known.other, known.ev, "other"):
            text = sql.replace("?", readable).replace("%", table)
            for method, path, more in (
                ("POST", "/v0/sql", {"content": text.encode()}),
                ("POST", "/", {"content": text.encode()}),
                ("GET", f"/v0/pipes/oth.json?q={quote(text)}", {}),
                ("GET", f"/v0/sql?pipeline=oth&q={quote(text)}", {}),
            ):
                told = known.ask(method, path, weak, **more)
                assert told.status_code < 500
                assert not any(text in told.text for text in (CANARY, "v-globex", "v-initech")), told.text
                assert f"{known.client.workspace.database}" not in told.text.replace(table, "")


# 03: a caller's names in the scope of a pipe.
SHADOWS = [
    "WITH ((a, b) -> 1) AS equals SELECT * FROM _",
    "WITH (x -> x) AS hex, ((a, b, c) -> c) AS HMAC SELECT * FROM _",
    "SELECT ((a, b) -> 1) AS equals, * FROM _",
    "SELECT * FROM (WITH ((a, b) -> 1) AS equals SELECT * FROM _)",
    "SELECT arrayMap(((a, b, c) -> c) AS HMAC, [1], [2], [3]), * FROM _",
    "WITH 'globex' AS tenant SELECT * FROM _",
    "WITH 1 AS id, 'globex' AS tenant, 'globex' AS val SELECT * FROM _",
    "WITH ev AS (SELECT 1 AS id, 'globex' AS tenant, 'v-globex-fake' AS val) SELECT id FROM _",
    "WITH `equals` AS (SELECT 1), (x -> x) AS `hex` SELECT * FROM _",
    "SELECT * FROM _ WHERE (((a, b) -> 1) AS equals)(1, 2)",
    "WITH lambda(tuple(a, b), 1) AS equals SELECT * FROM _",
    "SELECT * FROM _ AS ev, _ AS z ORDER BY (((a, b) -> 1) AS equals)(1, 1)",
    "SELECT * APPLY((x -> x) AS hex) FROM _",
    "WITH RECURSIVE ev AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM ev WHERE id < 3) SELECT * FROM _",
    "SELECT 'globex' AS tenant, * FROM _ WHERE tenant = 'globex'",
]


@pytest.mark.parametrize("sql", SHADOWS)
def test_a_caller_changes_nothing_in_a_pipe(known: World, sql: str) -> None:
    token = sign(
        known.client,
        {"type": "PIPES:READ", "resource": "tens", "fixed_params": {"tenant": "acme"}},
        {"type": "PIPES:READ", "resource": "sec"},
    )
    for pipe in ("tens", "sec"):
        for method, path, more in (
            ("GET", f"/v0/pipes/{pipe}.json?tenant=globex&q={quote(sql)}", {}),
            ("GET", f"/v0/sql?pipeline={pipe}&tenant=globex&q={quote(sql)}", {}),
            ("POST", "/v0/sql?tenant=globex", {"content": sql.replace(" _", f" {pipe}").encode()}),
            ("POST", "/", {"content": sql.replace(" _", f" {pipe}").encode()}),
        ):
            told = known.ask(method, path, token, **more)
            assert told.status_code < 500
            assert not any(text in told.text for text in ('v-globex"', "v-initech", SECRET)), told.text


# 04 and 05: a data source's options that say more than they may; `{}` is put into the schema or an option.
BASE = 'SCHEMA >\n    `id` UInt64 `json:$.id`,\n    `secret` String `json:$.secret`{default}\n\nENGINE "MergeTree"\nENGINE_SORTING_KEY "{key}"\n{rest}\n'
MERGE = "Merge(REGEXP('^ws_'), '^other_[0-9a-f]*$')"
OPTIONS: list[dict[str, str]] = [
    {"default": " DEFAULT '' /*", "rest": f'ENGINE_TTL "*/ ) ENGINE = {MERGE} /*"\nENGINE_SETTINGS "x */"'},
    {"default": f" DEFAULT '') ENGINE = {MERGE} --"},
    {"default": f" DEFAULT '') ENGINE = {MERGE} #"},
    {"default": f" DEFAULT '' COMMENT 'x') ENGINE = {MERGE} COMMENT '"},
    {"default": f" DEFAULT $h$$h$) ENGINE = {MERGE} AS SELECT $h$"},
    {"default": " DEFAULT (SELECT any(secret) FROM {other})"},
    {"default": " DEFAULT file('{file}')"},
    {"default": " DEFAULT '' CODEC(NONE)) ENGINE = Memory AS (SELECT * FROM {other}"},
    {"key": f"id) ENGINE = {MERGE} --"},
    {"key": f"id SETTINGS index_granularity = 1) ENGINE = {MERGE} ORDER BY (id"},
    {"key": "joinGet('{other}', 'secret', id)"},
    {"key": "id; CREATE TABLE x AS {other}"},
    {"rest": f'ENGINE_PARTITION_KEY "id) ENGINE = {MERGE} /*"'},
    {"rest": 'ENGINE_TTL "toDate(id) + INTERVAL 1 DAY WHERE id IN (SELECT id FROM {other})"'},
    {"rest": f'ENGINE_SETTINGS "index_granularity=8192 ENGINE = {MERGE}"'},
    {"rest": 'ENGINE_SETTINGS "index_granularity=8192 AS SELECT * FROM {other}"'},
    {"rest": "ENGINE_SETTINGS \"index_granularity=8192 COMMENT 'x' AS SELECT file('{file}')\""},
    {"rest": "\nINDEXES >\n    INDEX i file('{file}') TYPE minmax GRANULARITY 1"},
    {"rest": "ENGINE_SETTINGS \"disk = disk(type='web', endpoint='http://127.0.0.1:{port}/x/')\""},
    {"rest": "ENGINE_SETTINGS \"disk = disk(type='object_storage', object_storage_type='local_blob_storage', metadata_type='local', path='{folder}/x/')\""},
    {"rest": "ENGINE_SETTINGS \"disk = disk(name='d', type=local, path='{folder}/y/')\""},
    {"rest": "ENGINE_SETTINGS \"disk = disk(type=s3, endpoint='http://127.0.0.1:{port}/b/', access_key_id='a', secret_access_key='b')\""},
    {"rest": "ENGINE_SETTINGS \"disk = disk(type=cache, disk=disk(type=local, path='{folder}/z/'), path='{folder}/c/', max_size='1Mi')\""},
    {"rest": "ENGINE_SETTINGS \"DISK='default'\""},
    {"rest": "ENGINE_SETTINGS \"`disk` = 'default'\""},
    {"rest": "ENGINE_SETTINGS \"storage_policy = 'default'\""},
    {"rest": "ENGINE_SETTINGS \"index_granularity = 8192, table_disk = 1, disk = 'x'\""},
    {"rest": "ENGINE_TTL \"toDate(id) + INTERVAL 1 DAY TO DISK 'default'\""},
    {"rest": "ENGINE_TTL \"toDate(id) + INTERVAL 1 DAY TO VOLUME 'default'\""},
    {"rest": "ENGINE_TTL \"toDate(id) + INTERVAL 1 DAY TO DISK IF EXISTS 'x', toDate(id) + INTERVAL 2 DAY\""},
    {"default": " DEFAULT '' SETTINGS (disk = disk(type=local, path='{folder}/w/'))"},
    {"default": " DEFAULT '' TTL toDate(id) + INTERVAL 1 DAY TO DISK 'default'"},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_a_data_source_is_what_it_asks_for(known: World, number: int) -> None:
    instance = known.client.instance
    """Of another workspace's deployer: nothing of others is read, called or written, by a check or a deployment."""
    text = BASE.format(**{"default": "", "key": "id", "rest": "", **OPTIONS[number]})
    for name, value in (
        ("other", known.other),
        ("file", known.file),
        ("port", str(known.port)),
        ("folder", str(known.folder)),
    ):
        text = text.replace(f"{{{name}}}", value)
    tenant = instance.workspaces.create("tenant_b")
    try:
        client = Client(instance, tenant)
        for query in ("?check=true", "?auto_promote=true"):
            reply = client(
                "POST", f"/v1/deploy{query}", files=[("data_project://", ("datasources/mg.datasource", text))]
            )
            assert reply.status_code in {200, 400}
            assert reply.json()["result"] == "failed", reply.text
            assert not any(text in reply.text for text in (CANARY, FILE))
        assert tenant.live is None
        assert instance.engine.execute(f"SHOW TABLES FROM {tenant.database}", output="TSV").body == b""
    finally:
        instance.workspaces.delete(tenant)
    assert known.knocks == []
    assert sorted(path.name for path in known.folder.rglob("*")) == ["passwd"]
