/** Finds the program that serves, runs it for its output, and starts it. Decides nothing. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { promisify } from "node:util";

import * as vscode from "vscode";

import { environmentProgram } from "./environment.js";
import { chooseLaunch, type Launch, pathCandidates } from "./launch.js";

const run = promisify(execFile);
const MOST_OUTPUT_BYTES = 10 * 2 ** 20;

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** The program by the setting, else on PATH, else in our environment; undefined for none. */
export function findLaunch(context: vscode.ExtensionContext): Launch | undefined {
  const configured = vscode.workspace.getConfiguration("fimble").get<unknown>("editor.command");
  return chooseLaunch({
    configured: Array.isArray(configured) ? configured.map(String) : [],
    onPath: pathCandidates("fimble", process.platform, process.env["PATH"] ?? "").find(isProgram),
    inEnvironment: [environmentProgram(context)].find(isProgram),
  });
}

/** A verb of the program as one would type it. */
export function commandLine(launch: Launch, words: readonly string[]): string {
  return [launch.program, ...launch.before, ...words].join(" ");
}

/** Run a verb to its end. A failing exit code is no error: what it said is what counts. */
export async function readOutput(
  launch: Launch,
  words: readonly string[],
  timeoutMs: number,
): Promise<Output> {
  try {
    return await run(launch.program, [...launch.before, ...words], {
      timeout: timeoutMs,
      maxBuffer: MOST_OUTPUT_BYTES,
    });
  } catch (error) {
    const { stdout = "", stderr = "", message = "" } = error as Partial<Output & Error>;
    return { stdout, stderr: stderr === "" ? message : stderr };
  }
}

/** Start a verb; rejects where there is no such program. */
export function startProgram(launch: Launch, words: readonly string[]): Promise<ChildProcess> {
  const child = spawn(launch.program, [...launch.before, ...words], { stdio: "pipe" });
  return new Promise((resolve, reject) => {
    child.once("spawn", () => resolve(child));
    child.once("error", reject);
  });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
