"""A product end to end: a CMS with built-in traffic analytics, from the published workspace id and admin token alone.

Its server signs JWTs by itself, one scope for each endpoint with the site fixed; its tracker posts NDJSON; its pages
ask the endpoints with dates, a time zone and comma-separated lists, in the version that its configuration names.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest

from tests.server.conftest import Client

EVENTS = """\
TOKEN "tracker" APPEND
TOKEN "analytics-service" APPEND

SCHEMA >
    `timestamp` DateTime `json:$.timestamp`,
    `session_id` String `json:$.session_id`,
    `action` LowCardinality(String) `json:$.action`,
    `version` LowCardinality(String) `json:$.version`,
    `payload` String `json:$.payload`,
    `site_uuid` LowCardinality(String) `json:$.payload.site_uuid`,
    `inserted_at` DateTime64(3) DEFAULT now64() `json:$.inserted_at`

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(timestamp)"
ENGINE_SORTING_KEY "site_uuid, timestamp"

FORWARD_QUERY >
    SELECT timestamp, session_id, action, version, toString(payload) AS payload, site_uuid,
    defaultValueOfTypeName('DateTime64(3)') AS inserted_at
"""
HITS = """\
SCHEMA >
    `site_uuid` LowCardinality(String),
    `timestamp` DateTime,
    `session_id` String,
    `pathname` String,
    `member_status` String,
    `device` String

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(timestamp)"
ENGINE_SORTING_KEY "site_uuid, timestamp"
"""
TO_HITS = """\
NODE hits
SQL >
    SELECT
        site_uuid, timestamp, session_id,
        JSONExtractString(payload, 'pathname') AS pathname,
        JSONExtractString(payload, 'member_status') AS member_status,
        if(match(JSONExtractString(payload, 'user-agent'), 'Mobile'), 'mobile', 'desktop') AS device
    FROM analytics_events
    WHERE action = 'page_hit'
TYPE materialized
DATASOURCE _mv_hits
"""
FILTERED = """\
NODE sessions
SQL >
    %
    SELECT DISTINCT session_id
    FROM _mv_hits
    WHERE site_uuid = {{ String(site_uuid, 'mock_site_uuid', description="Tenant ID", required=True) }}
    {% if defined(date_from) %}
        AND timestamp >= toDateTime({{ Date(date_from) }}, {{ String(timezone, 'Etc/UTC', required=True) }})
    {% else %}
        AND timestamp >= toDateTime(dateAdd(day, -7, today()), {{ String(timezone, 'Etc/UTC', required=True) }})
    {% end %}
    {% if defined(date_to) %}
        AND timestamp < toDateTime({{ Date(date_to) }}, {{ String(timezone, 'Etc/UTC', required=True) }})
            + interval 1 day
    {% end %}
    {% if defined(member_status) %}
        AND member_status IN (
            SELECT arrayJoin(
                {{ Array(member_status, "'undefined', 'free', 'paid'", description="Member status", required=False) }}
                || if('paid' IN {{ Array(member_status) }}, ['comped', 'gift'], [])
            )
        )
    {% end %}
"""
ENDPOINT = """\
TOKEN "stats_page" READ
TOKEN "axis" READ

NODE _{name}_0
SQL >
    %
    SELECT {column}, uniqExact(session_id) AS visits
    FROM _mv_hits
    INNER JOIN {sessions} AS fs ON fs.session_id = _mv_hits.session_id
    WHERE site_uuid = {{{{ String(site_uuid, 'mock_site_uuid', description="Tenant ID", required=True) }}}}
    {{% if defined(pathname) %}} AND pathname = {{{{ String(pathname, required=False) }}}} {{% end %}}
    GROUP BY 1
    ORDER BY visits DESC, 1
    LIMIT {{{{ Int32(skip, 0) }}}}, {{{{ Int32(limit, 50) }}}}

