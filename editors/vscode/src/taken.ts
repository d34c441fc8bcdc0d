/**
 * How much of a suggestion stands in the text now. Pure.
 *
 * The editor's stable API does not tell which part of a suggestion was taken, so it is read off
 * the text between the suggestion's start and the end of what was just inserted. Lengths are in
 * UTF-16 units, as JavaScript and LSP count: of "😀b" the first character is 2.
 */

export interface Taken {
  readonly index: number;
  /** Units of the suggestion's own text, line breaks counted as the suggestion writes them. */
  readonly acceptedLength: number;
  readonly isWhole: boolean;
}

/** The first of `texts` that begins with `present`; undefined where none does. */
export function findTaken(texts: readonly string[], present: string): Taken | undefined {
  for (const [index, text] of texts.entries()) {
    const acceptedLength = countCommon(text, present);
    if (acceptedLength !== undefined) {
      return { index, acceptedLength, isWhole: acceptedLength === text.length };
    }
  }
  return undefined;
}

/** Units of `text` that `present` stands for, where `text` begins with it; a line break is one. */
function countCommon(text: string, present: string): number | undefined {
  let inText = 0;
  let inPresent = 0;
  while (inPresent < present.length) {
    const breakInText = breakLength(text, inText);
    const breakInPresent = breakLength(present, inPresent);
    if (breakInText > 0 && breakInPresent > 0) {
      inText += breakInText;
      inPresent += breakInPresent;
    } else if (text[inText] === present[inPresent]) {
      inText += 1;
      inPresent += 1;
    } else {
      return undefined;
    }
  }
  return inText;
}

function breakLength(text: string, at: number): number {
  if (text.startsWith("\r\n", at)) {
    return 2;
  }
  return text[at] === "\n" || text[at] === "\r" ? 1 : 0;
}
