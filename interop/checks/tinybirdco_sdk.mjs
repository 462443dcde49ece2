// @tinybirdco/sdk: its client, its definitions, its command line.
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as sdk from "@tinybirdco/sdk";
import { HOST, TOKEN, check, end, refused, same } from "./checks.mjs";

const client = sdk.createClient({ baseUrl: HOST, token: TOKEN });
await check("query", async () => same((await client.query("totals", {})).data.length, 3));
await check("query with an array", async () =>
  same((await client.query("totals", { names: ["O'Neil", "back\\slash"] })).data.length, 2));
await check("sql", async () => same((await client.sql("SELECT count() AS n FROM events")).data, [{ n: 4 }]));
const event = { id: "s", name: "sdk", amount: 1, at: "2026-03-01 00:00:00", tags: ["x"] };
await check("ingest", async () => same(await client.ingest("events", event, { wait: true }), { successful_rows: 1, quarantined_rows: 0 }));
await check("ingestBatch", async () => same((await client.ingestBatch("events", [event, event], { wait: true })).successful_rows, 2));
await check("deleteDatasource", async () => {
  const gone = await client.deleteDatasource("events", { deleteCondition: "name = 'sdk'" });
  same(typeof (gone.job_id ?? gone.id), "string");
});
await check("truncateDatasource", () => client.truncateDatasource("archive"));
await check("createJWT", async () => {
  const { token } = await client.tokens.createJWT({
    name: "j", expiresAt: new Date(Date.now() + 60_000), scopes: [{ type: "PIPES:READ", resource: "totals", fixed_params: { limit: 1 } }],
  });
  same((await sdk.createClient({ baseUrl: HOST, token }).query("totals", {})).data.length, 1);
});
await check("errors", () => refused(() => client.query("nothing", {}), "nothing"));
await check("a wrong token", () => refused(() => sdk.createClient({ baseUrl: HOST, token: "wrong" }).query("totals", {}), "token"));

// Its command line, on a project of its own.
const here = dirname(fileURLToPath(import.meta.url));
mkdirSync("app/src", { recursive: true });
symlinkSync(join(here, "node_modules"), "app/node_modules");
writeFileSync("app/package.json", '{"name": "app", "type": "module", "private": true}');
writeFileSync("app/tinybird.config.json", JSON.stringify({ include: ["src/tinybird.ts"], token: TOKEN, baseUrl: HOST, devMode: "branch" }));
writeFileSync("app/src/tinybird.ts", `
import { defineDatasource, defineEndpoint, node, t, p, engine } from "@tinybirdco/sdk";
export const visits = defineDatasource("visits", {
  schema: { at: t.dateTime(), path: t.string(), country: t.string().nullable() },
  engine: engine.mergeTree({ sortingKey: ["at"] }),
});
export const topPaths = defineEndpoint("top_paths", {
  params: { limit: p.int32().optional(10) },
  nodes: [node({ name: "top", sql: "SELECT path, count() AS visits FROM visits GROUP BY path ORDER BY visits DESC LIMIT {{Int32(limit, 10)}}" })],
  output: { path: t.string(), visits: t.uint64() },
});
`);
const bin = join(here, "node_modules/@tinybirdco/sdk/bin/tinybird.js");
function cli(...args) {
  const options = { cwd: "app", encoding: "utf8", stdio: "pipe", env: process.env };
  try {
    return execFileSync("node", [bin, ...args], options);
  } catch (error) {
    throw new Error(`${args.join(" ")}: ${error.stdout}${error.stderr}`);
  }
}
await check("cli generate", () => same(cli("generate").length > 0, true));
await check("cli info", () => same(cli("info").includes("default"), true));
await check("cli deploy --check", () => cli("deploy", "--check", "--allow-destructive-operations"));
await check("cli deploy", async () => {
  cli("deploy", "--allow-destructive-operations");
  await client.ingest("visits", { at: "2026-03-01 00:00:00", path: "/", country: null }, { wait: true });
  same((await client.query("top_paths", {})).data, [{ path: "/", visits: 1 }]);
});
await check("cli branch list", () => cli("branch", "list"));
await check("cli build in local mode", () => cli("build", "--local"));
await check("cli pull", () => cli("pull", "--output-dir", "pulled", "--force"));
end();
