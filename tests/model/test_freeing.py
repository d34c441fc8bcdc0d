"""What is loaded stays out of the collector's way, and what is let go of is still freed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from fimble_model import built_to_stay, give_back_memory


class _Node:
    """An object in a cycle with itself, which only the collector can free."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def thaw() -> Iterator[None]:
    """Leave nothing exempt for the tests that follow."""
    yield
    gc.unfreeze()


def test_what_is_built_is_not_walked_again() -> None:
    """A full collection afterwards looks through next to nothing."""
    with built_to_stay():
        built = [_Node() for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(built)
    tracked = {id(each) for each in gc.get_objects()}
    assert not any(id(node) in tracked for node in built)


def test_garbage_of_before_is_freed_first() -> None:
    """What nobody held when building began is not kept for ever."""
    node = weakref.ref(_Node())
    with built_to_stay():
        pass
    assert node() is None


def test_a_fault_leaves_the_collector_on() -> None:
    """A loader that throws leaves Python as it was."""
    with pytest.raises(ZeroDivisionError), built_to_stay():
        _ = 1 / gc.isenabled()
    assert gc.isenabled()


def test_what_was_built_and_let_go_is_given_back() -> None:
    """Unloading frees a model's cycles too, though they were exempt."""
    with built_to_stay():
        node = _Node()
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is not None
    give_back_memory()
    assert gone() is None
