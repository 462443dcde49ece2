"""pandas over URLs."""

import pandas
from checks import TOKEN, URL, check, end, same

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ENDPOINT = f"{URL}/v0/pipes/totals"
with check("read_parquet"):
    same(sorted(pandas.read_parquet(f"{ENDPOINT}.parquet", storage_options=HEADERS)["total"]), [3, 3, 4])
with check("read_csv"):
    same(sorted(pandas.read_csv(f"{ENDPOINT}.csv", storage_options=HEADERS)["total"]), [3, 3, 4])
with check("read_json of lines"):
    frame = pandas.read_json(f"{ENDPOINT}.ndjson", lines=True, storage_options=HEADERS)
    same(sorted(frame["name"]), ["O'Neil", "back\\slash", "tab\tand\nline"])
with check("read_csv, gzip"):
    packed = {**HEADERS, "Accept-Encoding": "gzip"}
    url = f"{URL}/v0/sql?q=SELECT+number+FROM+numbers(5000)+FORMAT+CSVWithNames"
    same(len(pandas.read_csv(url, storage_options=packed)), 5000)
with check("read_xml of FORMAT XML"):
    frame = pandas.read_xml(f"{URL}/?query=SELECT+id+FROM+events+FORMAT+XML", xpath=".//row", storage_options=HEADERS)
    same(len(frame), 4)
end()
