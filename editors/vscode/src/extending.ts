/**
 * Lengthens the suggestion on the screen when the server says that the rest of it is written.
 *
 * The editor has no way to take more of an answer, so it is made to ask again; the server then
 * answers from memory. Owns the one thing that must be different about such a request: it is not
 * one that the user made.
 */

import * as vscode from "vscode";
import type { ClientCapabilities, FeatureState, StaticFeature } from "vscode-languageclient/node";

import type { Offers } from "./offers.js";

/** The parameters of `fimble/more`; the item itself comes with the next answer. */
export interface MoreNote {
  readonly textDocument: { readonly uri: string; readonly version: number };
  readonly id: string;
}

/** A request that we caused comes at once, or not at all. Guessed. */
const ASKED_WITHIN_MS = 1000;

/** Keeps the invariant that at most the next request counts as ours. */
export class Extending {
  private asksSinceMs: number | undefined;

  constructor(private readonly offers: Offers) {}

  /** Ask again, where what is to be lengthened is what the editor holds. */
  take(note: MoreNote, toUri: (document: vscode.TextDocument) => string): void {
    const document = vscode.window.activeTextEditor?.document;
    if (document?.version !== note.textDocument.version) {
      return;
    }
    if (toUri(document) === note.textDocument.uri && this.offers.holds(document, note.id)) {
      this.asksSinceMs = Date.now();
      void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
    }
  }

  /** The context to ask the server in: of a request that we caused, nobody pressed a key for it. */
  contextOf(context: vscode.InlineCompletionContext): vscode.InlineCompletionContext {
    const sinceMs = this.asksSinceMs;
    this.asksSinceMs = undefined;
    if (sinceMs === undefined || Date.now() - sinceMs > ASKED_WITHIN_MS) {
      return context;
    }
    return { ...context, triggerKind: vscode.InlineCompletionTriggerKind.Automatic };
  }
}

/** Tells the server that this client takes `fimble/more`. */
export const announceMore: StaticFeature = {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    const others = capabilities.experimental as Record<string, unknown> | undefined;
    capabilities.experimental = { ...others, fimble: { more: true } };
  },
  initialize(): void {
    // Nothing depends on what the server announces: one that sends nothing is never heard.
  },
  getState: (): FeatureState => ({ kind: "static" }),
  clear(): void {
    // It keeps nothing.
  },
};
