"""tinybird-python-sdk: its Datasource and Pipe classes."""

from checks import TOKEN, URL, check, end, same
from tb.datasource import Datasource
from tb.api import API

api = API(TOKEN, URL)
with check("append rows"):
    with Datasource("events", TOKEN, api_url=URL) as source:
        source << {"id": "p", "name": "python", "amount": 5, "at": "2026-03-01 00:00:00", "tags": []}
import time

time.sleep(2)  # it does not wait for its rows
with check("a query"):
    found = api.get("/sql?q=SELECT+sum(amount)+AS+n+FROM+events+WHERE+name='python'+FORMAT+JSON").json()
    same(found["data"], [{"n": 5}])
end()
