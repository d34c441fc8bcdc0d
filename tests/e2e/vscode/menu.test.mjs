// Everything that a click on the status bar offers, driven in a real VS Code over a server that
// answers by a script: each entry's doing is read off the screen, the user's settings on disk, or
// what the server was told.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { findLack, RealEditor } from "./real_editor.mjs";
import { until } from "./until.mjs";

const ASKED = "textDocument/inlineCompletion";
const TOLD = "workspace/didChangeConfiguration";
const WHOLE = "value = one(1)";

const lack = findLack();

// One window for all: a menu is opened where one works, and opening a window takes the longest.
describe("the menu", { skip: lack ?? false, timeout: 600_000 }, () => {
  let editor;
  let window;

  before(async () => {
    editor = await RealEditor.start();
    const program = editor.writeScriptedProgram({ texts: [WHOLE] });
    editor.writeSettings({ "fimble.editor.command": [program] });
    window = await editor.openWindow({ name: "page.py", text: "" });
    await window.untilStatus("ready");
  });

  after(async () => {
    await window?.keepPicture("menu");
    await editor?.close();
  });

  async function choose(...entries) {
    await window.openMenu();
    for (const entry of entries) {
      await window.choose(entry);
    }
  }

  /** What the server was told last of a setting under `completion`. */
  const told = (name) => editor.heard(TOLD).at(-1)?.settings.fimble.completion[name];

  /** The arguments of a command that the server was told. */
  const commands = (name) =>
    editor
      .heard("workspace/executeCommand")
      .filter(({ command }) => command === name)
      .map((params) => params.arguments[0]);

  it("pauses one file, and asks nothing there until it is resumed", async () => {
    await choose("Pause in this file");
    await window.untilStatus("paused");
    await until("the server to hear of it", () => commands("fimble.snooze").length === 1);
    const [{ uri, ...pause }] = commands("fimble.snooze");
    assert.deepEqual(pause, { scope: "file", shared: true });
    assert.ok(uri.endsWith("/page.py"), uri);
    await window.focusEnd();
    await window.type("val");
    assert.equal(editor.heard(ASKED).length, 0);
    await choose("Resume");
    await window.untilStatus("ready");
    await until("the server to hear of it", () => commands("fimble.wake").length === 1);
    await window.focusEnd();
    await window.type("ue");
    assert.equal(await window.untilGhostText(), WHOLE.slice("value".length));
  });

  it("turns a language off and on, and keeps that in the user's settings", async () => {
    const keeps = (languages) =>
      until("the settings to be written", () =>
        isDeepStrictEqual(editor.readSettings()["fimble.completion.disabled_languages"], languages),
      );
    await choose("Turn off in python files");
    await window.untilStatus("paused");
    await keeps(["python"]);
    await choose("Turn on in python files");
    await window.untilStatus("ready");
    await keeps([]);
  });

  for (const [entry, choice, setting, value] of [
    ["How eager", "Eager", "eagerness", 0.8],
    ["How long", "Line", "length", "line"],
  ]) {
    it(`sets "${entry}", for the server and for next time`, async () => {
      await choose(entry, choice);
      await until("the server to hear of it", () => told(setting) === value);
      await until(
        "the settings to be written",
        () => editor.readSettings()[`fimble.completion.${setting}`] === value,
      );
    });
  }

  it("lists the models that ship, and takes one", async () => {
    await choose("Which model", "fimble-nano");
    await until("the setting", () => editor.readSettings()["fimble.model.name"] === "fimble-nano");
  });

  it("starts the server again, which is told what is paused", async () => {
    await choose("Pause for 10 minutes");
    await window.untilStatus("paused");
    const nTold = () => commands("fimble.snooze").filter(({ scope }) => scope === "session").length;
    await until("the server to hear of it", () => nTold() === 1);
    const nStarts = editor.heard("initialize").length;
    await choose("Restart the server");
    await until("another server", () => editor.heard("initialize").length > nStarts);
    await until("it to hear of the pause", () => nTold() === 2);
    const told = commands("fimble.snooze").filter(({ scope }) => scope === "session");
    const { minutes } = told.at(-1);
    assert.ok(minutes > 1 && minutes <= 10, String(minutes));
    await choose("Resume");
    await window.untilStatus("ready");
  });

  it("shows the log, and the settings", async () => {
    await choose("Show the log");
    await window.page.locator("[aria-label='Fimble - Output']").waitFor();
    await choose("Settings");
    await window.page.locator(".settings-editor").first().waitFor();
  });
});
