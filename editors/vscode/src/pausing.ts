/** Where the user wants silence. Owns the pauses, and a timer that ends the timed one. */

import * as vscode from "vscode";

import { findSilence } from "./silence.js";

const PAUSE_MS = 10 * 60_000;

/** Keeps the invariant that listeners hear of every change, the end of a timed pause included. */
export class Pausing implements vscode.Disposable {
  private untilMs: number | undefined;
  private readonly uris = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;

  /** Why nothing is asked for a document now; undefined where it is asked. */
  silenceOf(document: vscode.TextDocument): string | undefined {
    const configuration = vscode.workspace.getConfiguration("fimble", document.uri);
    return findSilence(
      { uri: document.uri.toString(), languageId: document.languageId },
      { untilMs: this.untilMs, uris: this.uris },
      {
        isEnabled: configuration.get<unknown>("completion.enabled") !== false,
        disabledLanguages: readLanguages(configuration),
      },
      Date.now(),
    );
  }

  /** Whether the timed pause, or this document's, can be ended by `resume`. */
  isPaused(document: vscode.TextDocument | undefined): boolean {
    return this.untilMs !== undefined || (document !== undefined && this.uris.has(keyOf(document)));
  }

  pauseForAWhile(): void {
    this.untilMs = Date.now() + PAUSE_MS;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.endTimedPause(), PAUSE_MS);
    this.stop();
  }

  pauseFile(document: vscode.TextDocument): void {
    this.uris.add(keyOf(document));
    this.stop();
  }

  /** Ends the timed pause and the document's own. A language's is a setting, and stays. */
  resume(document: vscode.TextDocument | undefined): void {
    if (document !== undefined) {
      this.uris.delete(keyOf(document));
    }
    this.endTimedPause();
  }

  /** Off in a language, or on again; kept in the user's settings. */
  async toggleLanguage(languageId: string): Promise<void> {
    const configuration = vscode.workspace.getConfiguration("fimble");
    const languages = readLanguages(configuration);
    const isOff = languages.includes(languageId);
    const wanted = isOff
      ? languages.filter((each) => each !== languageId)
      : [...languages, languageId];
    await configuration.update(
      "completion.disabled_languages",
      wanted,
      vscode.ConfigurationTarget.Global,
    );
    this.stop();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  private endTimedPause(): void {
    clearTimeout(this.timer);
    this.untilMs = undefined;
    this.changed.fire();
  }

  private stop(): void {
    void vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
    this.changed.fire();
  }
}

function readLanguages(configuration: vscode.WorkspaceConfiguration): string[] {
  const languages = configuration.get<unknown>("completion.disabled_languages");
  return Array.isArray(languages) ? languages.map(String) : [];
}

function keyOf(document: vscode.TextDocument): string {
  return document.uri.toString();
}
