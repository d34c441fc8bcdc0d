"""Pieces in the prompt, on and off, are tried on lines that use names of other files."""

from __future__ import annotations

import pytest

from fimble_eval.holes.repository import SourceFile
from fimble_eval.surroundings_gain import WITH_AND_WITHOUT, measure_surroundings
from fimble_model.errors import FimbleError

_SHOP = "class Cart:\n    def __init__(self, owner_name, tax_rate):\n        self.owner_name = 1\n"
_USE = "from shop import Cart\n\n\ndef run(name):\n    cart = Cart(name, 3)\n    return cart\n"


def _file(path: str, text: str) -> SourceFile:
    return SourceFile(package="p", path=path, language_id="python", text=text)


def test_each_line_is_judged_in_all_four_ways_and_pieces_change_the_network_s_word() -> None:
    files = [_file("shop.py", _SHOP), _file("use.py", _USE)]
    n_seen = 0

    def count() -> None:
        nonlocal n_seen
        n_seen += 1

    report = measure_surroundings(files, model="fimble-nano", n_cases=3, seed=0, on_hole=count)
    assert report.n_holes == n_seen >= 1
    assert report.n_with_pieces == report.n_holes
    assert set(report.bits_per_char) == set(report.exact) == set(WITH_AND_WITHOUT)
    assert report.bits_per_char["neither"] != report.bits_per_char["pieces"]


def test_packages_without_such_lines_are_refused() -> None:
    with pytest.raises(FimbleError):
        measure_surroundings(
            [_file("a.py", "x = 1\n")], model="fimble-nano", n_cases=1, seed=0, on_hole=lambda: None
        )
