/** Clock, sleep and randomness, which tests replace so that hours pass without waiting. */

/** Clock, sleep and randomness of a client. */
export interface Timers {
  /** The time in milliseconds, on a monotonic clock. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason if it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back after `ms`, unless the returned function is called first. */
  after(ms: number, callback: () => void): () => void;
  /** Returns a random number from 0 to 1. */
  random(): number;
}

function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

/** Timers of the system. */
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
