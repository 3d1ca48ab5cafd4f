// Generate a video with a motion from the catalog, selected by its name.
import { createClient, dop } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
for await (const motion of client.listMotions({ query: "zoom in" })) {
  if (motion.name !== "Zoom In") continue;
  const zoomed = dop("closer, and closer", "https://files.example/portrait.jpg", { motions: { [motion.id]: 0.8 } });
  const generation = await client.generate(zoomed);
  console.log(`${motion.name}: ${generation.outputs[0]?.url}`);
}
await client.close();
