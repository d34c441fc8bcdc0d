/**
 * Takes the next word or line of what is shown, and tells the server how much was taken.
 *
 * The editor does the taking; its stable API tells nobody. So the keys are bound to commands of
 * ours, which run the editor's own and look at the edit that it made.
 */

import * as vscode from "vscode";

import type { Offers } from "./offers.js";

/** Our commands, and the editor's that do the work. */
const PARTS: Readonly<Record<string, string>> = {
  "fimble.acceptNextWord": "editor.action.inlineSuggest.acceptNextWord",
  "fimble.acceptNextLine": "editor.action.inlineSuggest.acceptNextLine",
};

export function registerAcceptingParts(offers: Offers): vscode.Disposable {
  return vscode.Disposable.from(
    ...Object.entries(PARTS).map(([name, builtIn]) =>
      vscode.commands.registerCommand(name, () => acceptPart(builtIn, offers)),
    ),
  );
}

async function acceptPart(builtIn: string, offers: Offers): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  // Taken before the edit: the answer to what is asked after it may be here sooner than we are.
  const offer = document && offers.current(document);
  let end: vscode.Position | undefined;
  const listening = vscode.workspace.onDidChangeTextDocument((event) => {
    if (event.document === document) {
      end ??= endOfEdit(event);
    }
  });
  try {
    await vscode.commands.executeCommand(builtIn);
  } finally {
    listening.dispose();
  }
  if (offer !== undefined && end !== undefined) {
    offers.tellTaken(offer, end);
  }
}

/** Where the text that an edit put in ends. */
function endOfEdit({
  document,
  contentChanges,
}: vscode.TextDocumentChangeEvent): vscode.Position | undefined {
  const [change] = contentChanges;
  return change && document.positionAt(change.rangeOffset + change.text.length);
}
