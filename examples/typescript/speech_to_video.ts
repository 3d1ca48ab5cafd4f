// Make a portrait speak the words of a WAV file.
import { createClient, speak } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
const portrait = "https://files.example/portrait.jpg";
const speech = "https://files.example/welcome.wav";
const talk = speak(portrait, speech, "a calm presentation", { quality: "mid", durationSeconds: 5 });
const generation = await client.generate(talk, { onProgress: (seen) => console.log("revision", seen.revision) });
console.log(generation.outputs[0]?.url);
await client.close();
