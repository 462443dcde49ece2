// @chronark/zod-bird: typed pipes and events.
import { Tinybird } from "@chronark/zod-bird";
import { z } from "zod";
import { HOST, TOKEN, check, end, refused, same } from "./checks.mjs";

const tb = new Tinybird({ token: TOKEN, baseUrl: HOST });
const totals = tb.buildPipe({
  pipe: "totals",
  parameters: z.object({ names: z.array(z.string()).optional(), least: z.number().optional() }),
  data: z.object({ name: z.string(), total: z.number(), events: z.number() }),
});
await check("a pipe", async () => same((await totals({})).data.length, 3));
await check("parameters", async () => same((await totals({ names: ["O'Neil"] })).data[0].total, 3));
const send = tb.buildIngestEndpoint({
  datasource: "events",
  event: z.object({ id: z.string(), name: z.string(), amount: z.number(), at: z.string(), tags: z.array(z.string()) }),
});
const event = { id: "z", name: "zod", amount: 1, at: "2026-03-01 00:00:00", tags: [] };
await check("events", async () => same(await send(event), { successful_rows: 1, quarantined_rows: 0 }));
await check("several events", async () => same((await send([event, event])).successful_rows, 2));
await check("a wrong token", () =>
  refused(() => new Tinybird({ token: "wrong", baseUrl: HOST }).buildPipe({ pipe: "totals", data: z.any() })({}), "nauthor"));
end();
