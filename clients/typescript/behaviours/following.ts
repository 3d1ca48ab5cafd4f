/** Reading, waiting and watching, also over cut connections and restarts of the gateway. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import * as hfgateway from "@hfgateway/client";
import { type Generation, soul, stateName, type WatchEvent } from "@hfgateway/client";
import { type Behaviours, failing, nth, PATIENCE_MS, rest, type Stage, unique } from "./stage.js";

const is = (state: hfgateway.StateName) => (generation: Generation) => stateName(generation) === state;

export const FOLLOWING: Behaviours = {
  async get(stage) {
    const prompt = unique("a fox");
    const { generation } = await stage.queued(prompt);
    const found = await stage.client.get(generation.id);
    assert.equal(found.id, generation.id);
    assert.equal(found.input?.kind.case === "soul" && found.input.kind.value.prompt, prompt);
  },

  async get_unknown(stage) {
    await failing(stage.client.get(randomUUID()), hfgateway.NotFound, "NOT_FOUND");
  },

  async adopt(stage) {
    const prompt = unique("a fox");
    const requestId = String((await stage.control("elsewhere", { prompt })).request_id);
    const first = await stage.client.adopt(requestId, { labels: { from: "elsewhere" } });
    const again = await stage.client.adopt(requestId);
    const { id } = first.generation!;
    assert.deepEqual([again.generation?.id, first.replayed, again.replayed], [id, false, true]);
    await stage.advance(60);
    const done = await stage.client.wait(id, { timeoutMs: PATIENCE_MS });
    assert.deepEqual([stateName(done), done.adopted, done.labels.from], ["COMPLETED", true, "elsewhere"]);
    const found = await rest(stage.client.list({ upstreamRequestIds: [requestId] }));
    assert.deepEqual(
      found.map((generation) => generation.id),
      [id],
    );
    await stage.charged(prompt, 1, 1);
  },

  async adopt_unknown(stage) {
    await failing(stage.client.adopt(randomUUID(), { apiVersion: "v1" }), hfgateway.NotFound, "NOT_FOUND");
  },

  async list_pages(stage) {
    const labels = { run: unique("five") };
    const made: string[] = [];
    for (let count = 0; count < 5; count++) made.push((await stage.queued(unique("a fox"), { labels })).generation.id);
    const found = await rest(stage.client.list({ labels, pageSize: 2 }));
    assert.deepEqual(
      found.map((generation) => generation.id),
      made.reverse(),
    );
  },

  async wait(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const early = await stage.client.wait(id, { timeoutMs: 200 });
    assert.deepEqual([early.id, early.done], [id, false]);
    const waiting = stage.client.wait(id, { timeoutMs: PATIENCE_MS });
    await stage.advance(60);
    const late = await waiting;
    assert.deepEqual([stateName(late), late.done], ["COMPLETED", true]);
  },

  watch_to_end: (stage) => watched(stage, async () => {}),
  watch_resumes_after_cut: (stage) => watched(stage, () => stage.cut()),
  watch_resumes_after_restart: (stage) => watched(stage, () => stage.restart()),

  async watch_stops(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    for await (const generation of stage.client.watch(id)) if (is("QUEUED")(generation)) break;

    const controller = new AbortController();
    const watch = stage.client.watch(id, { signal: controller.signal });
    await nth(watch, is("QUEUED"), []);
    const following = rest(watch);
    controller.abort();
    await assert.rejects(following, { name: "AbortError" });

    await stage.advance(60);
    await stage.until(id, "COMPLETED");
  },

  watch_many: (stage) => watchedTwo(stage, [randomUUID()], async () => {}),
  watch_many_resumes_after_cut: (stage) => watchedTwo(stage, [], () => stage.cut()),

  async watch_many_resume_token(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const first: WatchEvent[] = [];
    const watch = stage.client.watchMany({ ids: [id] });
    const { resumeToken } = await nth(watch, (event) => event.type === "caughtUp", first);
    await watch.return();
    assert(resumeToken);
    await stage.advance(60);
    await stage.until(id, "COMPLETED");

    const second = changesOf(await rest(stage.client.watchMany({ ids: [id], resumeToken })), id);
    ascending(second, changesOf(first, id).at(-1)!.revision + 1);
    assert.equal(stateName(second.at(-1)!), "COMPLETED");
  },

  async generate(stage) {
    const prompt = unique("a fox");
    const { result, seen } = await generated(stage, prompt);
    // A newer forecast repeats a revision.
    ascending(
      seen.filter(({ revision }, index) => revision !== seen[index - 1]?.revision),
      1,
    );
    assert.equal(result, seen.at(-1));
    assert.equal(stateName(seen.at(-1)!), "COMPLETED");
    assert(seen.at(-1)!.outputs[0]?.url);
    await stage.charged(prompt, 1, 1);
  },

  async generate_failed(stage) {
    const prompt = unique("a fox [nsfw]");
    const { result, seen } = await generated(stage, prompt);
    if (!(result instanceof hfgateway.GenerationModerated)) throw result;
    assert.equal(result.reason, "MODERATED");
    assert.deepEqual([result.generation.id, stateName(result.generation)], [seen[0]?.id, "NSFW"]);
    await stage.charged(prompt, 0, 1);
  },
};

/** Watches a generation to its end, and calls `trouble` before each of the last two steps. */
async function watched(stage: Stage, trouble: () => Promise<void>): Promise<void> {
  const { id } = (await stage.queued(unique("a fox"))).generation;
  const seen: Generation[] = [];
  const watch = stage.client.watch(id, { timeoutMs: PATIENCE_MS });
  await nth(watch, is("QUEUED"), seen);
  await trouble();
  await stage.advance(1.5);
  await nth(watch, is("IN_PROGRESS"), seen);
  await trouble();
  await stage.advance(60);
  await rest(watch, seen);
  ascending(seen, 1);
  assert.equal(stateName(seen.at(-1)!), "COMPLETED");
  assert(seen.at(-1)!.outputs[0]?.url);
}

