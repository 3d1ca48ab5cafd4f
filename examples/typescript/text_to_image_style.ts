// Generate four images in a style from the catalog. Each output has its own state.
import { createClient, GenerationState, soul } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
let styleId = "";
for await (const style of client.listSoulStyles({ query: "film noir" })) styleId = style.id;
const portrait = soul("an old man who has seen much", {
  styleId,
  styleStrength: 0.8,
  width: 1536,
  height: 2048,
  resolution: "1080p",
  batchSize: 4,
  enhancePrompt: false,
  seed: 12345,
});
const { outputs } = await client.generate(portrait);
for (const [index, output] of outputs.entries()) {
  if (output.state === GenerationState.COMPLETED) console.log(index + 1, output.url, output.previewUrl);
}
await client.close();
