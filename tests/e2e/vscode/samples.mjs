// What is typed into files where the shipped model is sure to answer, and settings that let it.

/** Shows whatever the model writes, late or early: a worse model or a busy machine passes alike. */
export const SHOW_ALL = {
  "fimble.completion.eagerness": 1,
  "fimble.completion.acceleration_deadline_ms": 10_000,
  "fimble.server.log_level": "debug",
};

export const PYTHON_TEXT = `from dataclasses import dataclass


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
`;

/** Typed at the end of the Python file, it leaves the model no doubt; the editor indents. */
export const PYTHON_TYPED = "    total = 0\nfor item in it";

export const TYPESCRIPT_TEXT = `interface Item {
  name: string;
  price: number;
}

function firstName(items: Item[]): string {
  const item = items[0];
  return item.name;
}

function lastName(items: Item[]): string {
  const item = items[items.length - 1];
`;
