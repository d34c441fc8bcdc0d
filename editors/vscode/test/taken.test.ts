import { describe, expect, it } from "vitest";

import { findTaken } from "../src/taken.js";

describe("how much of a suggestion was taken", () => {
  it("counts from the suggestion's start, in UTF-16 units", () => {
    const taken = findTaken(["😀 = a\nb"], "😀 =");
    expect(taken).toEqual({ index: 0, acceptedLength: 4, isWhole: false });
  });

  it("counts a line break as the suggestion writes it, whatever the file does", () => {
    expect(findTaken(["a\nbc"], "a\r\nb")?.acceptedLength).toBe(3);
    expect(findTaken(["a\r\nbc"], "a\nb")?.acceptedLength).toBe(4);
    expect(findTaken(["a\r\nbc"], "a\r\nb")?.acceptedLength).toBe(4);
  });

  it("knows the whole", () => {
    expect(findTaken(["ab\nc"], "ab\r\nc")).toEqual({
      index: 0,
      acceptedLength: 4,
      isWhole: true,
    });
  });

  it("finds the candidate that begins with what is there", () => {
    expect(findTaken(["left", "right"], "ri")?.index).toBe(1);
  });

  it("says nothing of text that came from elsewhere", () => {
    expect(findTaken(["left"], "up")).toBeUndefined();
    expect(findTaken(["ab"], "abc")).toBeUndefined();
    expect(findTaken([], "a")).toBeUndefined();
  });
});
