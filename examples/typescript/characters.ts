// Characters (Soul IDs): train one, list all, and generate an image with it.
import { CharacterState, createClient, soul } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
const photos = [1, 2, 3].map((number) => `https://files.example/noor-${number}.jpg`);
// Training costs credits. With the same key it is charged once.
const noor = await client.trainCharacter("Noor", photos, { idempotencyKey: "noor-1" });
for await (const { name, id, state } of client.listCharacters()) console.log(name, id, CharacterState[state]);
const portrait = soul("a portrait in a suit", { characterId: noor.id, characterStrength: 1, resolution: "1080p" });
const generation = await client.generate(portrait);
console.log(generation.outputs[0]?.url);
await client.close();
