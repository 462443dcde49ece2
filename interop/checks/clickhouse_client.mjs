// @clickhouse/client: formats, parameters, settings, streams, compression, errors.
import { ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { HOST, TOKEN, check, end, refused, same } from "./checks.mjs";

const client = createClient({ log: { level: ClickHouseLogLevel.OFF }, url: HOST, username: "u", password: TOKEN });
const rows = async (query, more = {}) => (await client.query({ query, format: "JSONEachRow", ...more })).json();

await check("ping", async () => same((await client.ping()).success, true));
await check("ping with a query", async () => same((await client.ping({ select: true })).success, true));
for (const name of ["O'Neil", "back\\slash", "tab\tand\nline"])
  await check(`a parameter ${JSON.stringify(name)}`, async () => {
    const query = "SELECT DISTINCT name FROM events WHERE name = {n: String}";
    same(await rows(query, { query_params: { n: name } }), [{ name }]);
  });
await check("parameters of many types", async () => {
  const query = "SELECT {a: Array(String)} AS a, {b: Nullable(String)} AS b, {c: Int32} AS c, {d: DateTime('UTC')} AS d, "
    + "{e: Bool} AS e, {f: Map(String, UInt8)} AS f, {g: Nullable(Int32)} AS g, {h: Tuple(Int8, String)} AS h";
  const { TupleParam } = await import("@clickhouse/client");
  const query_params = {
    a: ["it's", "b\\"], b: null, c: -7, d: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)), e: true, f: { "it's": 1 }, g: null,
    h: new TupleParam([1, "x'y"]),
  };
  same(await rows(query, { query_params }), [
    { a: ["it's", "b\\"], b: null, c: -7, d: "2026-01-02 03:04:05", e: true, f: { "it's": 1 }, g: null, h: [1, "x'y"] },
  ]);
});
await check("64-bit integers in quotes", async () => {
  const clickhouse_settings = { output_format_json_quote_64bit_integers: 1 };
  const found = await rows("SELECT big FROM events WHERE id = 'a'", { clickhouse_settings });
  same(found, [{ big: "18446744073709551615" }]);
});
for (const format of ["JSON", "JSONCompact", "JSONStrings", "JSONColumnsWithMetadata", "JSONObjectEachRow", "JSONCompactEachRow"])
  await check(`format ${format}`, async () => {
    const found = await client.query({ query: "SELECT id FROM events ORDER BY id", format });
    same(JSON.stringify(await found.json()).includes('"d"'), true);
  });
for (const format of ["CSV", "TabSeparated", "CustomSeparated"])
  await check(`format ${format}`, async () => {
    const found = await client.query({ query: "SELECT id FROM events ORDER BY id", format });
    let size = 0;
    for await (const part of found.stream()) size += part.length;
    same(size > 0, true);
  });
for (const format of ["Parquet", "Arrow", "Native"])
  await check(`exec with format ${format}`, async () => {
    const { stream } = await client.exec({ query: `SELECT id FROM events ORDER BY id FORMAT ${format}` });
    let size = 0;
    for await (const part of stream) size += part.length;
    same(size > 0, true);
  });
await check("a stream of many rows", async () => {
  const found = await client.query({ query: "SELECT number FROM numbers(300000)", format: "JSONEachRow" });
  let count = 0;
  for await (const part of found.stream()) count += part.length;
  same(count, 300000);
});
await check("compressed answers", async () => {
  const packed = createClient({ log: { level: ClickHouseLogLevel.OFF }, url: HOST, username: "u", password: TOKEN, compression: { response: true, request: true } });
  const found = await packed.query({ query: "SELECT number, 'text' AS t FROM numbers(20000)", format: "JSONEachRow" });
  same((await found.json()).length, 20000);
  await packed.close();
});
await check("an access token", async () => {
  const bearer = createClient({ url: HOST, access_token: TOKEN });
  same(await (await bearer.query({ query: "SELECT 1 AS a", format: "JSONEachRow" })).json(), [{ a: 1 }]);
  await bearer.close();
});
await check("query ids and a summary", async () => {
  const found = await client.query({ query: "SELECT 1", query_id: "mine-1" });
  same(found.query_id, "mine-1");
  same(found.response_headers["x-clickhouse-format"], "JSON");
});
await check("an abort ends the query", async () => {
  const controller = new AbortController();
  const query = "SELECT count() FROM numbers(100000000000) WHERE cityHash64(number) = 1";
  const running = client.query({ query, abort_signal: controller.signal });
  setTimeout(() => controller.abort(), 300);
  await refused(() => running, "abort");
});
await check("error UNKNOWN_IDENTIFIER", () => refused(() => rows("SELECT nope FROM events"), "UNKNOWN_IDENTIFIER"));
await check("error UNKNOWN_TABLE", () => refused(() => rows("SELECT * FROM nothing"), "UNKNOWN_TABLE"));
await check("error SYNTAX_ERROR", () => refused(() => rows("SELECT FROM FROM"), "SYNTAX_ERROR"));
await check("error AUTHENTICATION_FAILED", async () => {
  const wrong = createClient({ url: HOST, username: "u", password: "wrong" });
  await refused(() => wrong.query({ query: "SELECT 1" }), "AUTHENTICATION_FAILED");
  await wrong.close();
});
await check("an error behind the first rows", () =>
  refused(async () => {
    const query = "SELECT number, throwIf(number > 3000000) FROM numbers(4000000)";
    const found = await client.query({ query, format: "JSONEachRow" });
    for await (const part of found.stream()) void part;
  }, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"));
await check("inserts are refused with where rows go", () =>
  refused(() => client.insert({ table: "events", values: [{ id: "x" }], format: "JSONEachRow" }), "/v0/events"));
await check("commands that write are refused", () =>
  refused(() => client.command({ query: "CREATE TABLE x (a Int8) ENGINE Memory" }), "READONLY"));
await client.close();
end();
