"""Writes SQL that tries to get out: from a grammar of what has fooled readers of SQL, here and elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Known:
    """What an attacker may have learned: physical names, a file of the host, an address."""

    physical: tuple[str, ...]
    file: str
    address: str


class Writer:
    """Writes queries; the same for the same seed."""

    def __init__(self, seed: int, known: Known) -> None:
        self._random = Random(seed)
        self._known = known

    def query(self, depth: int = 0) -> str:
        """Return a query."""
        select = f"{self._with(depth)}SELECT {self._columns(depth)} FROM {self._source(depth)}{self._rest(depth)}"
        if self._one_in(8):
            select += f" UNION ALL {self._of('', 'DISTINCT ')}SELECT {self._columns(depth)} FROM {self._source(depth)}"
        if self._one_in(12):
            select = self._of(*_WHOLE).replace("?", self._source(depth)).replace("%", self._name())
        return self._spoiled(select) if depth == 0 else select

    def _one_in(self, number: int) -> bool:
        return self._random.randrange(number) == 0

    def _of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _name(self) -> str:
        names = ("events", "other", "mine", "sec", "oth", "n", "_", "events_quarantine", "other_quarantine", "nope")
        services = ("tinybird.pipe_stats_rt", "tinybird.jobs_log", "system.tables", "system.parts", "system.one")
        more = ("system.query_log", "system.functions", "information_schema.tables", "default.events", "system.users")
        return self._quoted(self._of(*names, *names, *services, *more, *self._known.physical))

    def _quoted(self, name: str) -> str:
        style = self._random.randrange(10)
        parts = name.replace("`", "").split(".")
        if style == 0:
            return ".".join(f'"{part}"' for part in parts)
        if style == 1:
            return ".".join(f"`{part}`" for part in parts)
        if style == 2:
            return ".".join(f"“{part}”" for part in parts)
        if style == 3:
            return f" /* {self._of('a', 'FROM other', '*')} */ ".join((" ", name, " "))
        return name

    def _source(self, depth: int) -> str:
        kind = self._random.randrange(9)
        if kind < 4 or depth > 2:
            return self._name() + self._of("", " AS z", " FINAL", " z", " SAMPLE 1")
        if kind == 4:
            return f"({self.query(depth + 1)}){self._of('', ' AS z', ' # FROM other, AS y' + chr(10))}"
        if kind == 5:
            return self._table_function()
        joins = ("JOIN", "LEFT JOIN", "ANY LEFT JOIN", "GLOBAL JOIN", "CROSS JOIN", "ASOF JOIN", ",")
        on = self._of("ON 1", "USING id", "ON a.id = b.id", "")
        return f"{self._name()} AS a {self._of(*joins)} {self._source(depth + 1)} {on}"

    def _table_function(self) -> str:
        name = self._name().replace("`", "").strip()
        database, _, table = name.rpartition(".")
        return self._of(*_TABLE_FUNCTIONS).format(
            file=self._known.file, address=self._known.address, database=database or "default", table=table, name=name
        )

    def _columns(self, depth: int) -> str:
        return ", ".join(self._expression(depth) for _ in range(self._random.randrange(1, 4)))

    def _expression(self, depth: int) -> str:
        kind = self._random.randrange(8)
        if kind < 3:
            return self._of(*_PLAIN)
        if kind == 3 and depth < 3:
            return f"{self._of('', 'EXISTS', 'toString', 'arrayJoin')}({self.query(depth + 1)})"
        if kind == 4:
            return f"id {self._of('IN', 'NOT IN', 'GLOBAL IN')} {self._of(self._name(), '(' + self._name() + ')')}"
        call = self._of(*_CALLS)
        name = self._name().replace("`", "").strip()
        return call.format(file=self._known.file, address=self._known.address, name=name) + self._of(
            "", " AS x", " AS id"
        )

    def _with(self, depth: int) -> str:
        if not self._one_in(3):
            return ""
        inner = self.query(depth + 1) if depth < 2 else "SELECT 1 AS id"
        kinds = [f"{self._name()} AS ({inner})", f"({inner}) AS id", f"RECURSIVE t AS ({inner})", *_WITH]
        return f"WITH {self._of(*kinds)} "

    def _rest(self, depth: int) -> str:
        rest = ""
        if self._one_in(3):
            rest += f" {self._of('WHERE', 'PREWHERE', 'HAVING', 'QUALIFY')} {self._expression(depth)}"
        if self._one_in(5):
            rest += self._of(
                " GROUP BY ALL", " GROUP BY id WITH TOTALS", " ORDER BY val", " ORDER BY ALL", " LIMIT 1 BY id"
            )
        if self._one_in(5):
            rest += " SETTINGS " + self._of(*_SETTINGS)
        return rest

    def _spoiled(self, sql: str) -> str:
        kind = self._random.randrange(12)
        words = sql.split(" ")
        at = self._random.randrange(len(words))
        if kind < 5:
            words.insert(at, self._of(*_NOISE))
        elif kind == 5:
            words[at] = words[at] + self._of(";", ")", "(", "'", '"', "`", "--", "/*", "*/", "\0", "#", "\\")
        elif kind == 6:
            return f"%\n{sql} {self._of(*_TEMPLATE)}"
        elif kind == 7:
            return sql + self._of(
                " FORMAT JSON", " FORMAT Vertical", " INTO OUTFILE '/tmp/x'", " FORMAT Null", ";SELECT 1"
            )
        return " ".join(words)


_ALIASES = ("", " AS x", " AS id")
_BEHIND = (" GROUP BY ALL", " GROUP BY id WITH TOTALS", " ORDER BY val", " ORDER BY ALL", " LIMIT 1 BY id")
_ENDS = (" FORMAT JSON", " FORMAT Vertical", " INTO OUTFILE '/tmp/x'", " FORMAT Null", ";SELECT 1")
_WHOLE = (
    "SELECT * FROM ( # FROM %, ? AS z /*\n (SELECT 1, if(0,map(1),map())) ) --*/",
    'SELECT 1 AS "x FROM % y", if(0,map(1),map())',
    "SELECT * FROM ? z EXCEPT SELECT * FROM %",
    "EXPLAIN SELECT * FROM ?",
    "EXPLAIN AST SELECT * FROM ?",
    "DESCRIBE %",
    "SHOW TABLES",
    "SHOW CREATE TABLE %",
    "INSERT INTO % SELECT * FROM ?",
    "CREATE VIEW x AS SELECT * FROM ?",
    "SELECT COLUMNS('.*') EXCEPT (id) FROM ?",
    "SELECT COLUMNS('v.*') APPLY(toString) FROM ?",
    "SELECT * REPLACE (1 AS id) FROM ?",
    "(SELECT * FROM ?) INTERSECT (SELECT * FROM %)",
    "FROM ? SELECT *",
    "SELECT $h$ FROM % $h$, * FROM ?",
    "SELECT * FROM % AS t(a, b, c)",
    "SELECT * FROM view(SELECT * FROM ?)",
    "SELECT dummy FROM system.one WHERE (SELECT count() FROM ?) > 0",
    "SELECT * FROM values('a String', (SELECT any(val) FROM ?))",
    "SELECT throwIf(1, (SELECT any(val) FROM ?)::String) FROM %",
    "SELECT toUInt8(val) FROM ?",
    "SELECT * FROM numbers((SELECT count() FROM ?))",
)
_TABLE_FUNCTIONS = (
    "file('{file}', 'RawBLOB')",
    "file('{file}')",
    "url('{address}', 'CSV', 'a String')",
    "merge('{database}', '.*')",
    "merge(REGEXP('.*'), '{table}')",
    "remote('127.0.0.1', '{name}')",
    "cluster('default', '{name}')",
    "numbers(3)",
    "view(SELECT * FROM {name})",
    "values('a String', '1')",
    "null('a String DEFAULT file(''{file}'')')",
    "generateRandom('a String', 1, 1, 1)",
    "executable('cat', 'TabSeparated', 'a String')",
    "input('a String')",
    "loop('{database}', '{table}')",
    "dictionary('{name}')",
    "mergeTreeIndex('{database}', '{table}')",
    "eval('SELECT 1')",
    "viewExplain('EXPLAIN', '', (SELECT * FROM {name}))",
    "sqlite('{file}', 't')",
    "python('x')",
    "filesystem('{file}')",
)
_PLAIN = (
    *(
        "*",
        "id",
        "val",
        "tenant",
        "count()",
        "groupArray(val)",
        "max(val)",
        "any(tenant)",
        "1",
        "'a'",
        "z.*",
        "toString(tuple(*))",
    ),
    *(
        "_part",
        "_partition_id",
        "_partition_value",
        "_table",
        "_database",
        "_part_offset",
        "_sample_factor",
        "_block_number",
    ),
    *(
        "min(val)",
        "uniqExact(tenant)",
        "topK(3)(val)",
        "arraySort(groupArray(val))[1]",
        "{{x}}",
        "{x:String}",
        "{secret_key:String}",
    ),
)
_CALLS = (
    *(
        "file('{file}')",
        "hex(file('{file}'))",
        "joinGet('{name}', 'val', 1)",
        "dictGet('{name}', 'val', 1)",
        "currentDatabase()",
    ),
    "hostName()",
    "getSetting('log_comment')",
    "getServerSetting('path')",
    "filesystemAvailable()",
    "currentUser()",
    *(
        "hasColumnInTable('', '{name}', 'val')",
        "version()",
        "showCertificate()",
        "queryID()",
        "tcpPort()",
        "toTypeName(val)",
    ),
    *(
        "throwIf(val != '', concat('x', 'y'))",
        "toUInt8(val)",
        "arrayMap(x -> val, [1])",
        "(x -> x)(val)",
        "lambda(tuple(x), x)(1)",
    ),
    *(
        "identity(val)",
        "formatRow('CSV', *)",
        "dumpColumnStructure(val)",
        "ignore(sleep(0))",
        "tokens(val)",
        "JSONExtractRaw(val)",
    ),
    *(
        "getClientHTTPHeader('authorization')",
        "aiGenerate('x', 'y')",
        "catboostEvaluate('{file}', 1)",
        "evalMLMethod(1)",
    ),
    *(
        "__getScalar('a')",
        "addressToLine(1)",
        "regionToName(1)",
        "structureToProtobufSchema('a String')",
        "sumIfStateMerge(1)",
    ),
)
_WITH = (
    *(
        "(x -> x) AS hex",
        "((a, b) -> 1) AS equals",
        "(x -> 'x') AS toString",
        "1 AS tenant",
        "'globex' AS tenant",
        "'' AS val",
    ),
    "((a, b, c) -> c) AS HMAC",
    "events AS other",
    "(SELECT 1) AS events",
    "x -> x AS f",
)
_SETTINGS = (
    *(
        "additional_table_filters = {'events': '1'}",
        "additional_table_filters = {}",
        "max_execution_time = 0",
        "readonly = 0",
    ),
    *(
        "additional_result_filter = '1'",
        "optimize_move_to_prewhere = 1",
        "log_comment = 'x'",
        "final = 1",
        "use_query_cache = 1",
    ),
    "allow_introspection_functions = 1",
    "apply_deleted_mask = 0",
    "dialect = 'kusto'",
    "max_result_rows = 0",
)
_NOISE = (
    *(
        "# FROM other\n",
        "#!x\n",
        "-- FROM other\n",
        "/* FROM other */",
        "/* /* */ FROM other */",
        "$$ FROM other $$",
        "\u2018x\u2019",
        "\u201cval\u201d",
    ),
    *(
        "\u00a0",
        "\u200b",
        "\ufeff",
        "/**/",
        "//",
        "''",
        '""',
        "``",
        "AS `a FROM other`",
        "0x41",
        "1e400",
        "{a:Identifier}",
        "::String",
    ),
)
_TEMPLATE = (
    *(
        "{{tb_secret('key')}}",
        "{% if defined(x) %}1{% end %}",
        "{{column('val')}}",
        "{{table('other')}}",
        "{{columns('val', 'val')}}",
    ),
    *(
        "{{String(x, 'a')}}",
        "{{symbol('events')}}",
        "{{sql_and(tenant=String(x, 'a'))}}",
        "{{x.__class__}}",
        "{{''|attr('x')}}",
    ),
)
