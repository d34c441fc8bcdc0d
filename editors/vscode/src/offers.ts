/**
 * What was offered to the editor last, and what became of it, told to the server.
 *
 * Owns the newest answer. The editor says when a whole suggestion was taken, by running its
 * command; that one was shown, or taken in part, is read off what can be seen: see `takeAnswer`
 * and `AcceptingParts`. Nothing is told where it cannot be known.
 */

import * as vscode from "vscode";

import { findTaken } from "./taken.js";

/** Guessed: the editor has drawn an answer by then, and few have typed on. */
const SHOWN_AFTER_MS = 150;

/** Tells the server; does nothing where none runs. */
export type Notify = (method: string, params: object) => void;

interface Offer {
  readonly document: vscode.TextDocument;
  readonly items: readonly vscode.InlineCompletionItem[];
  readonly start: vscode.Position;
  /** Where the cursor stood. */
  readonly position: vscode.Position;
}

/** Keeps the newest offer only: the editor shows no other. */
export class Offers implements vscode.Disposable {
  private offer: Offer | undefined;
  private shownTimer: NodeJS.Timeout | undefined;
  private toldShown: string | undefined;

  constructor(private readonly notify: Notify) {}

  /**
   * An answer went to the editor. Where nothing was typed and the cursor did not move for a
   * moment after, its first suggestion counts as shown.
   */
  takeAnswer(
    document: vscode.TextDocument,
    position: vscode.Position,
    items: readonly vscode.InlineCompletionItem[],
  ): void {
    clearTimeout(this.shownTimer);
    const [first] = items;
    if (first === undefined) {
      this.offer = undefined;
      return;
    }
    this.offer = { document, items, start: first.range?.start ?? position, position };
    const version = document.version;
    this.shownTimer = setTimeout(() => {
      const editor = vscode.window.activeTextEditor;
      const isAsBefore =
        editor?.document === document &&
        document.version === version &&
        editor.selection.active.isEqual(position);
      if (isAsBefore) {
        this.tellShown(first);
      }
    }, SHOWN_AFTER_MS);
  }

  /** The suggestion of this id, where the newest answer was it alone, at this position. */
  alone(
    document: vscode.TextDocument,
    position: vscode.Position,
    id: string,
  ): vscode.InlineCompletionItem | undefined {
    const offer = this.current(document);
    const [item, ...others] = offer?.items ?? [];
    const isAlone = others.length === 0 && offer?.position.isEqual(position) === true;
    return isAlone && item !== undefined && idOf(item) === id ? item : undefined;
  }

  /** What may be taken a part of now, whichever of its candidates is on the screen. */
  current(document: vscode.TextDocument): Offer | undefined {
    return this.offer?.document === document ? this.offer : undefined;
  }

  /**
   * Text up to `end` came from `offer`: tell how much of it is there now. A suggestion that is
   * there as a whole is told by the editor, which runs its command.
   */
  tellTaken(offer: Offer, end: vscode.Position): void {
    if (end.isBefore(offer.start)) {
      return;
    }
    const present = offer.document.getText(new vscode.Range(offer.start, end));
    const taken = findTaken(offer.items.map(textOf), present);
    const item = taken && offer.items[taken.index];
    if (taken === undefined || item === undefined || taken.isWhole || taken.acceptedLength === 0) {
      return;
    }
    this.notify("textDocument/didPartiallyAcceptCompletion", {
      item: toLsp(item),
      acceptedLength: taken.acceptedLength,
    });
  }

  /** Another server begins: what the last one offered is over, and it numbers from the start. */
  forget(): void {
    clearTimeout(this.shownTimer);
    this.offer = undefined;
    this.toldShown = undefined;
  }

  dispose(): void {
    clearTimeout(this.shownTimer);
  }

  private tellShown(item: vscode.InlineCompletionItem): void {
    const id = idOf(item);
    if (id !== this.toldShown) {
      this.toldShown = id;
      this.notify("textDocument/didShowCompletion", { item: toLsp(item) });
    }
  }
}

export function textOf(item: vscode.InlineCompletionItem): string {
  return typeof item.insertText === "string" ? item.insertText : item.insertText.value;
}

function idOf(item: vscode.InlineCompletionItem): string {
  return String(item.command?.arguments?.[0]);
}

function toLsp(item: vscode.InlineCompletionItem): object {
  const { range, command } = item;
  return {
    insertText: textOf(item),
    ...(range === undefined
      ? {}
      : { range: { start: pointOf(range.start), end: pointOf(range.end) } }),
    ...(command === undefined ? {} : { command: { ...command } }),
  };
}

function pointOf({ line, character }: vscode.Position): object {
  return { line, character };
}
