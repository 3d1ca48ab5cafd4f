// Errors and their properties. The sandbox fails prompts that contain `[fail]` or `[nsfw]`.
import {
  createClient,
  GatewayError,
  GenerationFailed,
  GenerationRefused,
  type Input,
  InvalidInput,
  model,
  soul,
  stateName,
} from "@hfgateway/client";

const client = createClient({ address: "127.0.0.1:50051" });

/** Generates, or logs the error. The most specific classes come first. */
async function attempt(wanted: Input): Promise<void> {
  try {
    const generation = await client.generate(wanted);
    console.log("done:", generation.outputs[0]?.url);
  } catch (error) {
    if (error instanceof InvalidInput) {
      console.log("wrong:", ...error.fieldViolations.map(({ field, description }) => `${field} ${description}`));
    } else if (error instanceof GenerationRefused) {
      console.log("refused:", error.reason); // INSUFFICIENT_CREDITS, MODEL_UNKNOWN, …: not charged
    } else if (error instanceof GenerationFailed) {
      console.log("ended:", stateName(error.generation), error.reason);
    } else if (error instanceof GatewayError) {
      console.log("failed:", error.reason, error.retryable ? "try again" : "give up");
    } else {
      throw error;
    }
  }
}

await attempt(soul("a lake", { seed: 0, styleStrength: 1.5 }));
await attempt(model("no/such-model", { prompt: "a lake" }));
await attempt(soul("[fail] a lake"));
await attempt(soul("[nsfw] a lake"));
await client.close();
