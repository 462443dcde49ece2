// Ghost's built-in traffic analytics: its own Tinybird project and its own signing of tokens, from its package.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HOST, TOKEN, check, end, same } from "./checks.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const SERVER = "package/core/server";
const [archive] = execFileSync("npm", ["pack", "ghost@6", "--silent"], { encoding: "utf8" }).trim().split("\n");
execFileSync("tar", ["xzf", archive, `${SERVER}/data/tinybird`, `${SERVER}/services/tinybird`]);
symlinkSync(join(here, "node_modules"), "node_modules"); // its service needs jsonwebtoken
const Service = createRequire(join(process.cwd(), "x.cjs"))(`./${SERVER}/services/tinybird/tinybird-service.js`);
const pipes = [...readFileSync(`${SERVER}/services/tinybird/tinybird-service.js`, "utf8").matchAll(/'(api_\w+)'/g)].map((found) => found[1]);
const admin = { Authorization: `Bearer ${TOKEN}` };

await check("its project is deployed", async () => {
  const form = new FormData();
  for (const folder of ["datasources", "pipes", "endpoints"])
    for (const name of readdirSync(`${SERVER}/data/tinybird/${folder}`))
      form.append("data_project://", new Blob([readFileSync(`${SERVER}/data/tinybird/${folder}/${name}`)]), `${folder}/${name}`);
  const query = "auto_promote=true&allow_destructive_operations=true";
  const answer = await fetch(`${HOST}/v1/deploy?${query}`, { method: "POST", headers: admin, body: form });
  const { result, deployment } = await answer.json();
  if (result !== "success") throw new Error(JSON.stringify(deployment.errors).slice(0, 1000));
});
await check("its tracker's events are taken", async () => {
  const { tokens } = await (await fetch(`${HOST}/v0/tokens`, { headers: admin })).json();
  const tracker = tokens.find((token) => token.name === "tracker").token;
  const body = readFileSync(`${SERVER}/data/tinybird/fixtures/analytics_events.ndjson`);
  const sent = await fetch(`${HOST}/v0/events?name=analytics_events&wait=true&token=${tracker}`, { method: "POST", body });
  same(await sent.json(), { successful_rows: body.toString().trim().split("\n").length, quarantined_rows: 0 });
});
const { id } = await (await fetch(`${HOST}/v1/workspace`, { headers: admin })).json();
const signed = (siteUuid) => new Service({ tinybirdConfig: { workspaceId: id, adminToken: TOKEN }, siteUuid }).getToken().token;

async function ask(pipe, site, more = {}) {
  const given = { site_uuid: site, date_from: "2100-01-01", date_to: "2100-01-07", timezone: "America/Los_Angeles", ghost_client: "server", ...more };
  const url = `${HOST}/v0/pipes/${pipe}.json?${new URLSearchParams(given)}`;
  return async (token) => {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    const body = await answer.json();
    if (answer.status !== 200) throw new Error(`${answer.status} ${body.error}`);
    return body.data;
  };
}

const POST = "06b1b0c9-fb53-4a15-a060-3db3fde7b1fc";
const OTHER = "00000000-0000-4000-8000-000000000001";
for (const pipe of pipes)
  await check(`${pipe} answers its site, and no other`, async () => {
    const site = pipe.includes("automation") ? OTHER : "mock_site_uuid"; // those of automations are UUIDs
    const request = await ask(pipe, site, { post_uuids: `${POST},${OTHER}`, member_status: "free,paid,undefined" });
    const own = await request(signed(site));
    if (site !== OTHER && pipe !== "api_active_visitors" && pipe !== "api_active_visitors_v2") same(own.length > 0, true);
    const counts = (await request(signed(OTHER))).flatMap((row) => Object.values(row).filter((value) => typeof value === "number"));
    if (site !== OTHER) same(counts.every((value) => value === 0), true);
  });
await check("there are 26 of them", () => same(pipes.length, 26));
end();
