/** What the URL holds: the filters, and the generation whose details are open. No credential and no input. */

import type { Filters } from "./filters.js";

export interface Place extends Filters {
  /** The id of the generation whose details are open; "" for none. */
  readonly show: string;
}

const NAMES = ["q", "state", "model", "label", "show"] as const;

export function readPlace(): Place {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""])) as unknown as Place;
}

/** Writes the place to the address bar, as a new entry of the history or in place of the current one. */
export function writePlace(place: Place, replace: boolean): void {
  const query = new URLSearchParams(NAMES.filter((name) => place[name]).map((name) => [name, place[name]]));
  const url = location.pathname + (query.size ? `?${query}` : "");
  if (replace) history.replaceState(history.state, "", url);
  else history.pushState({ inside: true }, "", url);
}

/** Whether the entry before this one in the history is a place of this page. */
export function cameFromInside(): boolean {
  return Boolean((history.state as { inside?: boolean } | null)?.inside);
}
