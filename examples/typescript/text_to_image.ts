// Generate an image with Soul, in one of the sizes of the v1 API.
import { createClient, soul } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
const size = { width: 1536, height: 1536, resolution: "720p" };
const generation = await client.generate(soul("mountains at dusk, in oil", { ...size, enhancePrompt: true }));
console.log(generation.outputs[0]?.url);
await client.close();
