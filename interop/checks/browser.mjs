// flock.js and charts in chromium: a page of another origin sends events and draws an endpoint.
import { createServer } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { HOST, TOKEN, check, end, same } from "./checks.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const api = (path, options = {}) =>
  fetch(`${HOST}${path}`, { headers: { Authorization: `Bearer ${TOKEN}` }, ...options }).then((answer) => answer.json());

// The data source that flock.js writes to, beside what is deployed.
const hits = `SCHEMA >
    timestamp DateTime \`json:$.timestamp\`,
    session_id Nullable(String) \`json:$.session_id\`,
    action LowCardinality(String) \`json:$.action\`,
    version LowCardinality(String) \`json:$.version\`,
    payload String \`json:$.payload\`

ENGINE MergeTree
ENGINE_SORTING_KEY timestamp
`;
const form = new FormData();
const files = { "analytics_events.datasource": hits };
files["by_day.pipe"] = "NODE n\nSQL >\n    %\n    SELECT arrayJoin(['a', 'b', 'c']) AS day, {{Int32(n, 7)}} AS total\nTYPE endpoint\n";
for (const [name, text] of Object.entries(files)) form.append("data_project://", new Blob([text]), name);
await check("deploy of their project", async () => {
  const done = await api("/v1/deploy?auto_promote=true&allow_destructive_operations=true", { method: "POST", body: form });
  same(done.result, "success");
});

writeFileSync(join(here, "app.jsx"), `
import React from "react";
import { createRoot } from "react-dom/client";
import { BarChart } from "@tinybirdco/charts";
createRoot(document.getElementById("root")).render(<BarChart endpoint="${HOST}/v0/pipes/by_day.json" token="${TOKEN}"
  index="day" categories={["total"]} height="300px" width="400px" title="Totals" params={{ n: 5, note: "x".repeat(3000) }} />);
`);
await build({ entryPoints: [join(here, "app.jsx")], bundle: true, outfile: join(here, "app.js"), jsx: "automatic", define: { "process.env.NODE_ENV": '"production"' } });
const flock = readFileSync(join(here, "node_modules/@tinybirdco/flock.js/dist/index.js"));
const page = `<!doctype html><html><body><div id="root"></div>
<script defer src="/flock.js" data-host="${HOST}" data-token="${TOKEN}"></script><script src="/app.js"></script></body></html>`;
const server = createServer((request, answer) => {
  const served = { "/flock.js": flock, "/app.js": readFileSync(join(here, "app.js")) }[request.url];
  answer.setHeader("Content-Type", served ? "text/javascript" : "text/html");
  answer.end(served ?? page);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const origin = `http://127.0.0.1:${server.address().port}`;

// flock.js sends nothing from a browser that says it is driven by a program.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-blink-features=AutomationControlled"] });
const tab = await browser.newPage();
const refused = [];
tab.on("requestfailed", (request) => request.url().startsWith(HOST) && refused.push(request.url().slice(0, 200)));
tab.on("response", (answer) => answer.url().startsWith(HOST) && answer.status() >= 400 && refused.push(`${answer.status()} ${answer.url()}`.slice(0, 200)));
const chart = tab.waitForResponse((answer) => answer.url().includes("/v0/pipes/by_day.json") && answer.request().method() !== "OPTIONS");
await tab.goto(origin);
await check("charts reads the endpoint across origins", async () => {
  const answer = await chart;
  same(answer.status(), 200);
  same((await answer.json()).data, [{ day: "a", total: 5 }, { day: "b", total: 5 }, { day: "c", total: 5 }]);
});
await check("charts draws", () => tab.waitForSelector("#root svg, #root canvas", { timeout: 15000 }));
await check("flock.js sends a page hit", async () => {
  for (let tries = 0; tries < 40; tries += 1) {
    const found = await api("/v0/sql?q=SELECT+action,+JSONExtractString(payload,'href')+AS+href+FROM+analytics_events");
    if (found.data?.length) return same(found.data[0], { action: "page_hit", href: `${origin}/` });
    await new Promise((later) => setTimeout(later, 500));
  }
  throw new Error("no event arrived");
});
await check("nothing was refused", () => same(refused, []));
await browser.close();
server.close();
end();
