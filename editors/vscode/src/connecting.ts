/** Ways to a server: a process of our own over its pipes, or one that many windows share. */

import type { ChildProcess } from "node:child_process";
import net from "node:net";

import type { StreamInfo } from "vscode-languageclient/node";

import type { Address } from "./address.js";
import type { Launch } from "./launch.js";
import { startProgram } from "./program.js";

/** A shared server is there at once but for Python's start. */
const CONNECT_WITHIN_MS = 20_000;
const RETRY_MS = 100;

export interface Link {
  readonly streams: StreamInfo;
  /** The process, where it is ours to end. */
  readonly child: ChildProcess | undefined;
}

/** Hears what a server writes to its log. */
export type TakeLog = (text: string) => void;

/** Start a server for this window alone. */
export async function startOwn(launch: Launch, takeLog: TakeLog): Promise<Link> {
  const child = await startProgram(launch, ["serve", "--stdio"]);
  child.stderr?.setEncoding("utf8").on("data", takeLog);
  if (child.stdout === null || child.stdin === null) {
    throw new Error("The server's pipes could not be had.");
  }
  return { streams: { reader: child.stdout, writer: child.stdin }, child };
}

/**
 * Connect to the server that listens at an address; where none does, start it there first. Of two
 * windows that start one at once, the address takes one, and both connect to it.
 */
export async function connectShared(
  launch: Launch | undefined,
  address: Address,
  takeLog: TakeLog,
): Promise<Link> {
  const there = await tryConnect(address);
  if (there !== undefined) {
    return { streams: toStreams(there), child: undefined };
  }
  if (launch === undefined) {
    throw new Error(`No server listens on ${address.words}, and there is no program to start one.`);
  }
  const child = await startProgram(launch, ["serve", "--listen", address.words]);
  child.stderr?.setEncoding("utf8").on("data", takeLog);
  child.stdout?.resume();
  const endMs = Date.now() + CONNECT_WITHIN_MS;
  while (Date.now() < endMs) {
    const socket = await tryConnect(address);
    if (socket !== undefined) {
      return { streams: toStreams(socket), child: child.exitCode === null ? child : undefined };
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  child.kill();
  throw new Error(`The server did not listen on ${address.words} within 20 s.`);
}

function tryConnect(address: Address): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(address.target);
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(undefined));
  });
}

function toStreams(socket: net.Socket): StreamInfo {
  socket.on("error", () => socket.destroy()); // Its closing is what is heard.
  return { reader: socket, writer: socket };
}
