/**
 * This window's server: started, spoken to, and started again where it ended unasked.
 *
 * Owns the language client and the process behind it. Knows nothing of status bars and menus:
 * whoever wants to know listens.
 */

import type { ChildProcess } from "node:child_process";

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  type InlineCompletionItem,
  LanguageClient,
  type LanguageClientOptions,
  type Middleware,
  type StreamInfo,
} from "vscode-languageclient/node";

import { planRestart } from "./backoff.js";
import type { Link, TakeLog } from "./connecting.js";
import { collectSettings, type Tree } from "./settings.js";
import { announceMore, type MoreNote } from "./extending.js";
import type { ToldSilence } from "./silence.js";
import type { Phase, StatusNote } from "./status.js";

/** Makes the way to a server; rejects in words for the user. */
export type MakeLink = (takeLog: TakeLog) => Promise<Link>;

export interface Hears {
  readonly phase: (phase: Phase) => void;
  readonly note: (note: StatusNote) => void;
  /** The rest of a suggestion is written. */
  readonly more: (note: MoreNote<vscode.InlineCompletionItem>) => void;
  /** Another server can be spoken to. */
  readonly greeted: () => void;
  /** What is silent changed at the server. */
  readonly silences: (silences: readonly ToldSilence[]) => void;
  /** Per cent of the model that is loaded; undefined once it is, or is not to be. */
  readonly loaded: (percent: number | undefined) => void;
}

/** What is read here of the answer to `fimble/status`. */
interface Status {
  readonly silences?: readonly ToldSilence[];
}

/** One client and what belongs to it; a later life knows nothing of an earlier one's end. */
interface Life {
  client: LanguageClient | undefined;
  child: ChildProcess | undefined;
  readySinceMs: number | undefined;
  told: Tree;
}

/** A client that tells its log of faults: whoever owns it tells the user, once, in plain words. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** Keeps the invariant that at most one life is the current one; the ends of others are ignored. */
export class Server {
  private life: Life | undefined;
  private nFailures = 0;
  private restartTimer: NodeJS.Timeout | undefined;
  private lastWords = "";

  constructor(
    private readonly makeLink: MakeLink,
    private readonly middleware: Middleware,
    private readonly log: vscode.LogOutputChannel,
    private readonly hears: Hears,
  ) {}

  /** The client, where it is ready to be spoken to. */
  get client(): LanguageClient | undefined {
    const client = this.life?.client;
    return client?.isRunning() === true ? client : undefined;
  }

  /** Start, in place of whatever runs. */
  async start(): Promise<void> {
    await this.stop();
    this.nFailures = 0;
    await this.begin();
  }

  /** End whatever runs, and start nothing again. */
  async stop(): Promise<void> {
    clearTimeout(this.restartTimer);
    const life = this.life;
    this.life = undefined;
    if (life !== undefined) {
      await end(life);
    }
  }

  /** The user's settings changed. */
  sendSettings(): void {
    const life = this.life;
    const settings = collectSettings(vscode.workspace.getConfiguration("fimble"), life?.told);
    this.notify("workspace/didChangeConfiguration", { settings: { fimble: settings } });
  }

  notify(method: string, params: object): void {
    this.client?.sendNotification(method, params).catch((error: unknown) => {
      this.log.warn(`${method} was not sent: ${String(error)}`);
    });
  }

  /** Run a command of the server. */
  command(command: string, argument: object): void {
    const params = { command, arguments: [argument] };
    this.client?.sendRequest("workspace/executeCommand", params).catch((error: unknown) => {
      this.log.warn(`${command} was not heard: ${String(error)}`);
    });
  }

  private async begin(): Promise<void> {
    const told = collectSettings(vscode.workspace.getConfiguration("fimble"));
    const life: Life = { client: undefined, child: undefined, readySinceMs: undefined, told };
    this.life = life;
    this.hears.loaded(undefined);
    this.hears.phase({ name: "starting" });
    try {
      const link = await this.makeLink((text) => this.takeLog(text));
      life.child = link.child;
      if (this.life === life) {
        await this.greet(life, link);
      } else {
        await end(life);
      }
    } catch (error) {
      this.log.error(String(error));
      this.endedUnasked(life, error instanceof Error ? error.message : String(error));
    }
  }

