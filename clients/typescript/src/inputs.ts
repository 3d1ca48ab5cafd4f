/**
 * What to generate, as functions: each returns the message that the client submits.
 *
 * An option that is left out is left out of the message, so that the model's own default holds. Nothing is checked here
 * but the names of versions and the like: the gateway checks every field, and its answer names those that it refuses.
 */

import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type DopInputSchema,
  DopVariant,
  type GenerationInput,
  GenerationInputSchema,
  type SoulInputSchema,
  SoulVersion,
  type SpeakInputSchema,
  SpeakQuality,
} from "./gen/hfgateway/v1/generation_input_pb.js";
import { named } from "./names.js";

/** What is submitted: what a function below returns, or an object of the same form. */
export type Input = MessageInitShape<typeof GenerationInputSchema>;

export type SoulOptions = Omit<MessageInitShape<typeof SoulInputSchema>, "$typeName" | "prompt" | "version"> & {
  version?: "v1" | "v2" | "cinema" | undefined;
};

/** Text to image with Soul. */
export function soul(prompt: string, options: SoulOptions = {}): GenerationInput {
  const value = { ...options, prompt, version: named(SoulVersion, options.version) };
  return create(GenerationInputSchema, { kind: { case: "soul", value } });
}

export type DopOptions = Omit<
  MessageInitShape<typeof DopInputSchema>,
  "$typeName" | "prompt" | "imageUrls" | "variant" | "motions"
> & {
  variant?: "lite" | "standard" | "turbo" | undefined;
  /** Strengths by motion id; undefined for the model's own. */
  motions?: Readonly<Record<string, number | undefined>> | undefined;
};

/** Image to video with the Director of Photography model, from one image or several. */
export function dop(prompt: string, images: string | readonly string[], options: DopOptions = {}): GenerationInput {
  const value = {
    ...options,
    prompt,
    imageUrls: typeof images === "string" ? [images] : [...images],
    variant: named(DopVariant, options.variant),
    motions: Object.entries(options.motions ?? {}).map(([motionId, strength]) => ({ motionId, strength })),
  };
  return create(GenerationInputSchema, { kind: { case: "dop", value } });
}

export type SpeakOptions = Omit<
  MessageInitShape<typeof SpeakInputSchema>,
  "$typeName" | "imageUrl" | "audioUrl" | "prompt" | "quality"
> & {
  quality?: "mid" | "high" | undefined;
};

/** Speech (a WAV file) to video with Speak. */
export function speak(imageUrl: string, audioUrl: string, prompt: string, options: SpeakOptions = {}): GenerationInput {
  const value = { ...options, imageUrl, audioUrl, prompt, quality: named(SpeakQuality, options.quality) };
  return create(GenerationInputSchema, { kind: { case: "speak", value } });
}

/** Any Higgsfield model by its id; the parameters are sent as its JSON body, just as they stand. */
export function model(modelId: string, parameters: JsonObject = {}): GenerationInput {
  return create(GenerationInputSchema, { kind: { case: "model", value: { modelId, parameters } } });
}
