/**
 * Where the user wants silence: at once in this window, and then at the server, where other
 * windows and editors that share it hear of it. A server that starts anew is told again.
 */

import * as vscode from "vscode";

import {
  covers,
  findSilence,
  isRunning,
  nameOf,
  type Pause,
  pausesFrom,
  toArgument,
  type ToldSilence,
} from "./silence.js";

const PAUSE_MS = 10 * 60_000;
/** A timer may be early by a hair. */
const AFTER_END_MS = 50;

/** Runs a command of the server; does nothing where none runs. */
export type Command = (command: string, argument: object) => void;

/** Keeps the invariant that listeners hear of every change, the end of a timed pause included. */
export class Pausing implements vscode.Disposable {
  private pauses: readonly Pause[] = [];
  private timer: NodeJS.Timeout | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly command: Command) {}

  /** Why nothing is asked for a document now; undefined where it is asked. */
  silenceOf(document: vscode.TextDocument): string | undefined {
    const configuration = vscode.workspace.getConfiguration("fimble", document.uri);
    return findSilence(
      placeOf(document),
      this.pauses,
      {
        isEnabled: configuration.get<unknown>("completion.enabled") !== false,
        disabledLanguages: readLanguages(configuration),
      },
      Date.now(),
    );
  }

  /** Whether a pause holds here that can be ended by `resume`. */
  isPaused(document: vscode.TextDocument | undefined): boolean {
    return this.pausesOf(document).length > 0;
  }

  pauseForAWhile(): void {
    this.pause({ scope: "session", name: "", untilMs: Date.now() + PAUSE_MS });
  }

  pauseFile(document: vscode.TextDocument): void {
    this.pause({ scope: "file", name: nameOf(document.uri.toString()), untilMs: undefined });
  }

  /** Ends what holds here. A language that is off by a setting stays off. */
  resume(document: vscode.TextDocument | undefined): void {
    const ended = this.pausesOf(document);
    this.take(this.pauses.filter((each) => !ended.includes(each)));
    for (const each of ended) {
      this.command("fimble.wake", toArgument({ ...each, untilMs: undefined }, Date.now()));
    }
  }

  /** The server says what is silent, by whoever's word. */
  hear(silences: readonly ToldSilence[]): void {
    this.take(pausesFrom(silences, Date.now()));
  }

  /** A server has started: it is told what is paused here. */
  tellAll(): void {
    for (const each of this.pauses.filter((pause) => isRunning(pause, Date.now()))) {
      this.command("fimble.snooze", toArgument(each, Date.now()));
    }
  }

  /** Whether a language is off by the user's settings. */
  isOff(languageId: string): boolean {
    return readLanguages(vscode.workspace.getConfiguration("fimble")).includes(languageId);
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
    this.hide();
    this.changed.fire();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  private pausesOf(document: vscode.TextDocument | undefined): Pause[] {
    const place = document ? placeOf(document) : { uri: "", languageId: "" };
    return this.pauses.filter((each) => isRunning(each, Date.now()) && covers(each, place));
  }

  private pause(pause: Pause): void {
    const isOther = (each: Pause): boolean =>
      each.scope !== pause.scope || each.name !== pause.name;
    this.take([...this.pauses.filter(isOther), pause]);
    this.command("fimble.snooze", toArgument(pause, Date.now()));
  }

  private take(pauses: readonly Pause[]): void {
    this.pauses = pauses;
    this.look();
    const document = vscode.window.activeTextEditor?.document;
    if (this.isPaused(document)) {
      this.hide();
    }
  }

  /** Tell of what is paused now, and again when the next of it ends. */
  private look(): void {
    clearTimeout(this.timer);
    this.pauses = this.pauses.filter((each) => isRunning(each, Date.now()));
    const ends = this.pauses.flatMap(({ untilMs }) => (untilMs === undefined ? [] : [untilMs]));
    if (ends.length > 0) {
      const inMs = Math.min(...ends) - Date.now() + AFTER_END_MS;
      this.timer = setTimeout(() => this.look(), inMs);
    }
    this.changed.fire();
  }

  private hide(): void {
    void vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
  }
}

function readLanguages(configuration: vscode.WorkspaceConfiguration): string[] {
  const languages = configuration.get<unknown>("completion.disabled_languages");
  return Array.isArray(languages) ? languages.map(String) : [];
}

function placeOf(document: vscode.TextDocument): { uri: string; languageId: string } {
  return { uri: document.uri.toString(), languageId: document.languageId };
}
