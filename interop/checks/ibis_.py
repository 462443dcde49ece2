"""ibis on its ClickHouse backend."""

import ibis
from checks import PORT, TOKEN, check, end, same

with check("connects"):
    backend = ibis.clickhouse.connect(host="127.0.0.1", port=PORT, user="u", password=TOKEN)
with check("list_tables"):
    same({"events", "totals"} <= {*backend.list_tables()}, True)
with check("list_databases and current_database"):
    same(backend.current_database in backend.list_databases(), True)
with check("a table's schema"):
    events = backend.table("events")
    same(events.schema()["amount"].is_integer(), True)
with check("group_by, aggregate, order_by"):
    found = events.group_by("name").aggregate(n=events.amount.sum()).order_by("name").to_pandas()
    same([int(n) for n in found["n"]], [3, 3, 4])
with check("a filter with a quote and a backslash"):
    for name, rows in (("O'Neil", 2), ("back\\slash", 1), ("tab\tand\nline", 1)):
        same(int(events.filter(events.name == name).count().to_pandas()), rows)
with check("joins and windows"):
    numbered = events.mutate(r=ibis.row_number().over(order_by=events.at))
    same(sorted(int(r) for r in numbered.to_pandas()["r"]), [0, 1, 2, 3])
with check("to_pyarrow"):
    same(events.select("id").order_by("id").to_pyarrow().to_pydict(), {"id": ["a", "b", "c", "d"]})
with check("to_pyarrow_batches"):
    same(sum(batch.num_rows for batch in events.to_pyarrow_batches()), 4)
with check("to_polars"):
    same(len(events.to_polars()), 4)
COUNT = "SELECT count() AS n FROM events"
with check("sql with a schema"):
    same(int(backend.sql(COUNT, schema={"n": "int64"}).to_pandas()["n"][0]), 4)
with check("sql without a schema", "it makes a view to learn the types, on every read-only ClickHouse in vain"):
    same(int(backend.sql(COUNT).to_pandas()["n"][0]), 4)
with check("an endpoint as a table"):
    same(sorted(int(n) for n in backend.table("totals").to_pandas()["total"]), [3, 3, 4])
with check("version"):
    same(backend.version[:2].isdigit(), True)
with check("create_table is refused"):
    try:
        backend.create_table("mine", schema=ibis.schema({"a": "int64"}))
    except Exception as error:
        same("read-only here" in str(error), True)
    else:
        raise AssertionError("no error")
end()