  /** Begin to speak. What the client says of a failure is for its log, not for users. */
  private async greet(life: Life, link: Link): Promise<void> {
    life.client = this.buildClient(life, link);
    try {
      await life.client.start();
    } catch (error) {
      this.log.error(String(error));
      throw new Error("It ended before it had answered.", { cause: error });
    }
    life.readySinceMs = Date.now();
    if (this.life === life) {
      this.hears.phase({ name: "running" });
      this.hears.greeted();
      void this.askSilences(life);
    }
  }

  /** Learn what other windows paused before this one came. */
  private async askSilences(life: Life): Promise<void> {
    try {
      const status = await life.client?.sendRequest<Status>("fimble/status");
      if (this.life === life && status?.silences !== undefined) {
        this.hears.silences(status.silences);
      }
    } catch (error) {
      this.log.warn(`fimble/status was not answered: ${String(error)}`);
    }
  }

  private buildClient(life: Life, link: Link): LanguageClient {
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }],
      initializationOptions: life.told,
      outputChannel: this.log,
      progressOnInitialization: false,
      initializationFailedHandler: () => false,
      middleware: {
        ...this.middleware,
        handleWorkDoneProgress: (_token, params) => {
          this.hears.loaded(params.kind === "end" ? undefined : (params.percentage ?? 0));
        },
      },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          this.endedUnasked(life, "The server ended.");
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
    };
    const start = (): Promise<StreamInfo> => Promise.resolve(link.streams);
    const client = new QuietClient("fimble", "Fimble", start, options);
    client.registerFeature(announceMore);
    client.onNotification("didChangeStatus", (note: StatusNote) => this.hears.note(note));
    client.onNotification(
      "fimble/didChangeSilences",
      ({ silences }: { silences: readonly ToldSilence[] }) => {
        if (this.life === life && life.readySinceMs !== undefined) {
          this.hears.silences(silences);
        }
      },
    );
    client.onNotification("fimble/more", (note: MoreNote<InlineCompletionItem>) => {
      void this.hearMore(client, note);
    });
    return client;
  }

  private async hearMore(
    client: LanguageClient,
    note: MoreNote<InlineCompletionItem>,
  ): Promise<void> {
    const [item] = await client.protocol2CodeConverter.asInlineCompletionResult([note.item]);
    if (item !== undefined) {
      this.hears.more({ ...note, item });
    }
  }

  /** Start again in a while, or give up and say so. Once a life. */
  private endedUnasked(life: Life, why: string): void {
    if (this.life !== life) {
      return;
    }
    this.life = undefined;
    life.child?.kill();
    const upMs = life.readySinceMs === undefined ? 0 : Date.now() - life.readySinceMs;
    const { nFailures, delayMs } = planRestart({ nFailuresBefore: this.nFailures, upMs });
    this.nFailures = nFailures;
    this.hears.loaded(undefined);
    if (delayMs === undefined) {
      this.giveUp(why);
      return;
    }
    this.log.warn(`${why} It starts again in ${delayMs} ms.`);
    this.hears.phase({ name: "restarting", delayMs });
    this.restartTimer = setTimeout(() => void this.begin(), delayMs);
  }

  private giveUp(why: string): void {
    const words =
      `Fimble's server does not stay up. ${why} ` +
      (this.lastWords === "" ? "" : `Its last words: ${this.lastWords}`);
    this.hears.phase({ name: "stopped", why: words });
    const commands: Record<string, string> = {
      Check: "fimble.check",
      Restart: "fimble.restart",
      "Show Log": "fimble.showLog",
    };
    void vscode.window.showErrorMessage(words, ...Object.keys(commands)).then((answer) => {
      const command = answer === undefined ? undefined : commands[answer];
      return command === undefined ? undefined : vscode.commands.executeCommand(command);
    });
  }

  private takeLog(text: string): void {
    for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
      this.lastWords = line.trim().slice(0, 300);
      this.log.info(line);
    }
  }
}

/** Ask the server to end, and see that it does. */
async function end(life: Life): Promise<void> {
  try {
    await life.client?.dispose(2000);
  } catch {
    // It ended before it could be asked to.
  }
  if (life.child?.exitCode === null) {
    life.child.kill();
  }
}
