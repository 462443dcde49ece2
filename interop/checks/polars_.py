"""polars over URLs: Parquet lazily (it reads a file's end first), CSV, NDJSON, Arrow."""

import io
import urllib.request

import polars
from checks import TOKEN, URL, check, end, same


def fetched(path: str) -> io.BytesIO:
    with urllib.request.urlopen(f"{URL}{path}") as answer:
        return io.BytesIO(answer.read())


ENDPOINT = f"{URL}/v0/pipes/totals"
with check("scan_parquet"):
    lazy = polars.scan_parquet(f"{ENDPOINT}.parquet?token={TOKEN}")
    same(lazy.select(polars.col("total").sum()).collect().item(), 10)
with check("scan_parquet of a large result"):
    sql = "SELECT+number,+toString(number)+AS+t+FROM+numbers(200000)+FORMAT+Parquet"
    lazy = polars.scan_parquet(f"{URL}/v0/sql?token={TOKEN}&q={sql}")
    same(lazy.filter(polars.col("number") == 123456).select("t").collect().item(), "123456")
with check("read_parquet"):
    same(sorted(polars.read_parquet(f"{ENDPOINT}.parquet?token={TOKEN}")["total"]), [3, 3, 4])
with check("read_csv"):
    same(sorted(polars.read_csv(f"{ENDPOINT}.csv?token={TOKEN}")["total"]), [3, 3, 4])
with check("read_ndjson"):
    same(sorted(polars.read_ndjson(fetched(f"/v0/pipes/totals.ndjson?token={TOKEN}"))["total"]), [3, 3, 4])
with check("read_ipc of FORMAT Arrow"):
    frame = polars.read_ipc(fetched(f"/?password={TOKEN}&query=SELECT+id+FROM+events+ORDER+BY+id+FORMAT+Arrow"))
    same(list(frame["id"]), ["a", "b", "c", "d"])
with check("read_ipc_stream of FORMAT ArrowStream"):
    body = fetched(f"/?password={TOKEN}&query=SELECT+big+FROM+events+ORDER+BY+id+FORMAT+ArrowStream")
    same(polars.read_ipc_stream(body)["big"][0], 18446744073709551615)
with check("read_avro of FORMAT Avro"):
    frame = polars.read_avro(fetched(f"/?password={TOKEN}&query=SELECT+amount+FROM+events+ORDER+BY+id+FORMAT+Avro"))
    same(list(frame["amount"]), [1, 2, 3, 4])
end()
