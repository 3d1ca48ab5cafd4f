/** Shows the history of a generation: every change with its cause, and every call to Higgsfield with its outcome. */

import {
  durationMs,
  type ExplainGenerationResponse,
  type GenerationEvent,
  GenerationState as State,
  timestampDate,
} from "@hfgateway/client/browser";
import { element, part, wording } from "./view.js";

export function showTimeline(response: ExplainGenerationResponse): void {
  const dialog = part("timeline") as HTMLDialogElement;
  part("timeline-id").textContent = response.generation?.id ?? "";
  part("timeline-events").replaceChildren(...response.events.map(row));
  if (!dialog.open) dialog.showModal();
}

function row(event: GenerationEvent): HTMLElement {
  const line = element("tr", event.revision ? "change" : "call");
  const call = event.upstreamCall;
  const times = call && call.times > 1 ? ` × ${call.times}` : "";
  const took = call?.duration ? ` in ${Math.round(durationMs(call.duration))} ms` : "";
  const answer = call && (call.httpStatus ? `HTTP ${call.httpStatus}` : "no answer");
  const cells = [
    event.time ? timestampDate(event.time).toISOString().slice(11, 23) : "",
    event.state === State.UNSPECIFIED ? "" : wording(event.state),
    event.description,
    call ? `${call.method} ${call.path}: ${answer}${took}${times}` : "",
    call?.correlationId ?? "",
  ];
  line.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return line;
}
