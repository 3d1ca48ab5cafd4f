// Makes the calls of the official SDK's README in turn. Reads {v2, v1} as JSON, and writes the result of each as JSON.
import { BatchSize, DoPModel, HiggsfieldClient, InputAudio, InputImage } from "@higgsfield/client";
import { inputMotion, seed, SoulQuality, SoulSize, SpeakDuration, SpeakVideoQuality, strength } from "@higgsfield/client";
import { config, higgsfield } from "@higgsfield/client/v2";

const clients = JSON.parse(process.argv[2]);
const results = {};

async function step(name, call) {
  try {
    results[name] = await call();
  } catch (error) {
    results[name] = { error: error.constructor.name, message: error.message };
  }
}

const jobs = (set) => ({ completed: set.isCompleted, urls: set.jobs.map((job) => job.results?.raw.url) });
const picture = InputImage.fromUrl("https://files.example/picture.jpg");

config(clients.v2);
await step("flux", async () => {
  const input = { aspect_ratio: "9:16", prompt: "flux", safety_tolerance: 2, seed: 1234 };
  return higgsfield.subscribe("flux-pro/kontext/max/text-to-image", { input, withPolling: true });
});

const client = new HiggsfieldClient(clients.v1);
await step("soul", async () => {
  const params = {
    prompt: "soul",
    width_and_height: SoulSize.SQUARE_1536x1536,
    quality: SoulQuality.HD,
    batch_size: BatchSize.SINGLE,
  };
  return jobs(await client.generate("/v1/text2image/soul", params));
});
await step("style", async () => {
  const style = (await client.getSoulStyles()).find((one) => one.name === "Film Noir");
  const params = {
    prompt: "style",
    style_id: style.id,
    style_strength: strength(0.8),
    width_and_height: SoulSize.PORTRAIT_1536x2048,
    quality: SoulQuality.HD,
    batch_size: BatchSize.SINGLE,
    seed: seed(12345),
  };
  return jobs(await client.generate("/v1/text2image/soul", params));
});
await step("dop", async () => {
  const params = { model: DoPModel.TURBO, prompt: "dop", input_images: [picture] };
  return jobs(await client.generate("/v1/image2video/dop", params));
});
await step("motion", async () => {
  const zoom = (await client.getMotions()).find((one) => one.name === "Zoom In");
  const params = {
    model: DoPModel.TURBO,
    prompt: "motion",
    input_images: [picture],
    motions: [inputMotion(zoom.id, 0.8)],
  };
  return jobs(await client.generate("/v1/image2video/dop", params));
});
await step("speak", async () => {
  const params = {
    input_image: picture,
    input_audio: InputAudio.fromUrl("https://files.example/speech.wav"),
    prompt: "speak",
    quality: SpeakVideoQuality.MID,
    duration: SpeakDuration.SHORT,
    seed: seed(7),
  };
  return jobs(await client.generate("/v1/speak/higgsfield", params));
});
await step("upload", () => client.uploadImage(Buffer.from("a picture"), "jpeg"));
await step("strength", async () => strength(1.5));
client.close();
console.log(JSON.stringify(results));
