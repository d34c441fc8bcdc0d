import path from "node:path";

import { describe, expect, it } from "vitest";

import { chooseLaunch, expandHome, pathCandidates } from "../src/launch.js";

const none = { configured: [], onPath: undefined, inEnvironment: undefined };

describe("which program serves", () => {
  it("is the configured one before all others", () => {
    const launch = chooseLaunch({
      configured: ["/p/python", "-P", "-m", "fimble_server"],
      onPath: "/bin/fimble",
      inEnvironment: "/e/fimble",
    });
    expect(launch).toEqual({
      program: "/p/python",
      before: ["-P", "-m", "fimble_server"],
      origin: "setting",
    });
  });

  it("is the one on PATH before the installed one", () => {
    const both = { ...none, onPath: "/bin/fimble", inEnvironment: "/e/fimble" };
    expect(chooseLaunch(both)?.origin).toBe("path");
    expect(chooseLaunch({ ...none, inEnvironment: "/e/fimble" })?.program).toBe("/e/fimble");
  });

  it("is none where there is none", () => {
    expect(chooseLaunch(none)).toBeUndefined();
    expect(chooseLaunch({ ...none, configured: [""] })).toBeUndefined();
  });

  it("may be named from the home folder", () => {
    expect(expandHome("~/bin/fimble", "/home/me")).toBe(path.join("/home/me", "bin/fimble"));
    expect(expandHome("/a~/b", "/home/me")).toBe("/a~/b");
  });

  it("is looked for in PATH's order, under the platform's names", () => {
    expect(pathCandidates("fimble", "linux", "/a::/b")).toEqual(["/a/fimble", "/b/fimble"]);
    expect(pathCandidates("fimble", "win32", "a;b")).toHaveLength(4);
  });
});
