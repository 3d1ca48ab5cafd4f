// Turn an image into a video of five seconds with the Director of Photography model.
import { createClient, dop } from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });
const moving = dop("the camera circles the subject", "https://files.example/portrait.jpg", { variant: "turbo" });
const generation = await client.generate(moving);
console.log(generation.outputs[0]?.url);
await client.close();
