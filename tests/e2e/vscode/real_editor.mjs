// A real VS Code in a headless browser, with Fimble's extension installed from its VSIX.
//
// Owns the processes and the folders, which are private and go with it. What a test sees, it sees
// on the screen, in the saved file, or in the server's own log: nothing asks the extension.

import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const TOOLS = process.env.FIMBLE_VSCODE_TOOLS ?? path.join(PROJECT, ".cache/vscode");
const PYTHON = process.env.FIMBLE_PYTHON ?? path.join(PROJECT, ".venv/bin/python");
const VSIX = process.env.FIMBLE_VSIX ?? path.join(PROJECT, "editors/vscode/dist/fimble.vsix");

const BROWSER_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Settings that keep everything but Fimble still. */
const STILL = {
  "editor.inlineSuggest.enabled": true,
  "editor.quickSuggestions": "off",
  "editor.wordBasedSuggestions": "off",
  "editor.autoClosingBrackets": "never",
  "editor.autoClosingQuotes": "never",
  "editor.minimap.enabled": false,
  "editor.cursorBlinking": "solid",
  "editor.accessibilitySupport": "off",
  "editor.fontSize": 14,
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.welcomePage.walkthroughs.openOnInstall": false,
  "chat.disableAIFeatures": true,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoCheckUpdates": false,
  "extensions.autoUpdate": "off",
  "security.workspace.trust.enabled": false,
  "git.enabled": false,
  "files.autoSave": "off",
};

/** What is lacking for these tests, and how to get it; undefined where all is there. */
export function findLack() {
  const needed = {
    [path.join(TOOLS, ".complete")]: "no VS Code: tests/e2e/vscode/install.sh installs one",
    [path.join(TOOLS, "browser")]: "no Chromium: tests/e2e/vscode/install.sh installs one",
    [PYTHON]: "no environment with Fimble: make test makes one",
    [VSIX]: "no packaged extension: npm run package in editors/vscode makes one",
  };
  return Object.entries(needed).find(([file]) => !fs.existsSync(file))?.[1];
}

/** Wait until `look` gives something true, and give it back. */
export async function until(what, look, timeoutMs = 30_000) {
  const endMs = Date.now() + timeoutMs;
  let last;
  while (Date.now() < endMs) {
    last = await look();
    if (last) {
      return last;
    }
    await delay(25);
  }
  throw new Error(`Waited ${timeoutMs / 1000} s for ${what}; last was ${JSON.stringify(last)}`);
}

/** One VS Code server and one browser; any number of windows. */
export class RealEditor {
  static async start() {
    const editor = new RealEditor();
    try {
      await editor.#start();
      return editor;
    } catch (error) {
      await editor.close();
      throw error;
    }
  }

  /** A folder of this editor's own. */
  folder(...names) {
    const folder = path.join(this.root, ...names);
    fs.mkdirSync(folder, { recursive: true });
    return folder;
  }

  /** The user's settings, over those that keep the rest still. Windows hear of them at once. */
  writeSettings(settings) {
    const all = { ...STILL, "fimble.editor.command": [this.program], ...settings };
    for (const folder of ["User", "Machine"]) {
      const file = path.join(this.folder("data", folder), "settings.json");
      fs.writeFileSync(`${file}.new`, JSON.stringify(all, null, 2));
      fs.renameSync(`${file}.new`, file);
    }
  }

  /** Open a window on a new folder with one file in it. */
  async openWindow({ name, text, viewport = { width: 1000, height: 620 } }) {
    this.nWindows += 1;
    const folder = this.folder(`work${this.nWindows}`);
    const file = path.join(folder, name);
    fs.writeFileSync(file, text);
    const page = await this.context.newPage();
    await page.setViewportSize(viewport);
    const payload = JSON.stringify([["openFile", `vscode-remote://${this.host}${file}`]]);
    const query = `folder=${encodeURIComponent(folder)}&payload=${encodeURIComponent(payload)}`;
    await page.goto(`http://${this.host}/?${query}`);
    const window = new EditorWindow(page, file);
    await window.editor.waitFor({ timeout: 90_000 });
    return window;
  }

