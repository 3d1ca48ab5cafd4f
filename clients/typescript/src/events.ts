/** The events of `watchMany`, discriminated by `type`. */

import type { Forecast, Generation } from "./gen/hfgateway/v1/generation_pb.js";

interface Positioned {
  /**
   * Resumes a later `watchMany` with the same filter after this event. Some preceding events may be repeated, but none
   * is skipped. "" until the gateway has sent a token.
   */
  readonly resumeToken: string;
}

/** A generation at a new revision. A watch without a resume token begins with the current state of each generation. */
export interface GenerationChanged extends Positioned {
  readonly type: "changed";
  readonly generation: Generation;
}

/** All earlier changes have been reported; new changes follow. Occurs once, and once more after each reset. */
export interface CaughtUp extends Positioned {
  readonly type: "caughtUp";
}

/**
 * Changes are missing, including those of generations that have ended. Discard what you have, or read it again: a
 * snapshot follows.
 */
export interface Reset extends Positioned {
  readonly type: "reset";
}

/** The ids in the filter that do not exist. */
export interface MissingGenerations extends Positioned {
  readonly type: "missing";
  readonly ids: readonly string[];
}

/** Newer forecasts by generation id, for generations that are otherwise unchanged. */
export interface ForecastsChanged extends Positioned {
  readonly type: "forecasts";
  readonly forecasts: Readonly<Record<string, Forecast>>;
}

/** An event of `watchMany`. */
export type WatchEvent = GenerationChanged | CaughtUp | Reset | MissingGenerations | ForecastsChanged;
