"""DuckDB over URLs: Parquet as from a file, with HEAD and ranges; CSV and JSON."""

from pathlib import Path

import duckdb
from checks import TOKEN, URL, check, end, same

connection = duckdb.connect()
with check("its extension httpfs"):  # from a package: extensions.duckdb.org is not reachable everywhere
    (extension,) = Path(duckdb.__file__).parents[1].glob("duckdb_ext/extensions/*/*/httpfs.duckdb_extension")
    connection.execute(f"LOAD '{extension}'")

PARQUET = f"{URL}/v0/pipes/totals.parquet?token={TOKEN}"
with check("read_parquet of an endpoint"):
    rows = connection.execute(f"SELECT name, total FROM read_parquet('{PARQUET}') ORDER BY name").fetchall()
    same([row[1] for row in rows], [3, 3, 4])
with check("read_parquet of a query"):
    sql = f"{URL}/v0/sql?token={TOKEN}&q=SELECT+*+FROM+events+FORMAT+Parquet"
    same(connection.execute(f"SELECT count(*) FROM read_parquet('{sql}')").fetchall(), [(4,)])
with check("read_csv"):
    csv = f"{URL}/v0/pipes/totals.csv?token={TOKEN}"
    same(connection.execute(f"SELECT sum(total) FROM read_csv('{csv}')").fetchall(), [(10,)])
with check("Parquet that was fetched"):
    import urllib.request

    with urllib.request.urlopen(PARQUET) as answer, open("totals.parquet", "wb") as file:
        file.write(answer.read())
    same(connection.execute("SELECT sum(total) FROM 'totals.parquet'").fetchall(), [(10,)])
end()
