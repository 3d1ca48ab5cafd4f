import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { SYSTEM_TIMERS } from "#dist/timers.js";

test("a sleep ends on time, and releases its signal", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { signal } = new AbortController();
  let awake = false;
  const sleep = SYSTEM_TIMERS.sleep(200, signal).then(() => {
    awake = true;
  });
  t.mock.timers.tick(199);
  await Promise.resolve();
  assert.equal(awake, false);
  t.mock.timers.tick(1);
  await sleep;
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("an abort ends a sleep with its reason, even before it began", async () => {
  const controller = new AbortController();
  const hours = 3_600_000;
  const sleep = SYSTEM_TIMERS.sleep(hours, controller.signal);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(sleep, (error) => error === reason);
  await assert.rejects(SYSTEM_TIMERS.sleep(hours, controller.signal), (error) => error === reason);
});

test("a canceled alarm is not called", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const called: string[] = [];
  const calledOff = SYSTEM_TIMERS.after(10, () => called.push("first"));
  SYSTEM_TIMERS.after(10, () => called.push("second"));
  calledOff();
  t.mock.timers.tick(10);
  assert.deepEqual(called, ["second"]);
});

test("the clock is monotonic, and random numbers are between 0 and 1", () => {
  const first = SYSTEM_TIMERS.now();
  assert(SYSTEM_TIMERS.now() >= first);
  const chance = SYSTEM_TIMERS.random();
  assert(chance >= 0 && chance <= 1);
});
