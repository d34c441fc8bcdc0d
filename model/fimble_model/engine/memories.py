"""Each scope's own project memory, within one budget: what one editor opens another never sees.

Owns the scopes and which one goes first. Knows nothing of rows or mixing. One thread owns it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from fimble_model.engine.memory import DEFAULT_MEMORY_BYTES, MemoryView, ProjectMemory
from fimble_model.engine.memory_index import Segment
from fimble_model.engine.protocol import TokenId

__all__ = ["Memories", "pays_for"]

# The larger a network, the less it has to copy. None above the shipped models' size was at hand:
# simulated networks gain down to 0.33 bits a character and lose at 0.15 (`fimble-eval memory`).
# Where between them a size falls is not known, so the limit is on the safe side.
_MOST_PARAMETERS = 200_000_000


def pays_for(n_parameters: int) -> bool:
    """Whether a network of this size is small enough to be helped by a memory."""
    return n_parameters < _MOST_PARAMETERS


class Memories:
    """Keeps the invariant that all scopes' bytes fit the budget, least recently used out first."""

    def __init__(
        self,
        encode: Callable[[str], Sequence[TokenId]],
        budget_bytes: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        self._encode = encode
        self._budget_bytes = budget_bytes
        self._by_scope: OrderedDict[str, ProjectMemory] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Bytes of all scopes' indices."""
        return sum(memory.n_bytes for memory in self._by_scope.values())

    def view(self, scope: str, key: str | None = None) -> MemoryView:
        """The scope's memory as it is now to a row in a document; empty where there is none."""
        memory = self._by_scope.get(scope)
        return MemoryView() if memory is None else memory.view(key)

    def remember(self, scope: str, key: str, text: str) -> None:
        """Keep a document for the rows of one scope."""
        self._newest(scope).remember(key, text)
        self._keep_budget()

    def take_stored(self, scope: str, segments: Sequence[Segment]) -> None:
        """Have segments that were built elsewhere at hand for the rows of one scope."""
        self._newest(scope).take_stored(segments)
        self._keep_budget()

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a document, or all of a scope's. Unknown names are ignored."""
        if key is None:
            self._by_scope.pop(scope, None)
        elif scope in self._by_scope:
            self._by_scope[scope].forget(key)

    def _newest(self, scope: str) -> ProjectMemory:
        memory = self._by_scope.setdefault(scope, ProjectMemory(self._encode, self._budget_bytes))
        self._by_scope.move_to_end(scope)
        return memory

    def _keep_budget(self) -> None:
        while self.n_bytes > self._budget_bytes:
            self._by_scope.popitem(last=False)