/** Does the same with two generations on one stream. */
async function watchedTwo(stage: Stage, unknown: string[], trouble: () => Promise<void>): Promise<void> {
  const made = [await stage.queued(unique("a fox")), await stage.queued(unique("a fox"))];
  const ids = made.map((submission) => submission.generation.id);
  const before = new Map<string, number>();
  for (const id of ids) before.set(id, (await stage.client.get(id)).revision);
  const seen: WatchEvent[] = [];
  const watch = stage.client.watchMany({ ids: [...ids, ...unknown], timeoutMs: PATIENCE_MS });
  await nth(watch, (event) => event.type === "caughtUp", seen);
  await trouble();
  await stage.advance(1.5);
  for (const _ of ids)
    await nth(watch, (event) => event.type === "changed" && is("IN_PROGRESS")(event.generation), seen);
  await trouble();
  await stage.advance(60);
  await rest(watch, seen);

  assert.equal(seen.filter((event) => event.type === "caughtUp").length, 1);
  const missing = seen.flatMap((event) => (event.type === "missing" ? event.ids : []));
  assert.deepEqual(missing, unknown);
  for (const id of ids) {
    const changes = changesOf(seen, id);
    ascending(changes, before.get(id)!);
    assert.equal(stateName(changes.at(-1)!), "COMPLETED");
  }
}

/** Returns the result or the error of `generate`, and the progress that it reported. */
async function generated(stage: Stage, prompt: string): Promise<{ result: unknown; seen: Generation[] }> {
  const seen: Generation[] = [];
  let queued = () => {};
  const isQueued = new Promise<void>((resolve) => {
    queued = resolve;
  });
  const onProgress = (generation: Generation) => {
    seen.push(generation);
    if (is("QUEUED")(generation)) queued();
  };
  const generating = stage.client.generate(soul(prompt), { onProgress, timeoutMs: PATIENCE_MS });
  const result = generating.catch((error: unknown) => error);
  await Promise.race([isQueued, result]);
  await stage.advance(60);
  return { result: await result, seen };
}

function changesOf(events: WatchEvent[], id: string): Generation[] {
  const changes = events.flatMap((event) => (event.type === "changed" ? [event.generation] : []));
  return changes.filter((generation) => generation.id === id);
}

/** Checks that there is every revision from the first, once and in order. */
function ascending(generations: Generation[], first: number): void {
  assert.deepEqual(
    generations.map((generation) => generation.revision),
    generations.map((_, index) => first + index),
  );
}
