// Waiting for what must come, without guessing how long it takes.

import { setTimeout as delay } from "node:timers/promises";

/** Wait until `look` gives something true, and give it back. */
export async function until(what, look, timeoutMs = 30_000) {
  const endMs = Date.now() + timeoutMs;
  let last;
  while (Date.now() < endMs) {
    last = await look();
    if (last) {
      return last;
    }
    await delay(25);
  }
  throw new Error(`Waited ${timeoutMs / 1000} s for ${what}; last was ${JSON.stringify(last)}`);
}
