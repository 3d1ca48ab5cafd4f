/** What `watchMany` yields: small values, told apart by `type`. */

import type { Forecast, Generation } from "./gen/hfgateway/v1/generation_pb.js";

interface Told {
  /**
   * Hand it to a later `watchMany` with the same filter, to go on from here. It may tell once more what was told just
   * before it, and leaves nothing out. "" until there is one.
   */
  readonly resumeToken: string;
}

/** A generation as it is now: at first its present state, then every change. */
export interface GenerationChanged extends Told {
  readonly type: "changed";
  readonly generation: Generation;
}

/** All that had happened before has been told; what follows is news. Once, and once more after each reset. */
export interface CaughtUp extends Told {
  readonly type: "caughtUp";
}

/** Changes are missing: forget what you hold (or read it again). Everything is told anew from here. */
export interface Reset extends Told {
  readonly type: "reset";
}

/** Of the ids asked for, those that do not exist. */
export interface MissingGenerations extends Told {
  readonly type: "missing";
  readonly ids: readonly string[];
}

/** Newer forecasts, by generation id, of generations that have not changed otherwise. */
export interface ForecastsChanged extends Told {
  readonly type: "forecasts";
  readonly forecasts: Readonly<Record<string, Forecast>>;
}

export type WatchEvent = GenerationChanged | CaughtUp | Reset | MissingGenerations | ForecastsChanged;
