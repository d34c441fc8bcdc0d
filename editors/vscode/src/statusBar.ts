/** The entry in the status bar: draws what `planStatus` says. Owns the last word from the server. */

import * as vscode from "vscode";

import { type Circumstances, type Phase, planStatus, type StatusNote } from "./status.js";

const BACKGROUNDS: Readonly<Record<string, string>> = {
  warning: "statusBarItem.warningBackground",
  error: "statusBarItem.errorBackground",
};

export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    "fimble.status",
    vscode.StatusBarAlignment.Right,
    100,
  );
  private now: Circumstances = {
    phase: { name: "starting" },
    note: undefined,
    wasReady: false,
    loadedPercent: undefined,
    silence: undefined,
  };

  constructor() {
    this.item.name = "Fimble";
    this.item.command = "fimble.showMenu";
    this.draw();
    this.item.show();
  }

  takePhase(phase: Phase): void {
    const isNew = phase.name !== "running";
    this.update(isNew ? { phase, note: undefined, wasReady: false } : { phase });
  }

  takeNote(note: StatusNote): void {
    const wasReady = this.now.wasReady || (note.kind === "Normal" && !note.busy);
    this.update({ note, wasReady });
  }

  takeLoaded(loadedPercent: number | undefined): void {
    this.update({ loadedPercent });
  }

  takeSilence(silence: string | undefined): void {
    this.update({ silence });
  }

  dispose(): void {
    this.item.dispose();
  }

  private update(news: Partial<Circumstances>): void {
    this.now = { ...this.now, ...news };
    this.draw();
  }

  private draw(): void {
    const words = planStatus(this.now);
    this.item.text = words.text;
    this.item.tooltip = words.tooltip;
    this.item.accessibilityInformation = { label: `Fimble: ${words.state}. ${words.tooltip}` };
    const background = BACKGROUNDS[words.state];
    this.item.backgroundColor = background && new vscode.ThemeColor(background);
  }
}
