/**
 * A Python environment of Fimble's own, made where the editor keeps an extension's things.
 *
 * Installs the package that came with this extension, so that both are of one version; what that
 * package needs, pip fetches. Made only when the user says so, and made whole: a failed one goes.
 */

import { spawn } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import path from "node:path";

import * as vscode from "vscode";

import { findSource, planInstall, type Step } from "./installing.js";

/** Where the program lies once the environment is made. */
export function environmentProgram(context: vscode.ExtensionContext): string {
  return inEnvironment(context, "fimble");
}

/** Offer to make the environment; true once it is there. */
export async function offerEnvironment(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const install = "Install Fimble";
  const answer = await vscode.window.showInformationMessage(
    "Fimble's server is not on this machine. Install it for this editor? " +
      "It makes a Python environment and fetches PyTorch, which is large.",
    install,
    "Choose a Command",
  );
  if (answer === install) {
    return makeEnvironment(context, log);
  }
  if (answer !== undefined) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "fimble.editor.command");
  }
  return false;
}

async function makeEnvironment(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const folder = environmentFolder(context);
  const steps = planInstall({
    python: process.platform === "win32" ? "py" : "python3",
    folder,
    environmentPython: inEnvironment(context, "python"),
    packageName: findPackage(context),
    pipArguments: readPipArguments(),
  });
  const options = {
    location: vscode.ProgressLocation.Notification,
    title: "Installing Fimble",
    cancellable: true,
  };
  return vscode.window.withProgress(options, async (progress, token) => {
    try {
      for (const step of steps) {
        progress.report({ message: step.words, increment: 0 });
        await runStep(step, log, token, (line) => progress.report({ message: line }));
      }
      return true;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      if (!token.isCancellationRequested) {
        void vscode.window.showErrorMessage(`Fimble was not installed. ${String(error)}`);
      }
      return false;
    }
  });
}

/** Run one step; rejects with its last words where it fails or is cancelled. */
function runStep(
  step: Step,
  log: vscode.LogOutputChannel,
  token: vscode.CancellationToken,
  onLine: (line: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(step.program, [...step.arguments], { stdio: ["ignore", "pipe", "pipe"] });
    let lastWords = "";
    const listening = token.onCancellationRequested(() => child.kill());
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        for (const line of text.split("\n").filter((each) => each.trim() !== "")) {
          lastWords = line.trim();
          log.info(lastWords);
          onLine(lastWords.slice(0, 80));
        }
      });
    }
    child.on("error", (error) => {
      listening.dispose();
      reject(new Error(`Expected the program ${step.program}; ${error.message}. ${step.toDo}`));
    });
    child.on("close", (code) => {
      listening.dispose();
      if (code === 0) {
        resolve();
      } else {
        reject(new Error(`${step.words} ended with code ${code}: ${lastWords}. ${step.toDo}`));
      }
    });
  });
}

function environmentFolder(context: vscode.ExtensionContext): string {
  return path.join(context.globalStorageUri.fsPath, "environment");
}

function inEnvironment(context: vscode.ExtensionContext, name: string): string {
  const folder = environmentFolder(context);
  return process.platform === "win32"
    ? path.join(folder, "Scripts", `${name}.exe`)
    : path.join(folder, "bin", name);
}

function findPackage(context: vscode.ExtensionContext): string {
  const folder = context.asAbsolutePath("server");
  try {
    const source = findSource(readdirSync(folder));
    return source === undefined ? "fimble" : path.join(folder, source);
  } catch {
    return "fimble"; // Not packaged with one: by name, from where pip looks.
  }
}

function readPipArguments(): string[] {
  const words = vscode.workspace.getConfiguration("fimble").get<unknown>("editor.pip_arguments");
  return Array.isArray(words) ? words.map(String) : [];
}
