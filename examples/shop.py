"""Keep track of what is in a small shop: items, their prices, and how many are left."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Item:
    """One kind of thing on the shelf."""

    name: str
    price: float
    quantity: int = 0

    def to_dict(self) -> dict[str, object]:
        return {"name": self.name, "price": self.price, "quantity": self.

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> "Item":
        return cls(name=data["name"], price=data["price"], quantity=data[


class Shop:
    """All items by name."""

    def __init__(self, items: list[Item]) -> None:
        self.items = {item.name: item for item in items}

    def add(self, item: Item) -> None:
        if item.name in self.items:
            self.items[item.name].quantity += item.quantity
        else:
            self.items[item.name] = 

    def remove(self, name: str) -> None:
        if name not in 
            raise KeyError(name)
        del 

    def total_value(self) -> float:
        """Return the value of everything on the shelf."""
        total = 0.0
        for item in self.items.values():
            total += item.price * item.quantity
        return total

    def names(self) -> list[str]:
        return [item.name for item in ]

    def total_quantity(self) -> int:
        """Return how many things are on the shelf."""
        


def load_shop(path: Path) -> Shop:
    with open(path, encoding="utf-8") as file:
        data = json.
    return Shop([Item.from_dict(entry) for entry in data])


def save_shop(shop: Shop, path: Path) -> None:
    with open(path, 
        json.dump([item.to_dict() for item in shop.items.values()], file)
