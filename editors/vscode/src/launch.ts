/**
 * Which program serves, and the words for it where there is none. Pure: what exists is passed in.
 */

import os from "node:os";
import path from "node:path";

/** A program and what stands before the verb, like `python -P -m fimble_server`. */
export interface Launch {
  readonly program: string;
  readonly before: readonly string[];
  readonly origin: "setting" | "path" | "environment";
}

export interface Candidates {
  /** The setting `fimble.editor.command`; empty where it is not set. */
  readonly configured: readonly string[];
  readonly onPath: string | undefined;
  readonly inEnvironment: string | undefined;
}

/** The configured command, else the one on PATH, else the one we installed; undefined for none. */
export function chooseLaunch(candidates: Candidates): Launch | undefined {
  const [program, ...before] = candidates.configured;
  if (program !== undefined && program !== "") {
    return {
      program: expandHome(program),
      before: before.map((each) => expandHome(each)),
      origin: "setting",
    };
  }
  if (candidates.onPath !== undefined) {
    return { program: candidates.onPath, before: [], origin: "path" };
  }
  if (candidates.inEnvironment !== undefined) {
    return { program: candidates.inEnvironment, before: [], origin: "environment" };
  }
  return undefined;
}

/** `~/x` as the path it stands for; anything else as it is. */
export function expandHome(word: string, home: string = os.homedir()): string {
  return word === "~" || word.startsWith("~/") ? path.join(home, word.slice(1)) : word;
}

/** Where a program of this name may lie, in the order of PATH. */
export function pathCandidates(name: string, platform: string, pathVariable: string): string[] {
  const names = platform === "win32" ? [`${name}.exe`, `${name}.cmd`] : [name];
  const separator = platform === "win32" ? ";" : ":";
  return pathVariable
    .split(separator)
    .filter((folder) => folder !== "")
    .flatMap((folder) => names.map((each) => path.join(folder, each)));
}
