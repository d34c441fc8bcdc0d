/** Where Fimble keeps silent, and why, in words for its user. Pure. */

export interface Pauses {
  /** Milliseconds of the clock that `nowMs` reads; undefined where nothing is paused. */
  readonly untilMs: number | undefined;
  readonly uris: ReadonlySet<string>;
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
  pauses: Pauses,
  wishes: Wishes,
  nowMs: number,
): string | undefined {
  if (!wishes.isEnabled) {
    return "off by the setting fimble.completion.enabled";
  }
  if (pauses.untilMs !== undefined && nowMs < pauses.untilMs) {
    return `paused for ${describeMinutes(pauses.untilMs - nowMs)}`;
  }
  if (pauses.uris.has(place.uri)) {
    return "paused in this file";
  }
  if (wishes.disabledLanguages.includes(place.languageId)) {
    return `off in ${place.languageId} files`;
  }
  return undefined;
}

function describeMinutes(durationMs: number): string {
  const nMinutes = Math.ceil(durationMs / 60_000);
  return nMinutes === 1 ? "a minute" : `${nMinutes} minutes`;
}
