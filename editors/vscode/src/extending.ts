/**
 * Lengthens the suggestion on the screen when the server says that the rest of it is written.
 *
 * The editor takes no more of an answer, so it is made to ask again, and is answered at once with
 * what the server sent. Asked so, it keeps what it shows at the head of its new list: "show next"
 * asks and then goes on to the longer text, in one step. It does not ask twice at one place,
 * though; where the user had asked, what is shown must be put away first.
 */

import * as vscode from "vscode";
import type { ClientCapabilities, FeatureState, StaticFeature } from "vscode-languageclient/node";

import { type Offers, textOf } from "./offers.js";

/** The parameters of `fimble/more`; its item is of the type that `T` says. */
export interface MoreNote<T = object> {
  readonly textDocument: { readonly uri: string; readonly version: number };
  readonly id: string;
  readonly item: T;
}

const SHOW_NEXT = ["editor.action.inlineSuggest.showNext"];
const SHOW_ANEW = ["editor.action.inlineSuggest.hide", "editor.action.inlineSuggest.trigger"];

/** A place in a text as it was when something was asked there. */
interface Place {
  readonly document: vscode.TextDocument;
  readonly version: number;
  readonly position: vscode.Position;
}

interface Longer extends Place {
  readonly item: vscode.InlineCompletionItem;
}

/** Keeps the invariant that the longer text is given only where the shorter one stands. */
export class Extending {
  private longer: Longer | undefined;
  private askedByHand: Place | undefined;

  constructor(private readonly offers: Offers) {}

  /** Lengthen what stands at the cursor, if the note is about that alone and adds to it. */
  take(note: MoreNote<vscode.InlineCompletionItem>, uri: string): void {
    const editor = vscode.window.activeTextEditor;
    if (editor === undefined || uri !== note.textDocument.uri) {
      return;
    }
    const { document, selection } = editor;
    const place = { document, version: document.version, position: selection.active };
    const shown = this.offers.alone(document, selection.active, note.id);
    if (
      shown !== undefined &&
      note.textDocument.version === document.version &&
      isLonger(document, note.item, shown)
    ) {
      this.longer = { ...place, item: note.item };
      void runAll(isSame(this.askedByHand, place) ? SHOW_ANEW : SHOW_NEXT);
    }
  }

  /** The answer to a request that was made for the longer text; undefined for all others. */
  answer(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
  ): vscode.InlineCompletionItem[] | undefined {
    const place = { document, version: document.version, position };
    const isByHand = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke;
    this.askedByHand = isByHand ? place : undefined;
    const { longer } = this;
    this.longer = undefined;
    return longer !== undefined && isByHand && isSame(longer, place) ? [longer.item] : undefined;
  }
}

async function runAll(commands: readonly string[]): Promise<void> {
  await Promise.all(commands.map((each) => vscode.commands.executeCommand(each)));
}

/** Whether a suggestion goes on where another ends: what was read stays as it was. */
function isLonger(
  document: vscode.TextDocument,
  longer: vscode.InlineCompletionItem,
  shown: vscode.InlineCompletionItem,
): boolean {
  const [after, before] = [longer, shown].map((item) => lineWith(document, item));
  return after !== before && after?.startsWith(before ?? "") === true;
}

/** The line at a suggestion's start, and then the suggestion. */
function lineWith(document: vscode.TextDocument, item: vscode.InlineCompletionItem): string {
  const start = item.range?.start ?? new vscode.Position(0, 0);
  return document.getText(new vscode.Range(start.with({ character: 0 }), start)) + textOf(item);
}

function isSame(one: Place | undefined, other: Place): boolean {
  return (
    one?.document === other.document &&
    one.version === other.version &&
    one.position.isEqual(other.position)
  );
}

/** Tells the server what this client takes: `fimble/more` and `fimble/didChangeSilences`. */
export const announceMore: StaticFeature = {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    const others = capabilities.experimental as Record<string, unknown> | undefined;
    capabilities.experimental = { ...others, fimble: { more: true, silences: true } };
  },
  initialize(): void {
    // Nothing depends on what the server announces: one that sends nothing is never heard.
  },
  getState: (): FeatureState => ({ kind: "static" }),
  clear(): void {
    // It keeps nothing.
  },
};
