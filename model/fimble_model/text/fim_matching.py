"""Which fill-in-the-middle family a checkpoint is of.

Never guesses: the order of prefix and suffix cannot be told from the names of the tokens, so a
checkpoint that nothing speaks for is refused, with the setting that would state it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fimble_model.errors import CheckpointError
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat

__all__ = ["find_fim_format"]


def find_fim_format(
    *,
    model_type: str,
    control_strings: Collection[str],
    repository: str | None = None,
    stated_family: str | None = None,
    stated_orders: Sequence[str] = (),
) -> FimFormat:
    """The format of a checkpoint: as stated, else by its repository, else by what it holds.

    The statement is the settings', or config.json's entry
    `"fimble": {"fim_family": ..., "fim_orders": [...]}`.
    Either way every control string of the format must be in the vocabulary.
    Raises `CheckpointError` where nothing speaks for one family alone.
    """
    fim_format = _find_family(model_type, set(control_strings), repository, stated_family)
    fim_format = _restrict_orders(fim_format, stated_orders)
    missing = sorted(set(fim_format.control_strings()) - set(control_strings))
    if missing:
        raise CheckpointError(
            expected=f"the control tokens of the {fim_format.family} format in the vocabulary",
            found=f"a tokenizer without {', '.join(missing)}",
            to_do="Use a checkpoint that was trained for fill-in-the-middle.",
        )
    return fim_format


def _find_family(
    model_type: str,
    control_strings: set[str],
    repository: str | None,
    stated_family: str | None,
) -> FimFormat:
    if stated_family is not None:
        found = [each for each in FAMILIES if each.family == stated_family]
    elif by_name := _of_repository(repository):
        found = by_name
    else:
        found = [
            each
            for each in FAMILIES
            if model_type in each.model_types and control_strings.issuperset(each.tell_tale)
        ]
    if len(found) == 1:
        return found[0]
    raise _unknown(found, model_type, repository, stated_family)


def _of_repository(repository: str | None) -> list[FimFormat]:
    if repository is None:
        return []
    name = repository.lower()
    return [each for each in FAMILIES if name.startswith(tuple(each.repositories) or ("\0",))]


def _unknown(
    found: Sequence[FimFormat],
    model_type: str,
    repository: str | None,
    stated_family: str | None,
) -> CheckpointError:
    several = " or ".join(each.family for each in found)
    name = "" if repository is None else f" of {repository}"
    return CheckpointError(
        expected="a checkpoint whose fill-in-the-middle format is known",
        found=f"one that could be {several}"
        if several
        else f"fim_family {stated_family!r} and model_type {model_type!r}{name}",
        to_do="State it in the setting model.fim_family, as its makers document it: one of "
        f"{', '.join(each.family for each in FAMILIES)}.",
    )


def _restrict_orders(fim_format: FimFormat, stated_orders: Sequence[str]) -> FimFormat:
    if not stated_orders:
        return fim_format
    by_name = {order.value: order for order in fim_format.layouts}
    if unknown := [name for name in stated_orders if name not in by_name]:
        raise CheckpointError(
            expected=f"an order that {fim_format.family} was trained in: {', '.join(by_name)}",
            found=", ".join(map(repr, unknown)),
            to_do="Mend the setting model.fim_order, or fim_orders in its config.json.",
        )
    orders = [by_name[name] for name in stated_orders]
    return replace(fim_format, layouts={order: fim_format.layouts[order] for order in orders})
