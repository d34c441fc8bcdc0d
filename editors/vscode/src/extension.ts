/** Puts the parts together. Decides nothing that a pure part could. */

import os from "node:os";

import * as vscode from "vscode";
import type { Middleware } from "vscode-languageclient/node";

import { registerAcceptingParts } from "./acceptingParts.js";
import { defaultAddress, parseAddress } from "./address.js";
import { connectShared, type Link, startOwn, type TakeLog } from "./connecting.js";
import { noteDiagnostics } from "./diagnosing.js";
import { offerEnvironment } from "./environment.js";
import { describeExplanation, type Explanation } from "./explanation.js";
import { Extending } from "./extending.js";
import { describeFindings, describeNoReport, parseFindings } from "./findings.js";
import { chooseEagerness, chooseLength, chooseModel, showMenu } from "./menu.js";
import { Offers } from "./offers.js";
import { Pages } from "./pages.js";
import { Pausing } from "./pausing.js";
import { commandLine, findLaunch, readOutput } from "./program.js";
import { Server } from "./server.js";
import { parseShippedModels } from "./shippedModels.js";
import { StatusBar } from "./statusBar.js";

const CHECK_WITHIN_MS = 180_000;
const LIST_WITHIN_MS = 30_000;

let running: Fimble | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  running = new Fimble(context);
  await running.start();
}

export async function deactivate(): Promise<void> {
  await running?.stop();
}

/** Holds the parts of one window together. */
class Fimble {
  private readonly log = vscode.window.createOutputChannel("Fimble", { log: true });
  private readonly statusBar = new StatusBar();
  private readonly pausing = new Pausing((command, argument) =>
    this.server.command(command, argument),
  );
  private readonly pages = new Pages();
  private readonly offers = new Offers((method, params) => this.server.notify(method, params));
  private readonly extending = new Extending(this.offers);
  private readonly server = new Server(
    (takeLog) => this.makeLink(takeLog),
    this.buildMiddleware(),
    this.log,
    {
      phase: (phase) => this.statusBar.takePhase(phase),
      greeted: () => {
        this.offers.forget();
        this.pausing.tellAll();
      },
      silences: (silences) => this.pausing.hear(silences),
      note: (note) => this.statusBar.takeNote(note),
      more: (note) => this.extending.take(note, this.activeUri()),
      loaded: (percent) => this.statusBar.takeLoaded(percent),
    },
  );

  constructor(private readonly context: vscode.ExtensionContext) {
    const { log, statusBar, pausing, pages, offers } = this;
    context.subscriptions.push(log, statusBar, pausing, pages, offers);
    context.subscriptions.push(registerAcceptingParts(offers), ...this.registerCommands());
    context.subscriptions.push(
      pausing.onDidChange(() => this.drawSilence()),
      vscode.window.onDidChangeActiveTextEditor((editor) => this.takeFocus(editor)),
      vscode.languages.onDidChangeDiagnostics(({ uris }) => this.takeDiagnostics(uris)),
      vscode.workspace.onDidChangeConfiguration((event) => this.takeSettings(event)),
    );
    this.drawSilence();
  }

