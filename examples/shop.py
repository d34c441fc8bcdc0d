"""Keep track of what is in a small shop: items, their prices, and how many are left."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Item:
    """One kind of thing on the shelf."""

    name: str
    price: float
    quantity: int = 0

    @property
    def value(self) -> float:
        return self.price * self.


class Shop:
    """All items by name, and the sales of the day."""

    def __init__(self, items: list[Item]) -> None:
        self.items = {item.name: item for item in items}
        self.sales = defaultdict(int)

    def add(self, item: Item) -> None:
        if item.name in self.items:
            self.items[item.name].quantity += 
        else:
            self.items[item.name] = item

    def sell(self, name: str, count: int = 1) -> float:
        item = self.items[name]
        if item.quantity < count:
            raise 
        item.quantity -= count
        self.sales[name] += count
        return 

    def total_value(self) -> float:
        """Return the value of everything on the shelf."""
        

    def names(self) -> list[str]:
        return sorted(


def load_shop(path: Path) -> Shop:
    with open(path) as file:
        data = json.
    return Shop([Item(**entry) for entry in data])
