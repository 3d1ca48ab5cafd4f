// The usual options of a client. Higgsfield's credentials are configured in the gateway, not in its clients.
import { createClient, soul } from "@hfgateway/client";

const client = createClient({
  address: "127.0.0.1:50051",
  apiKey: process.env.HFGATEWAY_API_KEY,
  tls: false, // true or { ca } for a remote gateway
  timeoutMs: 20_000, // for one call, including retries; a generation may take longer
  retry: { firstDelayMs: 500, maxDelayMs: 20_000, resumeWatchesForMs: 300_000 },
});
const estimate = await client.estimate(soul("a lake", { batchSize: 4 }));
console.log("costs", estimate.cost?.credits);
const generation = await client.generate(soul("a lake under stars"), {
  timeoutMs: 120_000,
  labels: { project: "lakes" },
});
console.log(generation.outputs[0]?.url);
let count = 0;
for await (const found of client.list({ labels: { project: "lakes" } })) count += found.done ? 1 : 0;
console.log("of the project:", count);
await client.close();
