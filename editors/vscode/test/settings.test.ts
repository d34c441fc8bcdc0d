import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { collectSettings, type Configuration } from "../src/settings.js";

const DEFAULTS: Record<string, unknown> = {
  "completion.eagerness": 0.5,
  "completion.menu": false,
  "model.name": "fimble-nano",
  "editor.command": [],
};

/** A configuration as the editor's: defaults, and what the user set over them. */
function configurationOf(set: Record<string, unknown>): Configuration {
  const all = { ...DEFAULTS, ...set };
  return {
    get: (key) => {
      const prefix = `${key}.`;
      const inside = Object.entries(all).filter(([name]) => name.startsWith(prefix));
      return inside.length > 0
        ? Object.fromEntries(inside.map(([name, value]) => [name.slice(prefix.length), value]))
        : all[key];
    },
    inspect: (key) => ({ defaultValue: DEFAULTS[key], globalValue: set[key] }),
  };
}

/** Settings in the manifest, without "fimble.". */
function readSettingNames(): string[] {
  const text = readFileSync("package.json", "utf8");
  const manifest = JSON.parse(text) as {
    contributes: { configuration: { properties: Record<string, unknown> }[] };
  };
  return manifest.contributes.configuration
    .flatMap(({ properties }) => Object.keys(properties))
    .map((name) => name.replace(/^fimble\./, ""));
}

describe("what the server is told", () => {
  it("is nothing of the defaults, so that the settings file counts", () => {
    expect(collectSettings(configurationOf({}))).toEqual({ completion: { menu: false } });
  });

  it("is what the user set, known or not, and nothing of the extension's own", () => {
    const set = {
      "completion.eagerness": 7,
      "completion.eagernes": 1,
      "editor.command": ["fimble"],
    };
    expect(collectSettings(configurationOf(set))).toEqual({
      completion: { menu: false, eagerness: 7, eagernes: 1 },
    });
  });

  it("holds every setting of the manifest that is not the extension's own", () => {
    const set = Object.fromEntries(readSettingNames().map((name) => [name, "set"]));
    const told = Object.entries(collectSettings(configurationOf(set))).flatMap(
      ([section, values]) => Object.keys(values).map((name) => `${section}.${name}`),
    );
    const own = (name: string): boolean => name.startsWith("editor.");
    expect(told.sort()).toEqual(
      Object.keys(set)
        .filter((name) => !own(name))
        .sort(),
    );
  });

  it("lets the user have the menu", () => {
    const tree = collectSettings(configurationOf({ "completion.menu": true }));
    expect(tree["completion"]).toEqual({ menu: true });
  });

  it("unsays what was told at the start and is set no more", () => {
    const told = collectSettings(configurationOf({ "model.name": "/a/model" }));
    expect(collectSettings(configurationOf({}), told)["model"]).toEqual({ name: "fimble-nano" });
  });
});