  /** Ids of the server processes that were started so far, in their order. */
  serverIds() {
    const text = fs.existsSync(this.idsFile) ? fs.readFileSync(this.idsFile, "utf8") : "";
    return text.split("\n").filter(Boolean).map(Number);
  }

  /** What the servers logged so far. */
  serverLog() {
    return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, "utf8") : "";
  }

  async close() {
    await this.context?.close().catch(() => {});
    if (this.process !== undefined) {
      await endGroup(this.process);
    }
    for (const id of this.serverIds().filter(isAlive)) {
      process.kill(id, "SIGKILL");
    }
    fs.rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  constructor() {
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), "fve-")); // Short: sockets lie in it.
    this.nWindows = 0;
    this.idsFile = path.join(this.root, "server-ids");
    this.logFile = path.join(this.root, "server.log");
    this.program = this.#writeProgram();
  }

  async #start() {
    this.writeSettings({});
    this.#install();
    await this.#startServer();
    await this.#startBrowser();
  }

  /** A program that serves, notes its process id, and keeps its log where a test can read it. */
  #writeProgram() {
    const file = path.join(this.folder("bin"), "fimble");
    const lines = [
      "#!/bin/sh",
      `[ "$1" = serve ] || exec '${PYTHON}' -P -m fimble_server "$@"`,
      `echo $$ >> '${this.idsFile}'`,
      `exec '${PYTHON}' -P -m fimble_server "$@" 2>> '${this.logFile}'`,
    ];
    fs.writeFileSync(file, lines.join("\n") + "\n", { mode: 0o755 });
    return file;
  }

  #environment() {
    const home = this.folder("home");
    const environment = {
      ...process.env,
      HOME: home,
      TMPDIR: this.folder("t"),
      XDG_CONFIG_HOME: path.join(home, ".config"),
      XDG_DATA_HOME: path.join(home, ".local"),
      XDG_CACHE_HOME: path.join(home, ".cache"),
      EXTENSIONS_GALLERY: "{}",
      PATH: `${path.dirname(fs.realpathSync(path.join(TOOLS, "node")))}:${process.env.PATH}`,
    };
    delete environment.VSCODE_IPC_HOOK_CLI;
    return environment;
  }

  #arguments() {
    const data = this.folder("data");
    return [
      path.join(fs.realpathSync(path.join(TOOLS, "editor")), "out/server-main.js"),
      ...["--server-data-dir", data, "--user-data-dir", data],
      ...["--extensions-dir", this.folder("extensions"), "--accept-server-license-terms"],
    ];
  }

  #install() {
    const words = [...this.#arguments(), "--install-extension", VSIX];
    const done = spawnSync(path.join(TOOLS, "node"), words, {
      env: this.#environment(),
      encoding: "utf8",
      timeout: 120_000,
    });
    if (done.status !== 0) {
      throw new Error(`The VSIX was not installed: ${done.stdout}${done.stderr}`);
    }
  }

  async #startServer() {
    const port = await findFreePort();
    this.host = `127.0.0.1:${port}`;
    const log = fs.openSync(path.join(this.root, "editor.log"), "w");
    const words = ["--host", "127.0.0.1", "--port", String(port), "--without-connection-token"];
    this.process = spawn(
      path.join(TOOLS, "node"),
      [...this.#arguments(), ...words, "--telemetry-level", "off"],
      {
        env: this.#environment(),
        cwd: this.root,
        stdio: ["ignore", log, log],
        detached: true,
      },
    );
    const isUp = () =>
      fetch(`http://${this.host}/version`).then(
        (answer) => answer.ok,
        () => false,
      );
    await until("the editor's server", isUp, 90_000);
  }

  async #startBrowser() {
    const { chromium } = createRequire(path.join(TOOLS, "package.json"))("playwright-core");
    const { HOME, XDG_CONFIG_HOME, XDG_CACHE_HOME } = this.#environment();
    this.context = await chromium.launchPersistentContext(this.folder("profile"), {
      executablePath: fs.realpathSync(path.join(TOOLS, "browser")),
      headless: true,
      env: { ...process.env, HOME, XDG_CONFIG_HOME, XDG_CACHE_HOME },
      args: BROWSER_ARGUMENTS,
    });
    await this.context.route("**/*", (route) => {
      const url = new URL(route.request().url());
      const isLocal = url.host === this.host || ["data:", "blob:"].includes(url.protocol);
      return isLocal ? route.continue() : route.abort();
    });
  }
}

