/** Time and chance as values, so that a test has hours pass without waiting for them. */

export interface Timers {
  /** Milliseconds of a clock that never steps back. */
  now(): number;
  /** Resolves after so long; rejects with the signal's reason when that is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back after so long, unless what it returns was called first. */
  after(ms: number, callback: () => void): () => void;
  /** From 0 to 1. */
  random(): number;
}

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

export const SYSTEM_TIMERS: Timers = {
  now: () => performance.now(),
  after,
  random: Math.random,
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const awake = after(ms, () => {
        signal?.removeEventListener("abort", interrupted);
        resolve();
      });
      function interrupted() {
        awake();
        reject(signal?.reason);
      }
      signal?.addEventListener("abort", interrupted, { once: true });
    }),
};
