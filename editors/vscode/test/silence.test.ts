import { describe, expect, it } from "vitest";

import { findSilence } from "../src/silence.js";

const place = { uri: "file:///a.py", languageId: "python" };
const noPauses = { untilMs: undefined, uris: new Set<string>() };
const wishes = { isEnabled: true, disabledLanguages: [] };

describe("where nothing is asked", () => {
  it("is nowhere by default", () => {
    expect(findSilence(place, noPauses, wishes, 0)).toBeUndefined();
  });

  it("is everywhere until a pause ends", () => {
    const pauses = { ...noPauses, untilMs: 90_000 };
    expect(findSilence(place, pauses, wishes, 0)).toBe("paused for 2 minutes");
    expect(findSilence(place, pauses, wishes, 60_000)).toBe("paused for a minute");
    expect(findSilence(place, pauses, wishes, 90_000)).toBeUndefined();
  });

  it("is a file, a language, or the setting", () => {
    const inFile = { ...noPauses, uris: new Set([place.uri]) };
    expect(findSilence(place, inFile, wishes, 0)).toBe("paused in this file");
    expect(findSilence({ ...place, uri: "file:///b.py" }, inFile, wishes, 0)).toBeUndefined();
    const offInPython = { ...wishes, disabledLanguages: ["python"] };
    expect(findSilence(place, noPauses, offInPython, 0)).toBe("off in python files");
    const off = { ...wishes, isEnabled: false };
    expect(findSilence(place, noPauses, off, 0)).toContain("fimble.completion.enabled");
  });
});
