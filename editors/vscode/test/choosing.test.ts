import { describe, expect, it } from "vitest";

import { defaultAddress, parseAddress } from "../src/address.js";
import { EAGERNESS, isChosen, LENGTH } from "../src/dials.js";
import { findSource, planInstall } from "../src/installing.js";

describe("where windows meet", () => {
  it("is a socket or a port, in the server's own words", () => {
    expect(parseAddress("unix:/run/f.sock")?.target).toEqual({ path: "/run/f.sock" });
    expect(parseAddress("tcp:localhost:7777")?.target).toEqual({ host: "localhost", port: 7777 });
    expect(parseAddress("tcp:[::1]:7777")?.target).toEqual({ host: "::1", port: 7777 });
    expect(parseAddress("tcp::7777")?.target).toEqual({ host: "127.0.0.1", port: 7777 });
    for (const words of ["", "unix:", "tcp:7777", "tcp:a:0", "tcp:a:99999", "/run/f.sock"]) {
      expect(parseAddress(words)).toBeUndefined();
    }
  });

  it("is each user's own", () => {
    expect(defaultAddress("linux", "/run/user/7", "/tmp", 7)).toBe(
      "unix:/run/user/7/fimble-7.sock",
    );
    expect(defaultAddress("darwin", undefined, "/tmp", 7)).toBe("unix:/tmp/fimble-7.sock");
    expect(parseAddress(defaultAddress("win32", undefined, "/tmp", -1))).toBeDefined();
  });
});

describe("a dial", () => {
  it("knows which of its choices holds", () => {
    const values: Record<string, unknown> = { "completion.eagerness": 0.5 };
    const chosen = EAGERNESS.filter((each) => isChosen(each, (name) => values[name]));
    expect(chosen.map((each) => each.label)).toEqual(["Balanced"]);
    expect(LENGTH.some((each) => isChosen(each, () => 7))).toBe(false);
  });
});

describe("installing", () => {
  it("looks at Python, makes an environment, and installs into it", () => {
    const steps = planInstall({
      python: "python3",
      folder: "/e",
      environmentPython: "/e/bin/python",
      packageName: "/x/fimble-0.1.0.tar.gz",
      pipArguments: ["--no-cache-dir"],
    });
    expect(steps.map((step) => step.program)).toEqual(["python3", "python3", "/e/bin/python"]);
    expect(steps[2]?.arguments.slice(-2)).toEqual(["--no-cache-dir", "/x/fimble-0.1.0.tar.gz"]);
  });

  it("prefers the archive that came along", () => {
    expect(findSource(["README", "fimble-0.1.0.tar.gz"])).toMatch(/^fimble-/);
    expect(findSource(["other-1.tar.gz"])).toBeUndefined();
  });
});
