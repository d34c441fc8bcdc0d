import { describe, expect, it } from "vitest";

import { type Circumstances, planStatus, type StatusNote } from "../src/status.js";

const ready: StatusNote = { kind: "Normal", busy: false, message: "fimble-nano on cpu (int8)" };
const calm: Circumstances = {
  phase: { name: "running" },
  note: ready,
  wasReady: true,
  loadedPercent: undefined,
  silence: undefined,
};

function stateOf(change: Partial<Circumstances>): string {
  return planStatus({ ...calm, ...change }).state;
}

describe("the status bar", () => {
  it("says what is ready", () => {
    expect(planStatus(calm).tooltip).toBe("Ready: fimble-nano on cpu (int8)");
    expect(stateOf({})).toBe("ready");
  });

  it("tells starting, loading and thinking apart", () => {
    expect(stateOf({ phase: { name: "starting" }, note: undefined })).toBe("starting");
    expect(stateOf({ note: { ...ready, busy: true }, wasReady: false })).toBe("loading");
    expect(stateOf({ note: { ...ready, busy: true } })).toBe("thinking");
    expect(planStatus({ ...calm, loadedPercent: 40 }).text).toContain("40%");
  });

  it("says what is wrong before anything else", () => {
    const silence = "paused in this file";
    expect(stateOf({ silence })).toBe("paused");
    expect(stateOf({ silence, note: { ...ready, kind: "Warning" } })).toBe("warning");
    expect(stateOf({ silence, note: { ...ready, kind: "Error" } })).toBe("error");
    expect(stateOf({ phase: { name: "stopped", why: "It is gone." } })).toBe("error");
    expect(planStatus({ ...calm, phase: { name: "restarting", delayMs: 500 } }).tooltip).toBe(
      "The server ended. It starts again in 0.5 s.",
    );
  });
});
