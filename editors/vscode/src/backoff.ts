/** When a server that ended unasked is started again. Pure. */

const FIRST_DELAY_MS = 500;
const MOST_FAILURES = 5;
/** Guessed: who served this long did not die of its start. */
const LONG_ENOUGH_MS = 60_000;

export interface Ending {
  /** How many endings in a row came before this one. */
  readonly nFailuresBefore: number;
  /** How long the server was up, from its answer to `initialize`. */
  readonly upMs: number;
}

export interface RestartPlan {
  readonly nFailures: number;
  /** Undefined where we give up and ask the user. */
  readonly delayMs: number | undefined;
}

/** Half a second at first, then twice as long each time, five times at most. */
export function planRestart(ending: Ending): RestartPlan {
  const nFailures = ending.upMs >= LONG_ENOUGH_MS ? 1 : ending.nFailuresBefore + 1;
  if (nFailures > MOST_FAILURES) {
    return { nFailures, delayMs: undefined };
  }
  return { nFailures, delayMs: FIRST_DELAY_MS * 2 ** (nFailures - 1) };
}
