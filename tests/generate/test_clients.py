"""Generated documents and clients: checked by their languages' own tools, and called against a server."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from clickpipe.compiler import CompiledProject
from clickpipe.generate import openapi_document, python_client, typescript_client
from tests.cli.conftest import ADMIN_TOKEN, start
from tests.conftest import Compile, python_environment

ODD = '''\
DESCRIPTION >
    Odd names, "quotes" */ and \\backslashes: """ all of it

NODE endpoint
SQL >
    %
    SELECT 1 AS `class`, 'x' AS `a b`, [CAST('a', 'Enum8(\\'a\\' = 1)')] AS enums, map('k', toNullable(1)) AS m,
        tuple(1, 'b') AS pair, {{String(from_day, 'a', description='When "it" */ starts', example='b')}} AS from_day,
        {{Boolean(lambda, 1)}} AS flag, {{Int64(class)}} AS own, nan AS nothing
    WHERE {{String(kind, 'up', enum=['up', 'down'])}} = 'up' AND has({{Array(ids, 'Int32', '1,2')}}, 1)

TYPE endpoint
'''
FILES = {"pipes/odd_one.pipe": ODD, "pipes/odd__one.pipe": "NODE n\nSQL >\n    SELECT 1 AS one\n\nTYPE endpoint\n"}


@pytest.fixture(scope="module")
def compiled(compile_files: Compile) -> CompiledProject:
    found = compile_files(FILES)
    assert found.diagnostics == ()
    return found


HOSTILE = (
    "1]; import os; os.mkdir('made')  #",
    '"1"); import os; os.mkdir("made")',
    "1 | any; export const evil = 1; type other = 1",
    "1 */ /*",
    "__import__('os').mkdir('made')",
    "1_0",
    "0x1",
    "1\\nimport os",
    "1e9",
    "01",
)


@pytest.mark.parametrize("type_", ["Int32", "UInt64", "Float64", "Boolean", "String"])
def test_choices_of_a_project_are_no_code(compile_files: Compile, type_: str) -> None:
    """Somebody else's project is made a client of: what it says stands in texts."""
    choices = ", ".join(repr(choice) for choice in ("1", *HOSTILE))
    sql = f"SELECT {{{{{type_}(x, 1, enum=[{choices}])}}}} AS one"
    found = compile_files({"pipes/p.pipe": f"NODE n\nSQL >\n    %\n    {sql}\n\nTYPE endpoint\n"})
    endpoints = list(found.endpoints.values())
    (parameter,) = endpoints[0].parameters
    assert len(parameter.enum) == len(HOSTILE) + 1
    tree = ast.parse(python_client(endpoints))
    told = next(node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.arg == "x")
    literal = next(node for node in ast.walk(told) if isinstance(node, ast.Subscript))
    assert isinstance(literal.slice, ast.Tuple)
    assert all(isinstance(item, ast.Constant) for item in literal.slice.elts)
    texts = re.search(r"x\?: (.*);\n", typescript_client(endpoints))
    assert texts is not None
    assert re.fullmatch(r'(?:(?:"(?:[^"\\]|\\.)*"|\d+)(?: \| )?)+', texts[1])


UNSEEN = ("\x00", "\x07", "\x1b[2J", "\x7f", "\x9b", "\u061c", "\u200f", "\u202e", "\u2066", "\ufeff")


@pytest.mark.parametrize("mark", UNSEEN)
def test_a_description_hides_nothing(compile_files: Compile, mark: str) -> None:
    """Neither controls of a terminal, nor marks that show code in another order than it runs."""
    call = f"{{{{String(x, 'a{mark}a', description='d{mark}d', example='e{mark}e')}}}}"
    text = f"DESCRIPTION >\n    One {mark} two\n\nNODE n\nSQL >\n    %\n    SELECT {call} AS one\n\nTYPE endpoint\n"
    endpoints = list(compile_files({"p.pipe": text}).endpoints.values())
    made = python_client(endpoints), typescript_client(endpoints)
    ast.parse(made[0])
    for client in made:
        assert mark[0] not in client


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], cwd=folder, capture_output=True, text=True, check=False, env=python_environment()
    )


@pytest.fixture(scope="module")
def server() -> Any:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FILES.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        with start("dev", cwd=folder, CLICKPIPE_ADMIN_TOKEN=ADMIN_TOKEN) as process:
            yield process.url


def test_openapi(compiled: CompiledProject) -> None:
    document = openapi_document(compiled.endpoints.values(), "odd", "1")
    assert json.loads(json.dumps(document)) == document
    operation = document["paths"]["/v0/pipes/odd_one.json"]["get"]
    parameters = {p["name"]: p for p in operation["parameters"]}
    assert parameters["class"] == {
        "name": "class",
        "in": "query",
        "required": True,
        "schema": {"type": "integer", "format": "int64"},
    }
    assert parameters["kind"]["schema"] == {"type": "string", "enum": ["up", "down"], "default": "up"}
    assert parameters["ids"]["schema"] == {
        "type": "array",
        "items": {"type": "integer", "format": "int32"},
        "default": ["1", "2"],
    } | {"default": parameters["ids"]["schema"]["default"]}
    assert (parameters["ids"]["style"], parameters["ids"]["explode"]) == ("form", False)
    assert parameters["from_day"]["example"] == "b"
    row = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"]
    assert row["properties"]["enums"] == {"type": "array", "items": {"type": "string", "enum": ["a"]}}
    assert set(row["required"]) == {"class", "a b", "enums", "m", "pair", "from_day", "flag", "own", "nothing"}


@pytest.mark.slow
def test_the_python_client_is_typed_and_works(compiled: CompiledProject, server: str, tmp_path: Path) -> None:
    (tmp_path / "api.py").write_text(python_client(list(compiled.endpoints.values())))
    (tmp_path / "use.py").write_text(
        "import sys\n"
        "from api import Client, ClickpipeError\n"
        "client = Client(sys.argv[1], sys.argv[2])\n"
        "row = client.odd_one(class_=7, lambda_=False, ids=[1, 3])[0]\n"
        "own: int = row['own']\n"
        "kinds: list[int | None] = list(row['m'].values())\n"
        "print(own, row['flag'], row['a b'], row['enums'], kinds, row['nothing'], client.odd__one())\n"
        "try:\n"
        "    client.odd_one(class_=1, ids=[])\n"
        "    Client(sys.argv[1], 'nope').odd__one()\n"
        "except ClickpipeError as error:\n"
        "    print(error.status)\n"
    )
    mypy = (sys.executable, "-m", "mypy", "--strict", "--no-incremental")
    checked = run(tmp_path, *mypy, "use.py")
    assert checked.returncode == 0, checked.stdout
    wrong = "from api import Client\nClient('', '').odd_one(class_='x', kind='left')\n"
    (tmp_path / "wrong.py").write_text(wrong)
    assert "Found 2 errors" in run(tmp_path, *mypy, "wrong.py").stdout
    done = run(tmp_path, sys.executable, "use.py", server, ADMIN_TOKEN)
    assert done.stdout == "7 0 x ['a'] [1] None [{'one': 1}]\n403\n", done.stderr


@pytest.mark.slow
def test_the_typescript_client_is_typed_and_works(compiled: CompiledProject, server: str, tmp_path: Path) -> None:
    (tmp_path / "api.ts").write_text(typescript_client(list(compiled.endpoints.values())))
    (tmp_path / "use.ts").write_text(
        'import { ClickpipeError, createClient } from "./api.ts";\n'
        "const [url, token] = Deno.args as [string, string];\n"
        "const api = createClient({ url, token });\n"
        "const { data, rows } = await api.odd_one({ class: 7, lambda: 0, ids: [1, 3] });\n"
        "const own: number | undefined = data[0]?.own;\n"
        "console.log(JSON.stringify([own, rows, data[0]?.['a b'], data[0]?.enums, (await api.odd__one()).data]));\n"
        "try { await createClient({ url, token: 'nope' }).odd__one(); }\n"
        "catch (error) { if (error instanceof ClickpipeError) console.log(error.status); }\n"
    )
    (tmp_path / "deno.json").write_text('{"compilerOptions": {"strict": true, "noUncheckedIndexedAccess": true}}')
    deno = Path(sys.executable).with_name("deno")
    checked = run(tmp_path, deno, "check", "use.ts")
    assert checked.returncode == 0, checked.stderr
    (tmp_path / "wrong.ts").write_text(
        'import { createClient } from "./api.ts";\n'
        'createClient({ url: "", token: "" }).odd_one({ class: "x", kind: "left" });\n'
    )
    refused = run(tmp_path, deno, "check", "wrong.ts")
    assert refused.returncode != 0
    assert "TS2322" in refused.stderr
    done = run(tmp_path, deno, "run", "--allow-net", "--no-check", "use.ts", server, ADMIN_TOKEN)
    assert done.stdout == '[7,1,"x",["a"],[{"one":1}]]\n403\n', done.stderr


def test_what_is_generated_is_the_same_each_time(compiled: CompiledProject) -> None:
    endpoints = list(compiled.endpoints.values())
    assert python_client(endpoints) == python_client(endpoints)
    assert typescript_client(endpoints) == typescript_client(endpoints)
    assert len({"OddOneRow", "OddOne2Row"} & set(typescript_client(endpoints).split())) == 2
