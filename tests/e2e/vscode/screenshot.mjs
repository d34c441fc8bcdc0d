// Takes the README's picture: the real editor with ghost text of the shipped model in it.
//
//   .cache/vscode/node tests/e2e/vscode/screenshot.mjs [PNG]      docs/vscode.png by default

import { fileURLToPath } from "node:url";

import { findLack, RealEditor } from "./real_editor.mjs";

const TARGET =
  process.argv[2] ?? fileURLToPath(new URL("../../../docs/vscode.png", import.meta.url));
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


def total_quantity(items: list[Item]) -> int:
    total = 0
    for item in items:
`;

const lack = findLack();
if (lack !== undefined) {
  console.error(lack);
  process.exit(1);
}
const editor = await RealEditor.start();
try {
  editor.writeSettings({ "editor.fontSize": 15 });
  const viewport = { width: 900, height: 560 };
  const window = await editor.openWindow({ name: "shop.py", text: TEXT, viewport });
  await window.untilStatus("ready");
  await window.press("Control+b"); // The files' list tells nothing here.
  await window.focusEnd();
  await window.type("        tot");
  await window.untilGhostText();
  await window.page.screenshot({ path: TARGET });
} finally {
  await editor.close();
}
