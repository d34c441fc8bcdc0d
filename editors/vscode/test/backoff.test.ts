import { expect, it } from "vitest";

import { planRestart } from "../src/backoff.js";

function endings(upMs: number): (number | undefined)[] {
  const delays: (number | undefined)[] = [];
  let nFailuresBefore = 0;
  for (let each = 0; each < 7; each += 1) {
    const plan = planRestart({ nFailuresBefore, upMs });
    nFailuresBefore = plan.nFailures;
    delays.push(plan.delayMs);
  }
  return delays;
}

it("waits twice as long each time, five times at most", () => {
  expect(endings(100)).toEqual([500, 1000, 2000, 4000, 8000, undefined, undefined]);
});

it("forgets the failures of a server that has served for long", () => {
  expect(endings(60_000)).toEqual(Array.from({ length: 7 }, () => 500));
});
