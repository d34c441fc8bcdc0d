// Fimble in a real VS Code: real server, shipped model, and the VSIX that users install.
//
//   .cache/vscode/node --test tests/e2e/vscode/*.test.mjs
//
// What the model writes is its own affair: these tests hold what is shown against what is saved.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";

import { findLack, isAlive, RealEditor } from "./real_editor.mjs";
import { PYTHON_TEXT, PYTHON_TYPED, SHOW_ALL, TYPESCRIPT_TEXT } from "./samples.mjs";
import { until } from "./until.mjs";

const lack = findLack();

describe("in the real editor", { skip: lack ?? false, timeout: 600_000 }, () => {
  let editor;
  let window;

  before(async () => {
    editor = await RealEditor.start();
  });

  after(() => editor?.close());

  afterEach((test) => window?.keepPicture(test.name));

  /** A new file over the real server. One window serves all tests that need no other. */
  async function open({ name = "shop.py", text = PYTHON_TEXT } = {}) {
    if (window === undefined) {
      editor.writeSettings(SHOW_ALL);
      window = await editor.openWindow({ name, text });
    } else {
      await window.openFile({ name, text });
    }
    await window.untilStatus("ready");
    await window.focusEnd();
  }

  async function openWindow(settings, state = "ready") {
    editor.writeSettings({ ...SHOW_ALL, ...settings });
    const opened = await editor.openWindow({ name: "shop.py", text: PYTHON_TEXT });
    await opened.untilStatus(state);
    await opened.focusEnd();
    return opened;
  }

  const nRequests = () => editor.serverLog().split("request=").length;
  const lastServer = () => editor.serverIds().at(-1);

  for (const { name, text, typed } of [
    { name: "shop.py", text: PYTHON_TEXT, typed: PYTHON_TYPED },
    { name: "shop.ts", text: TYPESCRIPT_TEXT, typed: "  return it" },
  ]) {
    it(`saves what was shown in ${name}`, async () => {
      await open({ name, text });
      await window.type(typed);
      const ghost = await window.untilGhostText();
      const before = await window.save();
      const nAccepted = editor.serverLog().split(" accepted=").length;
      await window.press("Tab");
      await window.untilTextChanges();
      assert.equal(await window.save(), before + ghost);
      await until(
        "the acceptance",
        () => editor.serverLog().split(" accepted=").length > nAccepted,
      );
    });
  }

  it("takes a word, and tells the server how much", async () => {
    await open();
    await window.type(PYTHON_TYPED);
    const ghost = await window.untilGhostText();
    const before = await window.save();
    await window.press("Control+ArrowRight");
    await window.untilTextChanges();
    const taken = (await window.save()).slice(before.length);
    assert.ok(taken !== "" && ghost.startsWith(taken), `${taken} of ${ghost}`);
  });

  it("takes line after line of what is shown, until all of it is there", async () => {
    await open();
    await window.type(PYTHON_TYPED);
    const ghost = await window.untilGhostText();
    const before = await window.save();
    let now = before;
    while (now.length < before.length + ghost.length) {
      await window.untilGhostText();
      await window.press("Control+Alt+ArrowRight");
      await window.untilTextChanges();
      now = await window.save();
      assert.ok((before + ghost).startsWith(now), now);
    }
    assert.equal(now, before + ghost);
  });

  it("pauses by the menu, asks nothing then, and resumes", async () => {
    await open();
    await window.openMenu();
    await window.choose("Pause for 10 minutes");
    await window.untilStatus("paused");
    const nBefore = nRequests();
    await window.focusEnd();
    await window.type(PYTHON_TYPED);
    assert.equal(await window.ghostText(), "");
    await window.openMenu();
    await window.choose("Resume");
    await window.untilStatus("ready");
    assert.equal(nRequests(), nBefore);
    await window.focusEnd();
    await window.type("e");
    await window.untilGhostText();
  });

  it("leaves the suggest list to those whose list it is", async () => {
    await open();
    editor.writeSettings({
      ...SHOW_ALL,
      "editor.quickSuggestions": "on",
      "editor.wordBasedSuggestions": "currentDocument",
    });
    await window.type("    total_p");
    const rows = window.page.locator(".suggest-widget.visible .monaco-list-row");
    await rows.first().waitFor();
    for (const label of await rows.allInnerTexts()) {
      assert.match(label.trim(), /^\w+$/); // A word of the text, and no suggestion of ours.
    }
    await window.press("Tab");
    await rows.first().waitFor({ state: "hidden" });
    assert.ok((await window.save()).endsWith("    total_price"));
    editor.writeSettings(SHOW_ALL);
  });

  it("brings a killed server back", async () => {
    await open();
    const killed = lastServer();
    process.kill(killed, "SIGKILL");
    await until("another server", () => lastServer() !== killed);
    await window.untilStatus("ready");
    await window.type(PYTHON_TYPED);
    await window.untilGhostText();
    assert.deepEqual(await window.messages(), []);
  });

  it("says once what is wrong with a setting, and goes on", async () => {
    await window?.close();
    window = await openWindow({ "fimble.completion.eagerness": 7 }, "warning");
    const messages = await until("a message", async () => {
      const found = await window.messages();
      return found.length > 0 && found;
    });
    assert.equal(messages.length, 1);
    assert.match(messages[0], /completion\.eagerness/);
    await window.type(PYTHON_TYPED);
    await window.untilGhostText();
    editor.writeSettings(SHOW_ALL);
    await window.untilStatus("ready");
    assert.equal((await window.messages()).length, 1);
  });

  it("says why there is a suggestion, and what the doctor finds", async () => {
    await open();
    await window.type(PYTHON_TYPED);
    await window.untilGhostText();
    await window.openMenu();
    await window.choose("Why this suggestion");
    await until("the explanation", async () => (await window.pageText()).includes("How it was"));
    await window.openMenu();
    await window.choose("Check");
    await until(
      "the report",
      async () => (await window.pageText()).includes("All is well"),
      120_000,
    );
  });

  it("lets two windows share one server, and outlives the window that started it", async () => {
    const settings = {
      "fimble.editor.server_mode": "shared",
      "fimble.editor.shared_address": `unix:${editor.root}/shared.sock`,
    };
    await window?.close();
    const nServers = editor.serverIds().length;
    const first = await openWindow(settings);
    const second = await openWindow(settings);
    window = second;
    assert.equal(editor.serverIds().length, nServers + 1);
    const shared = lastServer();
    for (const each of [first, second]) {
      await each.page.bringToFront();
      await each.focusEnd();
      await each.type(PYTHON_TYPED);
      await each.untilGhostText();
    }
    await second.openMenu();
    await second.choose("Pause for 10 minutes");
    await first.page.bringToFront();
    await first.untilStatus("paused");
    await first.openMenu();
    await first.choose("Resume");
    await second.page.bringToFront();
    await second.untilStatus("ready");
    await first.close();
    await until("the first window's server to end", () => !isAlive(shared));
    await until("another server", () => lastServer() !== shared);
    await second.untilStatus("ready");
    await second.focusEnd();
    await second.type("e");
    await second.untilGhostText();
  });
});
