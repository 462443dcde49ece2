"""clickhouse-connect: rows, pandas, Arrow, SQLAlchemy, parameters, errors."""

import clickhouse_connect
from checks import PORT, CLICKHOUSE_PORT, TOKEN, check, end, same
from clickhouse_connect.driver.exceptions import DatabaseError

for port in (PORT, CLICKHOUSE_PORT):
    with check(f"connects on port of {'its own' if port == CLICKHOUSE_PORT else 'the server'}"):
        client = clickhouse_connect.get_client(host="127.0.0.1", port=port, username="u", password=TOKEN)
        same(client.ping(), True)
        same(client.command("SELECT count() FROM events"), 4)

NAMES = ["O'Neil", "back\\slash", "tab\tand\nline"]
with check("rows"):
    rows = client.query("SELECT name, sum(amount) AS n FROM events GROUP BY name ORDER BY name")
    same(rows.result_rows, [(name, n) for name, n in zip(NAMES, (3, 3, 4))])
for name in NAMES:
    with check(f"a parameter {name!r}"):
        found = client.query("SELECT DISTINCT name FROM events WHERE name = {n:String}", parameters={"n": name})
        same(found.result_rows, [(name,)])
with check("parameters of many types"):
    sql = "SELECT {a:Array(String)}, {b:Nullable(String)}, {c:Int32}, {d:DateTime}, {e:Bool}, {f:Nullable(Int32)}"
    import datetime

    given = {
        "a": ["it's", "b\\"],
        "b": None,
        "c": -7,
        "d": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "e": True,
        "f": None,
    }
    (row,) = client.query(sql, parameters=given).result_rows
    same(row, (["it's", "b\\"], None, -7, given["d"], True, None))
with check("parameters of its own (%(n)s)"):
    found = client.query("SELECT count() FROM events WHERE name = %(n)s", parameters={"n": "O'Neil"})
    same(found.result_rows, [(2,)])
with check("types"):
    (row,) = client.query("SELECT big, note, tags, at FROM events WHERE id = 'a'").result_rows
    same(row[:3], (18446744073709551615, None, ["it's", "b"]))
    same(str(row[3])[:19], "2026-01-01 00:00:00")
with check("query_df"):
    frame = client.query_df("SELECT id, amount FROM events ORDER BY id")
    same(list(frame["amount"]), [1, 2, 3, 4])
with check("query_arrow"):
    table = client.query_arrow("SELECT id, amount FROM events ORDER BY id")
    same(table.to_pydict(), {"id": ["a", "b", "c", "d"], "amount": [1, 2, 3, 4]})
with check("query_df_arrow"):
    same(list(client.query_df_arrow("SELECT id FROM events ORDER BY id")["id"]), ["a", "b", "c", "d"])
with check("query_np"):
    same(client.query_np("SELECT amount FROM events ORDER BY id").tolist(), [[1], [2], [3], [4]])
with check("a stream of rows"):
    with client.query_rows_stream("SELECT number FROM numbers(300000)") as stream:
        same(sum(row[0] for row in stream), 300000 * 299999 // 2)
with check("a stream of frames"):
    with client.query_df_stream("SELECT number FROM numbers(300000)") as stream:
        same(sum(len(frame) for frame in stream), 300000)
with check("raw_query in a format"):
    same(client.raw_query("SELECT 1 AS a", fmt="JSONEachRow"), b'{"a":1}\n')
    same(client.raw_query("SELECT id FROM events ORDER BY id", fmt="CSV"), b'"a"\n"b"\n"c"\n"d"\n')
with check("settings"):
    found = client.raw_query(
        "SELECT big FROM events WHERE id = 'a'",
        fmt="JSONEachRow",
        settings={"output_format_json_quote_64bit_integers": 1},
    )
    same(found, b'{"big":"18446744073709551615"}\n')
with check("SHOW, DESCRIBE, EXISTS"):
    same("events" in client.command("SHOW TABLES").split(), True)
    same(client.query("DESCRIBE TABLE events").result_rows[0][:2], ("id", "String"))
    same(client.command("EXISTS TABLE events"), 1)
    same(client.command("EXISTS TABLE nothing"), 0)
for compression in ("lz4", "zstd", "gzip", False):
    with check(f"compress={compression}"):
        packed = clickhouse_connect.get_client(
            host="127.0.0.1", port=PORT, username="u", password=TOKEN, compress=compression
        )
        same(len(packed.query("SELECT number, 'some text' FROM numbers(20000)").result_rows), 20000)
with check("parameters in a form"):
    form = clickhouse_connect.get_client(
        host="127.0.0.1", port=PORT, username="u", password=TOKEN, form_encode_query_params=True
    )
    found = form.query("SELECT id FROM events WHERE name = {n:String}", parameters={"n": "back\\slash"})
    same(found.result_rows, [("c",)])
for sql, wanted in (
    ("SELECT nope FROM events", "UNKNOWN_IDENTIFIER"),
    ("SELECT * FROM nothing", "UNKNOWN_TABLE"),
    ("SELECT * FROM other.events", "UNKNOWN_DATABASE"),
    ("INSERT INTO events VALUES ('x')", "READONLY"),
):
    with check(f"error {wanted}"):
        try:
            client.command(sql)
        except DatabaseError as error:
            same(wanted in str(error), True)
        else:
            raise AssertionError("no error")
with check("inserts are refused with where rows go"):
    try:
        client.insert("events", [["x"]], column_names=["id"])
    except DatabaseError as error:
        same("/v0/events" in str(error), True)
    else:
        raise AssertionError("no error")
with check("a wrong token"):
    try:
        clickhouse_connect.get_client(host="127.0.0.1", port=PORT, username="u", password="wrong")
    except DatabaseError as error:
        same("AUTHENTICATION_FAILED" in str(error), True)
    else:
        raise AssertionError("no error")
with check("a database that there is not"):
    try:
        clickhouse_connect.get_client(host="127.0.0.1", port=PORT, username="u", password=TOKEN, database="other")
    except DatabaseError as error:
        same("UNKNOWN_DATABASE" in str(error), True)
    else:
        raise AssertionError("no error")

import sqlalchemy

engine = sqlalchemy.create_engine(f"clickhousedb://u:{TOKEN}@127.0.0.1:{PORT}/default")
with check("SQLAlchemy: a query"), engine.connect() as connection:
    same(connection.execute(sqlalchemy.text("SELECT count() FROM events")).scalar(), 4)
with check("SQLAlchemy: tables and columns"):
    inspector = sqlalchemy.inspect(engine)
    same("events" in inspector.get_table_names(), True)
    same([c["name"] for c in inspector.get_columns("archive")], ["name", "total"])
with check("SQLAlchemy: a reflected table"), engine.connect() as connection:
    table = sqlalchemy.Table("archive", sqlalchemy.MetaData(), autoload_with=engine)
    same(list(connection.execute(sqlalchemy.select(table))), [])
with check("SQLAlchemy: a parameter"), engine.connect() as connection:
    found = connection.execute(sqlalchemy.text("SELECT id FROM events WHERE name = :n LIMIT 1"), {"n": "back\\slash"})
    same(found.scalar(), "c")
end()
