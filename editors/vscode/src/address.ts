/** Where windows that share a server meet. Pure. */

import path from "node:path";

export interface Address {
  /** As `fimble serve --listen` takes it. */
  readonly words: string;
  /** As `net.connect` takes it. */
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number };
}

/**
 * The address in `words`, which are like the server's own: `unix:PATH` or `tcp:HOST:PORT`.
 * Undefined where they are neither.
 */
export function parseAddress(words: string): Address | undefined {
  if (words.startsWith("unix:") && words.length > "unix:".length) {
    return { words, target: { path: words.slice("unix:".length) } };
  }
  const match = /^tcp:(?<host>.*):(?<port>\d{1,5})$/.exec(words);
  const port = Number(match?.groups?.["port"]);
  if (match === null || port < 1 || port > 65_535) {
    return undefined;
  }
  const host = (match.groups?.["host"] ?? "").replace(/^\[|\]$/g, "");
  return { words, target: { host: host === "" ? "127.0.0.1" : host, port } };
}

/** One user's own place: a socket that only they may open, or a port where there are none. */
export function defaultAddress(
  platform: string,
  runtimeFolder: string | undefined,
  temporaryFolder: string,
  userId: number,
): string {
  if (platform === "win32") {
    return "tcp:127.0.0.1:47113"; // Guessed: a port that nobody registered.
  }
  return `unix:${path.join(runtimeFolder ?? temporaryFolder, `fimble-${userId}.sock`)}`;
}
