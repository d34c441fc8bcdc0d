/** Where Fimble keeps silent, and why, in words for its user. Pure. */

/** One silence as the server tells of it, but for the clock. */
export interface Pause {
  readonly scope: "session" | "file" | "language";
  /** The file's URI without escapes, or the language; empty for the session. */
  readonly name: string;
  /** Milliseconds of the clock that `nowMs` reads; undefined where it lasts until it is lifted. */
  readonly untilMs: number | undefined;
}

/** As `fimble/status` and `fimble/didChangeSilences` list them. */
export interface ToldSilence {
  readonly scope: Pause["scope"];
  readonly name: string;
  readonly seconds_left: number | null;
}

export function pausesFrom(told: readonly ToldSilence[], nowMs: number): Pause[] {
  return told.map(({ scope, name, seconds_left: left }) => ({
    scope,
    name,
    untilMs: left === null ? undefined : nowMs + left * 1000,
  }));
}

/** The argument of `fimble.snooze` or `fimble.wake` for a pause, meant for all of the windows. */
export function toArgument({ scope, name, untilMs }: Pause, nowMs: number): object {
  return {
    scope,
    ...(scope === "file" ? { uri: name } : {}),
    ...(scope === "language" ? { languageId: name } : {}),
    ...(untilMs === undefined ? {} : { minutes: Math.max(untilMs - nowMs, 1) / 60_000 }),
    shared: true,
  };
}

export function isRunning(pause: Pause, nowMs: number): boolean {
  return pause.untilMs === undefined || nowMs < pause.untilMs;
}

/** Whether a pause is about a place. */
export function covers({ scope, name }: Pause, place: Place): boolean {
  const names = { session: "", file: nameOf(place.uri), language: place.languageId };
  return names[scope] === name;
}

/** A file as the server names it: its URI without escapes. */
export function nameOf(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}

export interface Place {
  readonly uri: string;
  readonly languageId: string;
}

export interface Wishes {
  readonly isEnabled: boolean;
  readonly disabledLanguages: readonly string[];
}

/** Why nothing is asked for a place now; undefined where it is asked. */
export function findSilence(
  place: Place,
  pauses: readonly Pause[],
  wishes: Wishes,
  nowMs: number,
): string | undefined {
  if (!wishes.isEnabled) {
    return "off by the setting fimble.completion.enabled";
  }
  const pause = pauses.find((each) => isRunning(each, nowMs) && covers(each, place));
  if (pause !== undefined) {
    return describePause(pause, nowMs);
  }
  if (wishes.disabledLanguages.includes(place.languageId)) {
    return `off in ${place.languageId} files`;
  }
  return undefined;
}

function describePause({ scope, name, untilMs }: Pause, nowMs: number): string {
  const where = { session: "", file: " in this file", language: ` in ${name} files` }[scope];
  const howLong = untilMs === undefined ? "" : ` for ${describeMinutes(untilMs - nowMs)}`;
  return `paused${where}${howLong}`;
}

function describeMinutes(durationMs: number): string {
  const nMinutes = Math.ceil(durationMs / 60_000);
  return nMinutes === 1 ? "a minute" : `${nMinutes} minutes`;
}
