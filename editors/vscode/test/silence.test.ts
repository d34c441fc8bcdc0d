import { describe, expect, it } from "vitest";

import { findSilence, type Pause, pausesFrom, toArgument } from "../src/silence.js";

const place = { uri: "file:///a%20b.py", languageId: "python" };
const wishes = { isEnabled: true, disabledLanguages: [] };
const everywhere: Pause = { scope: "session", name: "", untilMs: 90_000 };
const inFile: Pause = { scope: "file", name: "file:///a b.py", untilMs: undefined };

describe("where nothing is asked", () => {
  it("is nowhere by default", () => {
    expect(findSilence(place, [], wishes, 0)).toBeUndefined();
  });

  it("is everywhere until a pause ends", () => {
    expect(findSilence(place, [everywhere], wishes, 0)).toBe("paused for 2 minutes");
    expect(findSilence(place, [everywhere], wishes, 60_000)).toBe("paused for a minute");
    expect(findSilence(place, [everywhere], wishes, 90_000)).toBeUndefined();
  });

  it("is a file, a language, or the setting", () => {
    expect(findSilence(place, [inFile], wishes, 0)).toBe("paused in this file");
    expect(findSilence({ ...place, uri: "file:///b.py" }, [inFile], wishes, 0)).toBeUndefined();
    const inPython: Pause = { scope: "language", name: "python", untilMs: undefined };
    expect(findSilence(place, [inPython], wishes, 0)).toBe("paused in python files");
    const offInPython = { ...wishes, disabledLanguages: ["python"] };
    expect(findSilence(place, [], offInPython, 0)).toBe("off in python files");
    const off = { ...wishes, isEnabled: false };
    expect(findSilence(place, [], off, 0)).toContain("fimble.completion.enabled");
  });

  it("is what the server tells, and the server is told the same again", () => {
    const told = [
      { scope: "session", name: "", seconds_left: 60 },
      { scope: "file", name: "file:///a b.py", seconds_left: null },
      { scope: "language", name: "go", seconds_left: null },
    ] as const;
    const pauses = pausesFrom(told, 1000);
    expect(pauses.map((each) => toArgument(each, 1000))).toEqual([
      { scope: "session", minutes: 1, shared: true },
      { scope: "file", uri: "file:///a b.py", shared: true },
      { scope: "language", languageId: "go", shared: true },
    ]);
  });
});
