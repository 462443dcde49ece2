// Cube's ClickHouse driver: what it asks before and while it serves. Its setting readOnly would send no settings.
import cube from "@cubejs-backend/clickhouse-driver";
import { PORT, TOKEN, check, end, refused, same } from "./checks.mjs";

const { ClickHouseDriver } = cube;
const driver = new ClickHouseDriver({ host: "127.0.0.1", port: PORT, username: "u", password: TOKEN });
await check("testConnection", () => driver.testConnection());
await check("a query", async () => same(await driver.query("SELECT count() AS n FROM events", []), [{ n: "4" }]));
await check("a parameter", async () => {
  for (const name of ["O'Neil", "back\\slash"]) {
    const found = await driver.query("SELECT DISTINCT name FROM events WHERE name = ?", [name]);
    same(found, [{ name }]);
  }
});
await check("64-bit integers are whole", async () =>
  same(await driver.query("SELECT big FROM events WHERE id = 'a'", []), [{ big: "18446744073709551615" }]),
  "it does not ask for integers in quotes, which ClickHouse since 25.8 does not write by itself");
await check("tablesSchema", async () => {
  const schema = await driver.tablesSchema();
  const columns = Object.values(schema)[0].events.map((column) => column.name);
  same(columns.includes("amount"), true);
});
await check("getTablesQuery", async () => {
  const tables = await driver.getTablesQuery("default");
  same(tables.some((table) => table.table_name === "events"), true);
});
await check("tableColumnTypes", async () => {
  const types = await driver.tableColumnTypes("default.archive");
  same(types.map((column) => column.name), ["name", "total"]);
});
await check("stream", async () => {
  const stream = await driver.stream("SELECT number AS n FROM numbers(1000)", [], { highWaterMark: 100 });
  let count = 0;
  for await (const row of stream.rowStream) count += row ? 1 : 0;
  same(count, 1000);
  if (stream.release) await stream.release();
});
await check("an error", () => refused(() => driver.query("SELECT nope FROM events", []), "nope"));
await driver.release();
end();
