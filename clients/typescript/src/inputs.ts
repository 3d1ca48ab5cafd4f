/**
 * Constructors of inputs. Each returns the message that the client submits.
 *
 * Options that are not given are left out of the message, so that the model's defaults apply. The constructors check
 * only the names of enum values; an unknown name is a TypeError. The gateway validates all fields, and its error names
 * the wrong ones.
 */

import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ApiVersion,
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

/** An input: the result of a constructor, or an object of the same form. */
export type Input = MessageInitShape<typeof GenerationInputSchema>;

/** Options of `soul`. `version` defaults to "v1". */
export type SoulOptions = Omit<MessageInitShape<typeof SoulInputSchema>, "$typeName" | "prompt" | "version"> & {
  version?: "v1" | "v2" | "cinema" | undefined;
};

/** Text to image with Soul. */
export function soul(prompt: string, options: SoulOptions = {}): GenerationInput {
  const value = { ...options, prompt, version: named(SoulVersion, options.version) };
  return create(GenerationInputSchema, { kind: { case: "soul", value } });
}

/** Options of `dop`. `variant` defaults to "turbo". */
export type DopOptions = Omit<
  MessageInitShape<typeof DopInputSchema>,
  "$typeName" | "prompt" | "imageUrls" | "variant" | "motions"
> & {
  variant?: "lite" | "standard" | "turbo" | undefined;
  /** The strengths of motions by motion id, from 0 to 1; undefined for the default of 1. At most 2. */
  motions?: Readonly<Record<string, number | undefined>> | undefined;
};

/** Image to video with the Director of Photography model, from the URLs of one or more images. */
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

/** Options of `speak`. */
export type SpeakOptions = Omit<
  MessageInitShape<typeof SpeakInputSchema>,
  "$typeName" | "imageUrl" | "audioUrl" | "prompt" | "quality"
> & {
  quality?: "mid" | "high" | undefined;
};

/** Speech to video with Speak, from the URLs of an image and of a WAV file. */
export function speak(imageUrl: string, audioUrl: string, prompt: string, options: SpeakOptions = {}): GenerationInput {
  const value = { ...options, imageUrl, audioUrl, prompt, quality: named(SpeakQuality, options.quality) };
  return create(GenerationInputSchema, { kind: { case: "speak", value } });
}

/** Options of `model`. */
export interface ModelOptions {
  /** The form of the endpoint. Required for paths that begin with "v1/": "v1". Default: "v2". */
  apiVersion?: "v1" | "v2" | undefined;
}

/** Any Higgsfield model by its id, or an endpoint by its path. The parameters are sent unchanged. */
export function model(modelId: string, parameters: JsonObject = {}, options: ModelOptions = {}): GenerationInput {
  const value = { modelId, parameters, apiVersion: named(ApiVersion, options.apiVersion) };
  return create(GenerationInputSchema, { kind: { case: "model", value } });
}
