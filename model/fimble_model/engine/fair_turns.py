"""How a pass's tokens are shared out among clients that all want more than there is.

Owns the turns and each client's credit. Pure but for that memory: sees names and numbers only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

__all__ = ["FairTurns"]


class FairTurns:
    """Deficit round robin (Shreedhar and Varghese 1995), newcomers first (RFC 8290, section 4.2).

    Keeps the invariant that a client's credit is what is left of its turn: at most one quantum.
    Of clients that want something all the time, none ever gets more than one quantum ahead of
    another. One that comes with a small wish is served at once; it is a newcomer again only
    after all others have had their turn.
    """

    def __init__(self, quantum_tokens: int) -> None:
        assert quantum_tokens > 0, "a turn of nothing never ends"
        self._quantum_tokens = quantum_tokens
        # Whose turn it is comes first.
        self._credits: OrderedDict[str, int] = OrderedDict()

    def share_out(self, wanted: Mapping[str, int], n_tokens: int) -> dict[str, int]:
        """Tokens for each client; together `n_tokens`, or all that is wanted if that is less.

        >>> FairTurns(4).share_out({"a": 100, "b": 3}, 10)
        {'b': 3, 'a': 7}
        """
        left = {client: n_wanted for client, n_wanted in wanted.items() if n_wanted > 0}
        for client in left:
            if client not in self._credits:
                self._credits[client] = self._quantum_tokens
                self._credits.move_to_end(client, last=False)
        given: dict[str, int] = {}
        while n_tokens > 0 and left:
            client = next(iter(self._credits))
            if client not in left:
                if client in given:
                    self._credits.move_to_end(client)
                else:
                    del self._credits[client]
                continue
            n_given = min(self._credits[client], left[client], n_tokens)
            given[client] = given.get(client, 0) + n_given
            n_tokens -= n_given
            left[client] -= n_given
            self._charge(client, n_given, is_done=left[client] == 0)
            if left[client] == 0:
                del left[client]
        return given

    def _charge(self, client: str, n_tokens: int, *, is_done: bool) -> None:
        """A turn ends where the client has what it wants: credit is for those who wait."""
        self._credits[client] -= n_tokens
        if is_done or self._credits[client] == 0:
            self._credits[client] = self._quantum_tokens
            self._credits.move_to_end(client)
