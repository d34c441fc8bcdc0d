// Milliseconds from a key to the ghost text that it brings, as a user of VS Code sees them.
//
//   .cache/vscode/node tests/e2e/vscode/latency.mjs [N_KEYS]
//
// Types real lines into a real file, in a real VS Code with the real server and the shipped model,
// at its default settings. Time is the browser's: from the key's event to the first frame after it
// that shows dim text fit for the line. Keys that bring none are counted, not timed. Ends in one
// line of JSON; `.venv/bin/python tests/e2e/vscode/keep_latency.py` puts the machine beside it.

import { findLack, RealEditor } from "./real_editor.mjs";

const BETWEEN_KEYS_MS = 250;
const TEXT = `from dataclasses import dataclass


@dataclass
class Item:
    name: str
    price: float
    quantity: int


def total_price(items: list[Item]) -> float:
    total = 0.0
    for item in items:
        total += item.price * item.quantity
    return total


`;
const TYPED = [
  "def total_quantity(items: list[Item]) -> int:",
  "total = 0", // The editor indents by itself.
  "for item in items:",
  "total += item.quantity",
].join("\n");

/** Runs in the browser: for each key, when the dim text that stood after it came. */
function startTiming(editor) {
  const keys = [];
  const ghost = () =>
    [...editor.querySelectorAll(".view-lines [class*='ghost-text-decoration']")]
      .filter((each) => each.getClientRects().length > 0)
      .map((each) => each.textContent ?? "")
      .join("");
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key.length === 1 || event.key === "Enter") {
        keys.push({ key: event.key, atMs: event.timeStamp, ghostMs: null, before: ghost() });
      }
    },
    true,
  );
  const look = () => {
    const key = keys.at(-1);
    const now = ghost();
    if (key !== undefined && now === "") {
      key.ghostMs = null; // It came, and was taken away again: wait for the next.
    } else if (key !== undefined && key.ghostMs === null && now !== key.before) {
      key.ghostMs = performance.now() - key.atMs;
      key.isTypedAlong = key.before[0] === key.key && key.before.slice(1).startsWith(now);
    }
    requestAnimationFrame(look);
  };
  look();
  editor.fimbleKeys = () => keys;
}

function summarize(keys) {
  const times = keys.map((key) => Math.round(key.ghostMs)).sort((left, right) => left - right);
  const quantile = (share) => times[Math.min(times.length - 1, Math.floor(share * times.length))];
  return { n_keys: times.length, median_ms: quantile(0.5), p95_ms: quantile(0.95) };
}

async function measure(nKeys) {
  const editor = await RealEditor.start();
  try {
    const window = await editor.openWindow({ name: "shop.py", text: TEXT });
    await window.untilStatus("ready");
    await window.focusEnd();
    await window.type("# warm\n"); // Whatever the first request costs is another figure.
    await window.editor.evaluate(startTiming);
    for (const key of TYPED.slice(0, nKeys)) {
      await window.press(key === "\n" ? "Enter" : key === " " ? "Space" : key);
      await window.page.waitForTimeout(BETWEEN_KEYS_MS);
    }
    const keys = await window.editor.evaluate((each) => each.fimbleKeys());
    const timed = keys.filter((key) => key.ghostMs !== null);
    return {
      benchmark: "vscode-latency",
      what: "key pressed to ghost text on the screen",
      between_keys_ms: BETWEEN_KEYS_MS,
      n_keys: keys.length,
      all: summarize(timed),
      typed_along_what_was_shown: summarize(timed.filter((key) => key.isTypedAlong)),
      new_ghost_text: summarize(timed.filter((key) => !key.isTypedAlong)),
    };
  } finally {
    await editor.close();
  }
}

const lack = findLack();
if (lack !== undefined) {
  console.error(lack);
  process.exit(1);
}
console.log(JSON.stringify(await measure(Number(process.argv[2] ?? TYPED.length))));
