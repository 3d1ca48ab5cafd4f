// Generate images with all options of Soul: a style, a character and a reference image.
import { createClient, GenerationFailed, soul } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
let styleId = "";
for await (const style of client.listSoulStyles({ query: "tokyo streets" })) styleId = style.id;
const photos = [1, 2, 3].map((number) => `https://files.example/mara-${number}.jpg`);
const mara = await client.trainCharacter("Mara", photos, { idempotencyKey: "mara-1" });
const city = soul("a city of flying cars", {
  width: 2048,
  height: 1152,
  resolution: "1080p",
  batchSize: 4,
  styleId,
  styleStrength: 0.9,
  characterId: mara.id,
  characterStrength: 0.7,
  imageReferenceUrl: "https://files.example/reference.jpg",
  enhancePrompt: true,
  seed: 999,
});
try {
  const generation = await client.generate(city, { idempotencyKey: "city-1" });
  for (const output of generation.outputs) console.log("full:", output.url, "small:", output.previewUrl);
} catch (error) {
  if (!(error instanceof GenerationFailed)) throw error;
  console.log("not generated:", error.message);
}
await client.close();
