import { describe, expect, it } from "vitest";

import { noteDiagnostics } from "../src/diagnosing.js";

const complaint = (line: number, message: string) => ({
  range: { start: { line, character: 2 }, end: { line, character: 5 } },
  message,
  severity: 1,
  source: "a checker",
});

describe("what the server hears of other tools' complaints", () => {
  it("is where they stand and what they say, and nothing else", () => {
    expect(noteDiagnostics("file:///a.py", [complaint(3, "no such name")])).toEqual({
      uri: "file:///a.py",
      diagnostics: [
        {
          range: { start: { line: 3, character: 2 }, end: { line: 3, character: 5 } },
          message: "no such name",
        },
      ],
    });
  });

  it("is an empty list where all are mended", () => {
    expect(noteDiagnostics("file:///a.py", []).diagnostics).toEqual([]);
  });

  it("is bounded", () => {
    const many = Array.from({ length: 500 }, (_, line) => complaint(line, "long"));
    expect(noteDiagnostics("file:///a.py", many).diagnostics).toHaveLength(100);
  });
});