  async start(): Promise<void> {
    const needsProgram = this.readSharedAddress() === undefined;
    if (needsProgram && findLaunch(this.context) === undefined) {
      const why = "Fimble's server is not on this machine.";
      this.statusBar.takePhase({ name: "stopped", why });
      // Not awaited: an offer that nobody answers must not keep the editor waiting.
      void offerEnvironment(this.context, this.log).then((isThere) =>
        isThere ? this.server.start() : undefined,
      );
      return;
    }
    await this.server.start();
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  private async makeLink(takeLog: TakeLog): Promise<Link> {
    const launch = findLaunch(this.context);
    const words = this.readSharedAddress();
    if (words !== undefined) {
      const address = parseAddress(words);
      if (address === undefined) {
        throw new Error(
          `Expected an address like unix:PATH or tcp:HOST:PORT; found "${words}". ` +
            "Correct the setting fimble.editor.shared_address.",
        );
      }
      return connectShared(launch, address, takeLog);
    }
    if (launch === undefined) {
      throw new Error("Fimble's server is not on this machine.");
    }
    this.log.info(`Starting ${commandLine(launch, ["serve"])} (${launch.origin})`);
    return startOwn(launch, takeLog);
  }

  /** Where windows share a server; undefined where each has its own. */
  private readSharedAddress(): string | undefined {
    const configuration = vscode.workspace.getConfiguration("fimble");
    if (configuration.get<unknown>("editor.server_mode") !== "shared") {
      return undefined;
    }
    const words = configuration.get<string>("editor.shared_address", "");
    if (words !== "") {
      return words;
    }
    const { uid } = os.userInfo();
    return defaultAddress(process.platform, process.env["XDG_RUNTIME_DIR"], os.tmpdir(), uid);
  }

  private buildMiddleware(): Middleware {
    return {
      provideInlineCompletionItems: async (document, position, context, token, next) => {
        if (this.pausing.silenceOf(document) !== undefined) {
          return [];
        }
        const answer =
          this.extending.answer(document, position, context) ??
          (await next(document, position, context, token));
        if (!token.isCancellationRequested) {
          const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
          this.offers.takeAnswer(document, position, items);
        }
        return answer;
      },
    };
  }

  private registerCommands(): vscode.Disposable[] {
    const active = (): vscode.TextDocument | undefined => vscode.window.activeTextEditor?.document;
    const withDocument = (act: (document: vscode.TextDocument) => unknown) => () => {
      const document = active();
      return document && act(document);
    };
    const commands: Record<string, () => unknown> = {
      showMenu: () => showMenu(this.pausing),
      pause: () => this.pausing.pauseForAWhile(),
      pauseFile: withDocument((document) => this.pausing.pauseFile(document)),
      resume: () => this.pausing.resume(active()),
      toggleLanguage: withDocument(({ languageId }) => this.pausing.toggleLanguage(languageId)),
      chooseEagerness,
      chooseLength,
      chooseModel: () => this.chooseModel(),
      explain: withDocument((document) => this.explain(document)),
      check: () => this.check(),
      restart: () => this.start(),
      showLog: () => this.log.show(),
      openSettings: () =>
        vscode.commands.executeCommand("workbench.action.openSettings", "@ext:fimble.fimble"),
    };
    return Object.entries(commands).map(([name, act]) =>
      vscode.commands.registerCommand(`fimble.${name}`, act),
    );
  }

  private async explain(document: vscode.TextDocument): Promise<void> {
    const client = this.server.client;
    if (client === undefined) {
      void vscode.window.showWarningMessage("Fimble's server is not running. See Fimble: Check.");
      return;
    }
    const uri = client.code2ProtocolConverter.asUri(document.uri);
    const why = await client.sendRequest<Explanation>("fimble/explain", { textDocument: { uri } });
    const name = vscode.workspace.asRelativePath(document.uri);
    const page = describeExplanation(why, name, this.pausing.silenceOf(document));
    await this.pages.show("Fimble, why", page);
  }

  private async check(): Promise<void> {
    const launch = findLaunch(this.context);
    if (launch === undefined) {
      await this.start();
      return;
    }
    const model = vscode.workspace.getConfiguration("fimble").inspect<string>("model.name");
    const name = model?.workspaceValue ?? model?.globalValue;
    const words = ["check", "--json", ...(name === undefined ? [] : ["--model", name])];
    const output = await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Window, title: "Fimble: Check" },
      () => readOutput(launch, words, CHECK_WITHIN_MS),
    );
    const findings = parseFindings(output.stdout);
    const command = commandLine(launch, words);
    const page = findings
      ? describeFindings(findings, command)
      : describeNoReport(command, output.stderr);
    await this.pages.show("Fimble, check", page);
  }

  private async chooseModel(): Promise<void> {
    const launch = findLaunch(this.context);
    const output = launch && (await readOutput(launch, ["models", "--json"], LIST_WITHIN_MS));
    await chooseModel(parseShippedModels(output?.stdout ?? ""));
  }

  /** What the server calls the document that is typed in; empty where there is none. */
  private activeUri(): string {
    const document = vscode.window.activeTextEditor?.document;
    const converter = this.server.client?.code2ProtocolConverter;
    return (document && converter?.asUri(document.uri)) ?? "";
  }

  private takeFocus(editor: vscode.TextEditor | undefined): void {
    this.drawSilence();
    const client = this.server.client;
    if (editor !== undefined && client !== undefined) {
      const uri = client.code2ProtocolConverter.asUri(editor.document.uri);
      this.server.notify("textDocument/didFocus", { textDocument: { uri } });
    }
  }

  /** Only of the document that is typed in: a whole project's are many, and of no use here. */
  private takeDiagnostics(uris: readonly vscode.Uri[]): void {
    const document = vscode.window.activeTextEditor?.document;
    const isOurs = uris.some((uri) => uri.toString() === document?.uri.toString());
    if (document !== undefined && isOurs && this.server.client !== undefined) {
      const found = vscode.languages.getDiagnostics(document.uri);
      this.server.notify("fimble/diagnostics", noteDiagnostics(this.activeUri(), found));
    }
  }

  private takeSettings(event: vscode.ConfigurationChangeEvent): void {
    if (event.affectsConfiguration("fimble.editor")) {
      void this.start();
    } else if (event.affectsConfiguration("fimble")) {
      this.server.sendSettings();
      this.drawSilence();
    }
  }

  private drawSilence(): void {
    const document = vscode.window.activeTextEditor?.document;
    this.statusBar.takeSilence(document && this.pausing.silenceOf(document));
  }
}
