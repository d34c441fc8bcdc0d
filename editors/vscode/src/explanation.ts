/** Why there is a suggestion or none, as a page to read. Pure: the answer of `fimble/explain` in. */

interface Suggested {
  readonly text: string;
  readonly confidence: number;
}

interface Hidden {
  readonly text: string;
  readonly reason: string;
}

/** The answer to `fimble/explain`. All but `silence` is missing where nothing was asked yet. */
export interface Explanation {
  readonly silence: string | null;
  readonly mode?: string;
  readonly rule?: string;
  readonly source?: string;
  readonly plan?: { readonly max_lines: number; readonly min_confidence: number };
  readonly suggestions?: readonly Suggested[];
  readonly n_shown?: number;
  readonly hidden?: readonly Hidden[];
  readonly tokens?: {
    readonly prompt: number;
    readonly reused: number;
    readonly generated: number;
  };
  readonly timing_ms?: {
    readonly total: number;
    readonly queue: number;
    readonly prefill: number;
    readonly decode: number;
  };
  readonly model?: {
    readonly name: string;
    readonly device: string;
    readonly dtype: string;
  } | null;
}

/** The page, in Markdown. `silence` is the editor's own reason, which the server cannot know. */
export function describeExplanation(
  why: Explanation,
  fileName: string,
  silence: string | undefined,
): string {
  const lines = [`# Why Fimble suggests what it does in ${fileName}`, ""];
  const reason = silence ?? why.silence;
  if (reason !== null) {
    lines.push(`Nothing is asked for this file now: ${reason}.`, "");
  }
  if (why.mode === undefined) {
    lines.push("Nothing was asked for in this file yet. Type something, then look here again.");
  } else {
    lines.push(describeOutcome(why), "", ...describeDecision(why), ...describeTexts(why));
  }
  return lines.join("\n") + "\n";
}

function describeOutcome({ suggestions = [], n_shown, hidden = [] }: Explanation): string {
  const nShown = n_shown ?? suggestions.length;
  if (nShown > 0) {
    return `The last request was answered with ${countOf(nShown, "suggestion")}.`;
  }
  if (suggestions.length > 0) {
    return "The answer came too late: the text had changed meanwhile.";
  }
  if (hidden.length > 0) {
    return "The last request was answered with nothing: what the model wrote was held back.";
  }
  return "The last request was answered with nothing: the model wrote nothing here.";
}

function describeDecision(why: Explanation): string[] {
  const lines = ["## How it was decided", "", `- mode: ${why.mode}, by the rule \`${why.rule}\``];
  if (why.plan !== undefined) {
    const { max_lines, min_confidence } = why.plan;
    const confidence = min_confidence.toFixed(2);
    lines.push(`- at most ${countOf(max_lines, "line")}, shown from confidence ${confidence} on`);
  }
  if (why.source !== undefined) {
    lines.push(`- answered from: ${why.source}`);
  }
  if (why.model !== undefined && why.model !== null) {
    lines.push(`- model: ${why.model.name} on ${why.model.device} (${why.model.dtype})`);
  }
  if (why.tokens !== undefined) {
    const { prompt, reused, generated } = why.tokens;
    lines.push(
      `- tokens: ${prompt} in the prompt, ${reused} of them reused, ${generated} generated`,
    );
  }
  if (why.timing_ms !== undefined) {
    const { total, queue, prefill, decode } = why.timing_ms;
    const [all, ...parts] = [total, queue, prefill, decode].map((each) => each.toFixed(0));
    lines.push(
      `- milliseconds: ${all} in all; ${parts[0]} queue, ${parts[1]} prefill, ${parts[2]} decode`,
    );
  }
  return [...lines, ""];
}

function describeTexts({ suggestions = [], hidden = [] }: Explanation): string[] {
  const lines: string[] = [];
  if (suggestions.length > 0) {
    lines.push("## Suggested", "");
    for (const { text, confidence } of suggestions) {
      lines.push(`Confidence ${confidence.toFixed(2)}:`, "", ...fenced(text), "");
    }
  }
  if (hidden.length > 0) {
    lines.push("## Held back", "");
    for (const { text, reason } of hidden) {
      lines.push(`Because: ${reason}`, "", ...fenced(text), "");
    }
  }
  return lines;
}

/** A block that no text can close: its fence is longer than any in the text. */
function fenced(text: string): string[] {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  return [fence, text, fence];
}

function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
