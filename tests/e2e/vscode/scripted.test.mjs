// The extension in a real VS Code, over a server that answers by a script: what no model's mood
// may decide. See tests/fimble_testing/scripted_server.py for the scripts.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, afterEach, before, describe, it } from "node:test";

import { findLack, RealEditor } from "./real_editor.mjs";
import { until } from "./until.mjs";

const WHOLE = ["def add(a, b):", '    """😀 Add."""', "    return a + b"].join("\n");
const PARTIALLY = "textDocument/didPartiallyAcceptCompletion";

const lack = findLack();

describe("over a scripted server", { skip: lack ?? false, timeout: 600_000 }, () => {
  let editor;
  let window;

  before(async () => {
    editor = await RealEditor.start();
  });

  after(() => editor?.close());

  afterEach((test) => window?.keepPicture(test.name));

  /** A new file, and a new server that answers by the script. One window serves all tests. */
  async function open(script, text) {
    const program = editor.writeScriptedProgram(script);
    editor.writeSettings({ "fimble.editor.command": [program] });
    if (window === undefined) {
      window = await editor.openWindow({ name: "page.py", text });
    } else {
      await window.openFile({ name: "page.py", text });
    }
    await editor.untilScriptServes();
    await window.untilStatus("ready");
    await window.focusEnd();
  }

  for (const [name, lineBreak] of [
    ["LF", "\n"],
    ["CRLF", "\r\n"],
  ]) {
    it(`takes a word, then lines, and tells each length from the start (${name})`, async () => {
      const start = `# A page.${lineBreak}`;
      await open({ texts: [WHOLE] }, start);
      await window.type("def ad");
      assert.equal(await window.untilGhostText(), WHOLE.slice("def ad".length));
      let before = await window.save();
      for (const keys of ["Control+ArrowRight", "Control+Alt+ArrowRight"]) {
        const nTold = editor.heard(PARTIALLY).length;
        await window.press(keys);
        await window.untilTextChanges();
        const now = await window.save();
        assert.ok(now.length > before.length);
        before = now;
        await until("the server to hear of it", () => editor.heard(PARTIALLY).length > nTold);
        const taken = now.slice(start.length).replaceAll("\r\n", "\n");
        assert.ok(WHOLE.startsWith(taken), taken);
        const told = editor.heard(PARTIALLY).at(-1);
        assert.equal(told.acceptedLength, taken.length);
        assert.equal(told.item.insertText, WHOLE);
      }
    });
  }

  it("tells once that a suggestion was shown, and once that it was taken", async () => {
    await open({ texts: [WHOLE] }, "");
    await window.type("def ad");
    await window.untilGhostText();
    await until("shown", () => editor.heard("textDocument/didShowCompletion").length > 0);
    await window.press("Tab");
    await until("taken", () => editor.heard("workspace/executeCommand").length > 0);
    assert.deepEqual(editor.heard("workspace/executeCommand"), [
      { command: "fimble.accepted", arguments: ["s0"] },
    ]);
    assert.equal(editor.heard("textDocument/didShowCompletion").length, 1);
    assert.deepEqual(editor.heard(PARTIALLY), []);
    assert.equal(await window.save(), WHOLE);
  });

  it("goes through the candidates when asked, and takes the one that is shown", async () => {
    const texts = ["value = one(1)", "value = two(2)"];
    await open({ texts, n_items: 1, n_items_on_request: 2 }, "");
    await window.type("value = ");
    assert.equal(await window.untilGhostText(), "one(1)");
    await window.press("Alt+]");
    await until("the other", async () => (await window.ghostText()) === "two(2)");
    await window.press("Tab");
    await window.untilTextChanges();
    assert.equal(await window.save(), "value = two(2)");
  });

  it("lengthens what is shown when the rest is written, and shows nothing else", async () => {
    await open({ texts: [WHOLE], more_after_s: 1.5 }, "");
    await window.type("def ad");
    const [first] = WHOLE.split("\n");
    await window.untilGhostTextIs(first.slice("def ad".length));
    const watch = await window.watchLine();
    await window.untilGhostTextIs(WHOLE.slice("def ad".length));
    assert.deepEqual(await watch.end(), [first]);
    const asked = editor.heard("textDocument/inlineCompletion");
    assert.deepEqual(new Set(asked.map(({ context }) => context.triggerKind)), new Set([2]));
    await window.press("Tab");
    await window.untilTextChanges();
    assert.equal(await window.save(), WHOLE);
  });

  it("lengthens also what was asked for by key", async () => {
    await open({ texts: [WHOLE], more_after_s: 1.5 }, "def ad");
    const [first] = WHOLE.split("\n");
    await window.press("Alt+\\");
    await window.untilGhostTextIs(first.slice("def ad".length));
    const watch = await window.watchLine();
    await window.untilGhostTextIs(WHOLE.slice("def ad".length));
    // The editor does not ask twice by key at one place: the text may be gone for a frame.
    const seen = new Set(await watch.end());
    seen.delete("def ad");
    assert.deepEqual([...seen], [first]);
    await window.press("Tab");
    await window.untilTextChanges();
    assert.equal(await window.save(), WHOLE);
  });

  it("does not flicker while one types along", async () => {
    const whole = "for index in range(10): pass";
    await open({ texts: [whole], delays_s: [0.1] }, "");
    await window.type("for ");
    await window.untilGhostText();
    const watch = await window.watchLine();
    await window.type("index in ran");
    const seen = await watch.end();
    assert.deepEqual(seen, [whole]);
  });

  it("offers to install the server where there is none", async () => {
    await window?.close();
    editor.writeSettings({ "fimble.editor.command": [] });
    window = await editor.openWindow({ name: "page.py", text: "" });
    await window.untilStatus("error");
    const messages = await until("the offer", async () => {
      const found = await window.messages();
      return found.length > 0 && found;
    });
    assert.equal(messages.length, 1);
    assert.match(messages[0], /server is not on this machine/);
  });

  it("says in one message what is wrong with a program that does not serve", async () => {
    const program = `${editor.folder("bin", "broken")}/fimble`;
    fs.writeFileSync(program, "#!/bin/sh\necho no such module >&2\nexit 3\n", { mode: 0o755 });
    await window?.close();
    editor.writeSettings({ "fimble.editor.command": [program] });
    window = await editor.openWindow({ name: "page.py", text: "" });
    await window.untilStatus("error", 90_000);
    const messages = await until("the message", async () => {
      const found = await window.messages();
      return found.length > 0 && found;
    });
    assert.equal(messages.length, 1);
    assert.match(messages[0], /no such module/);
  });
});
