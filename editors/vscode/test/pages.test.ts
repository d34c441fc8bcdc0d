import { describe, expect, it } from "vitest";

import { describeExplanation, type Explanation } from "../src/explanation.js";
import { describeFindings, describeNoReport, parseFindings } from "../src/findings.js";
import { parseShippedModels } from "../src/shippedModels.js";

const why: Explanation = {
  silence: null,
  mode: "acceleration",
  rule: "mid-line",
  source: "model",
  plan: { max_lines: 1, min_confidence: 0.25 },
  suggestions: [{ text: "a ``` b\nc", confidence: 0.5 }],
  n_shown: 1,
  hidden: [{ text: "z", reason: "not confident" }],
  tokens: { prompt: 9, reused: 8, generated: 7 },
  timing_ms: { total: 6.4, queue: 1, prefill: 2, decode: 3 },
  model: { name: "fimble-nano", device: "cpu", dtype: "int8" },
};

describe("why there is a suggestion", () => {
  it("names outcome, rule, cost, and both texts", () => {
    const page = describeExplanation(why, "a.py", undefined);
    expect(page).toContain("answered with 1 suggestion.");
    expect(page).toContain("by the rule `mid-line`");
    expect(page).toContain("at most 1 line, shown from confidence 0.25 on");
    expect(page).toContain("6 in all; 1 queue, 2 prefill, 3 decode");
    expect(page).toContain("Because: not confident");
    expect(page).toContain("````\na ``` b\nc\n````");
  });

  it("says why there is nothing", () => {
    const late = { ...why, n_shown: 0, hidden: [] };
    expect(describeExplanation(late, "a.py", undefined)).toContain("came too late");
    const held = { ...late, suggestions: [], hidden: why.hidden ?? [] };
    expect(describeExplanation(held, "a.py", undefined)).toContain("was held back");
    const silent = { silence: "the file is not open" };
    expect(describeExplanation(silent, "a.py", undefined)).toContain("the file is not open.");
    expect(describeExplanation(silent, "a.py", "paused in this file")).toContain("paused in");
    expect(describeExplanation({ silence: null }, "a.py", undefined)).toContain("Nothing was");
  });
});

describe("what the doctor found", () => {
  const finding = { name: "torch", ok: false, found: "not installed", to_do: "Install it." };

  it("is put as a list of findings and what to do", () => {
    const findings = parseFindings(JSON.stringify({ ok: false, findings: [finding] }));
    expect(findings).toEqual([finding]);
    const page = describeFindings(findings ?? [], "fimble check");
    expect(page).toContain("Something is wrong.");
    expect(page).toContain("✗ **torch**: not installed\n  - → Install it.");
    expect(describeFindings([{ ...finding, ok: true, to_do: "" }], "x")).toContain("All is well.");
  });

  it("is nothing where the program is no Fimble", () => {
    for (const output of ["", "[]", "{}", '{"findings": [{}]}', "null"]) {
      expect(parseFindings(output)).toBeUndefined();
    }
    expect(describeNoReport("x check", "no such file")).toContain("    no such file");
  });

  it("reads the models that ship", () => {
    expect(parseShippedModels('{"models": [{"name": "fimble-nano"}]}')).toEqual(["fimble-nano"]);
    expect(parseShippedModels("oh")).toEqual([]);
  });
});
