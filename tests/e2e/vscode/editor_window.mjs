// One window of the editor: what its user types and sees. Finds things on the screen as a user's
// eye does; the editor's inner state is never asked.

import fs from "node:fs";
import path from "node:path";

import { until } from "./until.mjs";

/** One window, as its user sees it. */
export class EditorWindow {
  constructor(page, file) {
    this.page = page;
    this.file = file;
    this.nFiles = 1;
    this.editor = page.locator(".editor-instance .monaco-editor").first();
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

  untilGhostTextIs(text, timeoutMs = 60_000) {
    return until(
      `the ghost text ${JSON.stringify(text)}`,
      async () => (await this.ghostText()) === text,
      timeoutMs,
    );
  }

  untilNoGhostText() {
    return until("no ghost text", async () => (await this.ghostText()) === "");
  }

  /** All lines on the screen, as plain text. */
  async text() {
    const lines = await this.editor.locator(".view-lines").first().innerText();
    return lines.replaceAll("\u00a0", " ");
  }

  /** Wait until the file is unsaved: what was pressed has reached the text. */
  async untilTextChanges() {
    await this.page.locator(".tab.active.dirty").waitFor();
  }

  /** Close all pages, and open a new file in this window's folder: sooner done than a window. */
  async openFile({ name, text }) {
    await this.closeAll();
    this.nFiles += 1;
    const [, stem, ending] = /^(.*)(\..*)$/.exec(name);
    this.file = path.join(path.dirname(this.file), `${stem}_${this.nFiles}${ending}`);
    fs.writeFileSync(this.file, text);
    await this.page.keyboard.press("Control+p");
    await this.page.locator(".quick-input-widget input").first().fill(this.file);
    await this.choose(path.basename(this.file));
    await this.page.locator(".tab.active", { hasText: path.basename(this.file) }).waitFor();
    await this.focusEnd();
  }

  /** Save and close every page. */
  async closeAll() {
    await this.press("Escape");
    await this.press("Control+k");
    await this.press("s");
    await until(
      "all to be saved",
      async () => (await this.page.locator(".tab.dirty").count()) === 0,
    );
    await this.press("Control+k");
    await this.press("Control+w");
    await until("all to be closed", async () => (await this.page.locator(".tab").count()) === 0);
  }

  async openMenu() {
    await this.page.locator(".statusbar-item a[aria-label^='Fimble: ']").first().click();
    await this.page.locator(".quick-input-list .monaco-list-row").first().waitFor();
  }

  /** Keep what is on the screen, where a folder for pictures is named. */
  async keepPicture(name) {
    const folder = process.env.FIMBLE_PICTURES;
    if (folder !== undefined && !this.page.isClosed()) {
      await this.page.screenshot({ path: `${folder}/${name.replaceAll(/\W+/g, "-")}.png` });
    }
  }

  /** Look at the cursor's line in every frame, until told to end; what was seen, each once. */
  async watchLine() {
    await this.editor.evaluate(startWatching);
    return { end: () => this.editor.evaluate(endWatching) };
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

  /** Press the button of a message. */
  async answer(button) {
    await this.page.locator(".notification-list-item .monaco-button", { hasText: button }).click();
  }

  /** The text of all pages that are open, as far as it is on the screen, in no order. */
  async pageText() {
    const lines = await this.page.locator(".editor-instance .view-line").allInnerTexts();
    return lines.join("\n").replaceAll("\u00a0", " ");
  }

  /** Leave as a user does, so that the editor hears of it. */
  async close() {
    await this.page.goto("about:blank");
    await this.page.close();
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

/** Runs in the browser: notes the text of the last line, dim text included, in every frame. */
function startWatching(editor) {
  const seen = new Set();
  editor.fimbleWatch = { seen, isOn: true };
  const look = () => {
    const lines = [...editor.querySelectorAll(".view-lines .view-line")];
    seen.add((lines.at(-1)?.textContent ?? "").replaceAll("\u00a0", " "));
    if (editor.fimbleWatch.isOn) {
      requestAnimationFrame(look);
    }
  };
  look();
}

function endWatching(editor) {
  editor.fimbleWatch.isOn = false;
  return [...editor.fimbleWatch.seen];
}
