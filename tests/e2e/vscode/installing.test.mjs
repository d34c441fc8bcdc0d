// The server's installation by the extension itself, in a real VS Code: the offer taken, the
// environment made, the package from the VSIX installed into it, and its server serving.
//
// Only what the package needs is not fetched anew: it is lent by PYTHONPATH, for PyTorch is large.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";

import { findLack, findPackages, RealEditor } from "./real_editor.mjs";
import { PYTHON_TEXT, PYTHON_TYPED, SHOW_ALL } from "./samples.mjs";
import { until } from "./until.mjs";

const lack = findLack();

describe("where there is no server", { skip: lack ?? false, timeout: 600_000 }, () => {
  let editor;
  let window;

  before(async () => {
    editor = await RealEditor.start({ PYTHONPATH: findPackages() });
  });

  after(async () => {
    await window?.keepPicture("installed");
    await editor?.close();
  });

  it("installs one when told to, which then serves", async () => {
    editor.writeSettings({
      "fimble.editor.command": [],
      "fimble.editor.pip_arguments": [
        ...["--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation"],
      ],
      ...SHOW_ALL,
    });
    window = await editor.openWindow({ name: "page.py", text: PYTHON_TEXT });
    await window.untilStatus("error");
    await window.answer("Install Fimble");
    await window.untilStatus("ready", 180_000);
    const environments = findFiles(editor.root, path.join("environment", "bin", "fimble"));
    assert.equal(environments.length, 1);
    await window.focusEnd();
    await window.type(PYTHON_TYPED);
    await window.untilGhostText();
    assert.deepEqual(await window.messages(), []);
  });

  it("says what went wrong, leaves nothing half made, and offers again", async () => {
    await window.close();
    const [program] = findFiles(editor.root, path.join("environment", "bin", "fimble"));
    const environment = path.dirname(path.dirname(program));
    fs.rmSync(environment, { recursive: true });
    editor.writeSettings({
      "fimble.editor.command": [],
      "fimble.editor.pip_arguments": ["--no-such-option"],
    });
    window = await editor.openWindow({ name: "page.py", text: "" });
    await window.untilStatus("error");
    await window.answer("Install Fimble");
    const isSaid = async () =>
      (await window.messages()).some((message) => message.includes("was not installed"));
    await until("the message", isSaid, 120_000);
    assert.equal(fs.existsSync(environment), false);
  });
});

/** The files below a folder whose path ends so. */
function findFiles(folder, ending) {
  return fs
    .readdirSync(folder, { recursive: true })
    .map((name) => path.join(folder, name))
    .filter((file) => file.endsWith(path.sep + ending));
}