TYPE ENDPOINT
"""
KINDS = {
    "kpis": "toDate(timestamp, {{ String(timezone, 'Etc/UTC') }}) AS date",
    "top_devices": "device",
    **dict.fromkeys(("top_locations", "top_sources", "active_visitors", "post_visitor_counts"), "device"),
    **{f"top_utm_{what}": "device" for what in ("sources", "mediums", "campaigns", "contents", "terms")},
    "top_pages": "pathname",
    "gift_link_visits": "member_status",
}
ENDPOINTS = [f"api_{kind}{version}" for kind in KINDS for version in ("", "_v2")]
FILES = {
    "datasources/analytics_events.datasource": EVENTS,
    "datasources/_mv_hits.datasource": HITS,
    "pipes/mv_hits.pipe": TO_HITS,
    "pipes/filtered_sessions.pipe": FILTERED,
    "pipes/filtered_sessions_v2.pipe": FILTERED,
    **{
        f"endpoints/{name}.pipe": ENDPOINT.format(
            name=name,
            column=KINDS[name.removeprefix("api_").removesuffix("_v2")],
            sessions="filtered_sessions_v2" if name.endswith("_v2") else "filtered_sessions",
        )
        for name in ENDPOINTS
    },
}
OURS, THEIRS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DATES = {"date_from": "2026-03-01", "date_to": "2026-03-02", "timezone": "Etc/UTC"}


def hit(site: str, session: str, path: str, status: str = "undefined", at: str = "2026-03-01 10:00:00") -> str:
    payload = {"site_uuid": site, "pathname": path, "member_status": status, "user-agent": "Mozilla/5.0 (Mobile)"}
    return json.dumps(
        {"timestamp": at, "session_id": session, "action": "page_hit", "version": "1", "payload": payload}
    )


HITS_SENT = [
    hit(OURS, "a", "/"),
    hit(OURS, "a", "/about/", at="2026-03-01 10:05:00"),
    hit(OURS, "b", "/", "paid"),
    hit(OURS, "c", "/", "comped"),
    hit(OURS, "d", "/", "free", at="2026-03-02 23:30:00"),
    hit(THEIRS, "x", "/secret/", "paid"),
    hit(THEIRS, "y", "/secret/"),
]


class Site:
    """The CMS's server for one site: it knows the workspace's id and the admin token, and makes no request for more."""

    def __init__(self, client: Client, uuid: str, version: str = "") -> None:
        self._client, self.uuid, self._version = client, uuid, version
        claims = {
            "workspace_id": client.workspace.id,
            "name": f"tinybird-jwt-{uuid}",
            "exp": int(time.time()) + 180 * 60,
            "scopes": [
                {"type": "PIPES:READ", "resource": name, "fixed_params": {"site_uuid": uuid}} for name in ENDPOINTS
            ],
        }
        self.token = jwt.encode(claims, client.token("workspace admin token").value, algorithm="HS256")

    def ask(self, pipe: str, **params: str) -> Any:
        """Ask as its server does: the site in the parameters too, the token in a header."""
        path = f"/v0/pipes/{pipe}_{self._version}.json" if self._version else f"/v0/pipes/{pipe}.json"
        given = {"site_uuid": self.uuid, "ghost_client": "server", **params}
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._client("GET", path, token=None, params=given, headers=headers)

    def visits(self, pipe: str, **params: str) -> dict[str, int]:
        answer = self.ask(pipe, **{**DATES, **params})
        assert answer.status_code == 200, answer.text
        rows = [list(row.values()) for row in answer.json()["data"]]
        return {str(key): visits for key, visits in rows}


@pytest.fixture
def cms(empty: Client) -> Client:
    files = [("data_project://", (name.rpartition("/")[2], text, "text/plain")) for name, text in FILES.items()]
    deployed = empty("POST", "/v1/deploy?auto_promote=true", files=files)
    assert deployed.json()["result"] == "success", deployed.text
    headers = {"Content-Type": "application/x-ndjson"}
    tracker = empty.token("tracker").value
    query = f"/v0/events?name=analytics_events&token={tracker}&wait=true"
    sent = empty("POST", query, token=None, content="\n".join(HITS_SENT).encode(), headers=headers)
    assert sent.json() == {"successful_rows": len(HITS_SENT), "quarantined_rows": 0}
    return empty


def test_every_endpoint_answers_its_site(cms: Client) -> None:
    assert len(ENDPOINTS) == 26
    for version in ("", "v2"):
        site = Site(cms, OURS, version)
        for kind in KINDS:
            answer = site.ask(f"api_{kind}", **DATES)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert body["data"], kind
            assert {"meta", "data", "rows", "statistics"} <= body.keys()


def test_what_pages_ask(cms: Client) -> None:
    site = Site(cms, OURS, "v2")
    assert site.visits("api_top_pages") == {"/": 4, "/about/": 1}
    assert site.visits("api_top_pages", pathname="/about/") == {"/about/": 1}
    assert site.visits("api_top_pages", limit="1", skip="1") == {"/about/": 1}
    assert site.visits("api_top_pages", member_status="free") == {"/": 1}
    assert site.visits("api_top_pages", member_status="free,paid") == {"/": 3}  # who pays, or was given it
    assert site.visits("api_top_pages", member_status="undefined,free") == {"/": 2, "/about/": 1}
    assert site.visits("api_top_pages", member_status="it's") == {}
    assert site.visits("api_kpis") == {"2026-03-01": 3, "2026-03-02": 1}
    assert site.visits("api_kpis", date_to="2026-03-01") == {"2026-03-01": 3}
    assert site.visits("api_kpis", date_to="2026-03-03", timezone="Asia/Tokyo") == {"2026-03-01": 3, "2026-03-03": 1}
    assert site.visits("api_kpis", timezone="America/Los_Angeles", date_to="2026-03-01") == {"2026-03-01": 3}
    for wrong in ({"date_from": "yesterday"}, {"timezone": "Nowhere/City"}, {"limit": "many"}):
        assert site.ask("api_kpis", **{**DATES, **wrong}).status_code == 400


def test_no_parameter_reaches_another_site(cms: Client) -> None:
    site, other = Site(cms, OURS), Site(cms, THEIRS)
    assert other.visits("api_top_pages") == {"/secret/": 2}
    url = "/v0/pipes/api_top_pages.json"
    headers = {"Authorization": f"Bearer {site.token}"}
    for params in (
        {"site_uuid": THEIRS},
        {"site_uuid": [OURS, THEIRS]},
        {"site_uuid": f"{OURS}' OR 1=1 --"},
        {"SITE_UUID": THEIRS, "site_uuid ": THEIRS},
        {"site_uuid": THEIRS, "q": "SELECT * FROM _"},
    ):
        for answer in (
            cms("GET", url, token=None, params={**DATES, **params}, headers=headers),
            cms("POST", url, token=None, data={**DATES, **params}, headers=headers),
            cms("POST", url, token=None, json={**DATES, **params}, headers=headers),
            cms("GET", url, token=None, params={**DATES, **params, "token": site.token}),
        ):
            assert answer.status_code == 200, answer.text
            assert {row["pathname"] for row in answer.json()["data"]} == {"/", "/about/"}
    for path in (
        "/v0/sql?q=SELECT+*+FROM+_mv_hits",
        "/v0/sql?q=SELECT+*+FROM+filtered_sessions",
        f"{url}?q=SELECT+*+FROM+analytics_events",
        "/v0/pipes/filtered_sessions.json",
        "/v0/datasources/analytics_events",
        "/?query=SELECT+*+FROM+_mv_hits",
    ):
        answer = cms("GET", path, token=None, headers=headers)
        assert answer.status_code in {403, 404}, path
        assert "/secret/" not in answer.text
    assert cms("GET", "/v0/pipes", token=None, headers=headers).status_code == 200
    through = cms("GET", "/v0/sql?q=SELECT+*+FROM+api_top_pages", token=None, params=DATES, headers=headers)
    assert "/secret/" not in through.text


def test_a_signature_of_somebody_else_or_an_end_is_refused(cms: Client) -> None:
    claims = jwt.decode(Site(cms, OURS).token, options={"verify_signature": False})
    admin = cms.token("workspace admin token").value
    for value in (
        jwt.encode(claims, "another key of the same length as it", algorithm="HS256"),
        jwt.encode({**claims, "exp": int(time.time()) - 10}, admin, algorithm="HS256"),
        jwt.encode({**claims, "workspace_id": "other"}, admin, algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
    ):
        headers = {"Authorization": f"Bearer {value}"}
        assert cms("GET", "/v0/pipes/api_kpis.json", token=None, params=DATES, headers=headers).status_code == 403
    tracker = cms.token("tracker").value
    assert cms("GET", "/v0/pipes/api_kpis.json", token=None, params={"token": tracker}).status_code == 403
