"""Keeps what lies on the shelves of a small warehouse."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path


class ShelfError(Exception):
    """A shelf is full, or there is none of that name."""


class Warehouse:
    def __init__(self, path: Path, capacity: int = 40) -> None:
        self.path = path
        self.capacity = capacity
        self.shelves: dict[str, list[str]] = defaultdict(list)

    def load(self) -> int:
        """Read the shelves from disk and count what is on them."""
        n_items = 0
        try:
            with self.path.open(encoding="utf-8") as file:
                raw = json.load(file)
            for name, items in raw.items():
                if not isinstance(items, list):
                    continue
                self.shelves[name].extend(items)
                n_items += len(items)
        except FileNotFoundError:
            self.path.write_text("{}", encoding="utf-8")
        except json.JSONDecodeError as error:
            raise ShelfError(f"not a warehouse: {error}") from error
        else:
            print(f"loaded {n_items} items")
        finally:
            self.shelves.setdefault("floor", [])
        return n_items

    def put(self, shelf: str, item: str) -> None:
        if shelf not in self.shelves:
            raise ShelfError(shelf)
        elif len(self.shelves[shelf]) >= self.capacity:
            # The floor takes what fits nowhere else.
            self.shelves["floor"].append(item)
        else:
            self.shelves[shelf].append(item)

    def find(self, item: str) -> str | None:
        for name, items in self.shelves.items():
            for index, other in enumerate(items):
                if other == item:
                    return f"{name}[{index}]"
                if other.startswith("box:") and item in other:
                    return name
        else:
            return None

    def describe(self, shelf: str) -> str:
        match self.shelves.get(shelf):
            case None:
                return "no such shelf"
            case []:
                return "empty"
            case [only]:
                return f"just {only}"
            case [first, *rest]:
                total = 1 + len(rest)
                return f"{first} and {total - 1} more"

    def drain(self, limit: int) -> list[str]:
        taken = []
        while self.shelves and len(taken) < limit:
            name = min(
                self.shelves,
                key=lambda each: (len(self.shelves[each]), each),
            )
            items = self.shelves[name]
            if items:
                taken.append(items.pop())
            else:
                del self.shelves[name]
        return [
            item.upper() if item.islower() else item
            for item in taken
            if item
        ]
