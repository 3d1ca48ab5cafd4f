// Upload an image, and turn it into a video with two motions. A watch reports the result, instead of a webhook.
import { createClient, dop, stateName } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
const start = await client.upload("start.png");
const motions: Record<string, number> = {};
for await (const { id, name } of client.listMotions()) {
  if (name === "Dolly Left") motions[id] = 0.7;
  if (name === "Zoom Out") motions[id] = 0.5;
}
const drama = dop("a slow dolly zoom, dramatic light", start.url, {
  variant: "standard",
  motions,
  seed: 42,
  enhancePrompt: true,
});
const submission = await client.submit(drama, { idempotencyKey: "drama-1" });
for await (const seen of client.watch(submission.generation.id)) {
  if (seen.done) console.log(stateName(seen), ...seen.outputs.map((output) => output.url));
}
await client.close();
