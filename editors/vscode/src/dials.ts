/** What the menu offers for a dial, and which of it is chosen now. Pure. */

export interface Choice {
  readonly label: string;
  readonly detail: string;
  /** Dotted setting under `fimble`, and its value. */
  readonly values: Readonly<Record<string, unknown>>;
}

export const EAGERNESS: readonly Choice[] = [
  choice("Quiet", "Only what is nearly certain", { "completion.eagerness": 0.2 }),
  choice("Balanced", "What is likely", { "completion.eagerness": 0.5 }),
  choice("Eager", "Also what is a guess", { "completion.eagerness": 0.8 }),
  choice("Everything", "Whatever the model writes", { "completion.eagerness": 1 }),
];

export const LENGTH: readonly Choice[] = [
  choice("Line", "Never more than the line", { "completion.length": "line" }),
  choice("Block", "At most some lines of a block", { "completion.length": "block" }),
  choice("Function", "Whole bodies where you look for a way", { "completion.length": "function" }),
];

/** Whether all of a choice's values are those that hold now. */
export function isChosen(choice: Choice, read: (setting: string) => unknown): boolean {
  return Object.entries(choice.values).every(([setting, value]) => read(setting) === value);
}

function choice(label: string, detail: string, values: Record<string, unknown>): Choice {
  return { label, detail, values };
}