/** One window, as its user sees it. */
export class EditorWindow {
  constructor(page, file) {
    this.page = page;
    this.file = file;
    this.editor = page.locator(".editor-instance .monaco-editor").first();
    this.status = page.locator(".statusbar-item[id='fimble.fimble.fimble.status']");
  }

  /** The status bar's words, for people who cannot see it: "Fimble: ready. ..." */
  async statusWords() {
    const labels = await this.page
      .locator(".statusbar-item a[aria-label^='Fimble: ']")
      .evaluateAll((found) => found.map((each) => each.getAttribute("aria-label")));
    return labels[0] ?? "";
  }

  async untilStatus(state, timeoutMs = 60_000) {
    const hasState = async () => (await this.statusWords()).startsWith(`Fimble: ${state}.`);
    await until(`the status "${state}"`, hasState, timeoutMs);
  }

  async focusEnd() {
    await this.editor.locator(".view-lines .view-line").first().click();
    await this.page.keyboard.press("Control+End");
  }

  async type(text) {
    await this.page.keyboard.type(text, { delay: 40 });
  }

  async press(keys) {
    await this.page.keyboard.press(keys);
  }

  /** The dim text at the cursor, all its lines; empty where there is none. */
  ghostText() {
    return this.editor.evaluate(readGhostText);
  }

  /** The dim text, once it is there and has stood for a moment. */
  async untilGhostText(timeoutMs = 30_000) {
    let before = "";
    let sinceMs = Date.now();
    const isSteady = async () => {
      const now = await this.ghostText();
      if (now !== before) {
        before = now;
        sinceMs = Date.now();
      }
      return now !== "" && Date.now() - sinceMs > 300;
    };
    await until("ghost text", isSteady, timeoutMs);
    return before;
  }

  untilNoGhostText() {
    return until("no ghost text", async () => (await this.ghostText()) === "");
  }

  /** Save, and read the file once it is written. */
  async save() {
    const before = fs.statSync(this.file).mtimeMs;
    const tab = this.page.locator(".tab.active.dirty");
    await this.page.keyboard.press("Control+s");
    await until("the file to be saved", async () => (await tab.count()) === 0);
    await until("the file on disk", () => fs.statSync(this.file).mtimeMs >= before);
    return fs.readFileSync(this.file, "utf8");
  }

  /** Run a command by its title, as from the palette. */
  async run(title) {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.choose(title);
  }

  /** Choose the entry of the open picker that holds these words. */
  async choose(words) {
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: words }).first();
    await row.waitFor();
    await row.click();
  }

  /** The messages on the screen. */
  messages() {
    return this.page.locator(".notification-list-item-message").allInnerTexts();
  }

  /** The text of the page that was opened beside the file, as far as it is on the screen. */
  async pageText() {
    const lines = this.page.locator(".editor-instance").nth(1).locator(".view-line");
    return (await lines.allInnerTexts()).join("\n").replaceAll("\u00a0", " ");
  }

  close() {
    return this.page.close();
  }
}

/** Runs in the browser: the dim text in the editor, in the order of the screen. */
function readGhostText(editor) {
  const plain = (text) => text.replaceAll("\u00a0", " ");
  const isDrawn = (each) => each.getClientRects().length > 0;
  const inLine = [...editor.querySelectorAll(".view-lines [class*='ghost-text-decoration']")]
    .filter(isDrawn)
    .map((each) => each.textContent ?? "");
  const below = [...editor.querySelectorAll(".suggest-preview-text")]
    .filter(isDrawn)
    .flatMap((block) => [...block.querySelectorAll(".view-line")])
    .map((line) => line.textContent ?? "");
  return plain([inLine.join(""), ...below].join("\n"));
}

function findFreePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export function isAlive(id) {
  try {
    process.kill(id, 0);
    return true;
  } catch {
    return false;
  }
}

async function endGroup(child) {
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // Gone already.
    }
  };
  signal("SIGTERM");
  const endMs = Date.now() + 8000;
  while (child.exitCode === null && child.signalCode === null && Date.now() < endMs) {
    await delay(100);
  }
  signal("SIGKILL");
}
