/** What a click on the status bar offers, and the pickers behind it. */

import * as vscode from "vscode";

import { type Choice, EAGERNESS, isChosen, LENGTH } from "./dials.js";
import type { Pausing } from "./pausing.js";

interface Entry extends vscode.QuickPickItem {
  readonly command?: string;
}

export async function showMenu(pausing: Pausing): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const chosen = await vscode.window.showQuickPick(entriesFor(document, pausing), {
    placeHolder: "Fimble",
  });
  if (chosen?.command !== undefined) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

function entriesFor(document: vscode.TextDocument | undefined, pausing: Pausing): Entry[] {
  const entries: Entry[] = [];
  if (pausing.isPaused(document)) {
    entries.push(entry("play", "Resume", "fimble.resume"));
  } else {
    entries.push(entry("debug-pause", "Pause for 10 minutes", "fimble.pause"));
    if (document !== undefined) {
      entries.push(entry("debug-pause", "Pause in this file", "fimble.pauseFile"));
    }
  }
  if (document !== undefined) {
    const turn = pausing.isOff(document.languageId) ? "Turn on" : "Turn off";
    const words = `${turn} in ${document.languageId} files`;
    entries.push(entry("circle-slash", words, "fimble.toggleLanguage"));
  }
  return [
    ...entries,
    entry("question", "Why this suggestion, or why nothing", "fimble.explain"),
    entry("dashboard", "How eager", "fimble.chooseEagerness"),
    entry("list-flat", "How long", "fimble.chooseLength"),
    entry("chip", "Which model", "fimble.chooseModel"),
    entry("pulse", "Check", "fimble.check"),
    entry("refresh", "Restart the server", "fimble.restart"),
    entry("output", "Show the log", "fimble.showLog"),
    entry("gear", "Settings", "fimble.openSettings"),
  ];
}

function entry(icon: string, label: string, command: string): Entry {
  return { label: `$(${icon}) ${label}`, command };
}

export const chooseEagerness = (): Promise<void> => chooseDial(EAGERNESS, "How eager is Fimble?");
export const chooseLength = (): Promise<void> => chooseDial(LENGTH, "How long may suggestions be?");

async function chooseDial(choices: readonly Choice[], placeHolder: string): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("fimble");
  const chosen = await vscode.window.showQuickPick(
    choices.map((each) => ({
      ...each,
      description: isChosen(each, (setting) => configuration.get(setting)) ? "now" : "",
    })),
    { placeHolder },
  );
  for (const [setting, value] of Object.entries(chosen?.values ?? {})) {
    await configuration.update(setting, value, vscode.ConfigurationTarget.Global);
  }
}

/** `shipped` are the models that come with the server. */
export async function chooseModel(shipped: readonly string[]): Promise<void> {
  const configuration = vscode.workspace.getConfiguration("fimble");
  const current = configuration.get<unknown>("model.name");
  const folder = "$(folder) A folder with a model";
  const entries: vscode.QuickPickItem[] = [
    ...shipped.map((label) => ({ label, description: label === current ? "now" : "" })),
    ...(typeof current === "string" && !shipped.includes(current)
      ? [{ label: current, description: "now" }]
      : []),
    { label: folder },
  ];
  const chosen = await vscode.window.showQuickPick(entries, { placeHolder: "Which model?" });
  const name = chosen?.label === folder ? await pickFolder() : chosen?.label;
  if (name !== undefined) {
    await configuration.update("model.name", name, vscode.ConfigurationTarget.Global);
  }
}

async function pickFolder(): Promise<string | undefined> {
  const picked = await vscode.window.showOpenDialog({
    canSelectFiles: false,
    canSelectFolders: true,
    title: "A folder with config.json, tokenizer.json and safetensors",
  });
  return picked?.[0]?.fsPath;
}
