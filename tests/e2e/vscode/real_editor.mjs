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

import { EditorWindow } from "./editor_window.mjs";
import { until } from "./until.mjs";

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

/** Where the packages that Fimble needs are installed. */
export function findPackages() {
  const words = ["-c", "import pygls, pathlib; print(pathlib.Path(pygls.__file__).parent.parent)"];
  return spawnSync(PYTHON, words, { encoding: "utf8" }).stdout.trim();
}

/**
 * What is lacking for these tests, and how to get it; undefined where all is there. Where the
 * environment says that they must run, a lack is an error.
 */
export function findLack() {
  const needed = {
    [path.join(TOOLS, ".complete")]: "no VS Code: tests/e2e/vscode/install.sh installs one",
    [path.join(TOOLS, "browser")]: "no Chromium: tests/e2e/vscode/install.sh installs one",
    [PYTHON]: "no environment with Fimble: make test makes one",
    [VSIX]: "no packaged extension: npm run package in editors/vscode makes one",
  };
  const lack = Object.entries(needed).find(([file]) => !fs.existsSync(file))?.[1];
  if (lack !== undefined && process.env.FIMBLE_MUST_RUN === "1") {
    throw new Error(lack);
  }
  return lack;
}

/** One VS Code server and one browser; any number of windows. `variables` join its environment. */
export class RealEditor {
  static async start(variables = {}) {
    const editor = new RealEditor(variables);
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

  /**
   * The user's settings as they are on disk, those that a picker wrote included. Those of a machine
   * lie in a file of their own. A file that the editor is about to write is empty, and says nothing.
   */
  readSettings() {
    const read = (folder) => {
      const file = path.join(this.root, "data", folder, "settings.json");
      return JSON.parse(fs.readFileSync(file, "utf8") || "{}");
    };
    return { ...read("User"), ...read("Machine") };
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
    this.#keepLog();
    fs.rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** Keep what the servers logged, where a folder for pictures is named. */
  #keepLog() {
    const folder = process.env.FIMBLE_PICTURES;
    if (folder !== undefined && fs.existsSync(this.logFile)) {
      fs.copyFileSync(this.logFile, path.join(folder, "server.log"));
    }
  }

  constructor(variables) {
    this.variables = variables;
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), "fve-")); // Short: sockets lie in it.
    this.nWindows = 0;
    this.idsFile = path.join(this.root, "server-ids");
    this.logFile = path.join(this.root, "server.log");
    this.nScripts = 0;
    this.heardFile = "";
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
    return this.#writeScript("real", [
      `[ "$1" = serve ] || exec '${PYTHON}' -P -m fimble_server "$@"`,
      `echo $$ >> '${this.idsFile}'`,
      `exec '${PYTHON}' -P -m fimble_server "$@" 2>> '${this.logFile}'`,
    ]);
  }

  /**
   * A program whose server answers by a script. What it hears, `heard` reads; what the one before
   * it hears from now on, nobody does.
   */
  writeScriptedProgram(script) {
    this.nScripts += 1;
    const file = path.join(this.root, `script-${this.nScripts}.json`);
    fs.writeFileSync(file, JSON.stringify(script));
    this.heardFile = path.join(this.root, `heard-${this.nScripts}.jsonl`);
    return this.#writeScript(`scripted-${this.nScripts}`, [
      `[ "$1" = serve ] || exec '${PYTHON}' -P -m fimble_server "$@"`,
      `export SCRIPTED_SERVER_SCRIPT='${file}' SCRIPTED_SERVER_LOG='${this.heardFile}'`,
      `exec '${PYTHON}' -P '${PROJECT}tests/fimble_testing/scripted_server.py'`,
    ]);
  }

  /** Wait until the newest scripted server serves. */
  untilScriptServes() {
    return until("the scripted server", () => this.heard("initialized").length > 0, 60_000);
  }

  /** Parameters of the messages of a method that the scripted server heard. */
  heard(method) {
    const text = fs.existsSync(this.heardFile) ? fs.readFileSync(this.heardFile, "utf8") : "";
    return text
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line))
      .filter((entry) => entry.method === method)
      .map((entry) => entry.params);
  }

  #writeScript(name, lines) {
    const file = path.join(this.folder("bin", name), "fimble");
    fs.writeFileSync(file, ["#!/bin/sh", ...lines].join("\n") + "\n", { mode: 0o755 });
    return file;
  }

  #environment() {
    const home = this.folder("home");
    const environment = {
      ...process.env,
      ...this.variables,
      HOME: home,
      TMPDIR: this.folder("t"),
      XDG_CONFIG_HOME: path.join(home, ".config"),
      XDG_DATA_HOME: path.join(home, ".local"),
      XDG_CACHE_HOME: path.join(home, ".cache"),
      EXTENSIONS_GALLERY: "{}",
      PATH: [
        path.dirname(fs.realpathSync(path.join(TOOLS, "node"))),
        ...foldersWithout("fimble"),
      ].join(":"),
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
    const grace = ["--reconnection-grace-time", "2"]; // A closed window is gone, with its server.
    this.process = spawn(
      path.join(TOOLS, "node"),
      [...this.#arguments(), ...words, ...grace, "--telemetry-level", "off"],
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

/** The folders of PATH that hold no such program. */
function foldersWithout(program) {
  const folders = (process.env.PATH ?? "").split(":");
  return folders.filter((folder) => !fs.existsSync(path.join(folder, program)));
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
