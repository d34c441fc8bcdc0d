"""The parameters of the methods that are not LSP's own: what an editor tells of a suggestion.

Owns their shape. Anything else in them is ignored: editors send whole items back. Raises
`JsonRpcInvalidParams` for what lacks the parts we need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pygls.exceptions import JsonRpcInvalidParams

__all__ = [
    "PartialAcceptance",
    "accepted_id_from_lsp",
    "partial_acceptance_from_lsp",
    "shown_id_from_lsp",
    "uri_from_lsp",
]


class PartialAcceptance(NamedTuple):
    """`n_utf16` units from the item's start are in the buffer now; of `😀b`, `😀` is 2."""

    suggestion_id: str
    n_utf16: int


def shown_id_from_lsp(params: object) -> str:
    """The id of the item in `{item}`, from the arguments of its command.

    >>> shown_id_from_lsp({"item": {"insertText": "x", "command": {"arguments": ["s1"]}}})
    's1'
    """
    match params:
        case {"item": {"command": {"arguments": [str(suggestion_id), *_]}}}:
            return suggestion_id
        case _:
            raise JsonRpcInvalidParams


def accepted_id_from_lsp(arguments: Sequence[object]) -> str:
    """The id in the arguments of an item's command."""
    match arguments:
        case [str(suggestion_id)]:
            return suggestion_id
        case _:
            raise JsonRpcInvalidParams


def partial_acceptance_from_lsp(params: object) -> PartialAcceptance:
    """The id and the accepted length in `{item, acceptedLength}`."""
    accepted = params.get("acceptedLength") if isinstance(params, Mapping) else None
    if not isinstance(accepted, int) or isinstance(accepted, bool) or accepted < 0:
        raise JsonRpcInvalidParams
    return PartialAcceptance(suggestion_id=shown_id_from_lsp(params), n_utf16=accepted)


def uri_from_lsp(params: object) -> str:
    """The URI in `{textDocument: {uri}}`."""
    match params:
        case {"textDocument": {"uri": str(uri)}}:
            return uri
        case _:
            raise JsonRpcInvalidParams
