"""Which model family writes fill-in-the-middle how: one table entry a family.

Owns the layouts and how a checkpoint is matched to one. Never guesses: the order of prefix and
suffix cannot be told from the token names, so an unknown checkpoint is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fimble_model.errors import CheckpointError

__all__ = ["FAMILIES", "FimFormat", "FimOrder", "Hole", "Layout", "find_fim_format"]


class FimOrder(enum.Enum):
    """Suffix first (the middle follows the prefix at once), or prefix first."""

    SPM = "spm"
    PSM = "psm"


class Hole(enum.Enum):
    """Where a layout takes the user's text; plain strings in it are control tokens."""

    PREFIX = enum.auto()
    SUFFIX = enum.auto()


Layout = tuple[str | Hole, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FimFormat:
    """One family's format. `layouts` holds the preferred order first.

    Any control token ends a row; `end_tokens` are those that the model was trained to end a
    middle with. `model_types` are the config.json types that stand for the family without an
    explicit statement. `begin_token` opens every prompt.
    """

    family: str
    layouts: Mapping[FimOrder, Layout]
    end_tokens: tuple[str, ...]
    model_types: tuple[str, ...] = ()
    begin_token: str | None = None
    repository_name: str | None = None
    file_separator: str | None = None

    @property
    def orders(self) -> tuple[FimOrder, ...]:
        """The orders the model was trained for, the preferred one first."""
        return tuple(self.layouts)

    @property
    def layout(self) -> Layout:
        """The preferred order's layout, with the token that opens every prompt."""
        preferred = self.layouts[self.orders[0]]
        return preferred if self.begin_token is None else (self.begin_token, *preferred)

    def control_strings(self) -> Iterator[str]:
        """Every control token that a prompt in this format may need."""
        for layout in self.layouts.values():
            yield from (part for part in layout if isinstance(part, str))
        yield from self.end_tokens
        others = (self.begin_token, self.repository_name, self.file_separator)
        yield from (token for token in others if token is not None)


def _prefix_first(prefix: str, suffix: str, middle: str) -> Layout:
    return (prefix, Hole.PREFIX, suffix, Hole.SUFFIX, middle)


def _suffix_first(prefix: str, suffix: str, middle: str) -> Layout:
    """The layout in which prefix and middle touch (Bavarian et al. 2022, section 3)."""
    return (prefix, suffix, Hole.SUFFIX, middle, Hole.PREFIX)


_QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
_STARCODER = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")

FAMILIES = (
    FimFormat(
        family="fimble",
        layouts={FimOrder.SPM: _suffix_first(*_QWEN), FimOrder.PSM: _prefix_first(*_QWEN)},
        end_tokens=("<|endoftext|>",),
        repository_name="<|repo_name|>",
        file_separator="<|file_sep|>",
    ),
    FimFormat(
        family="qwen2.5-coder",
        layouts={FimOrder.PSM: _prefix_first(*_QWEN)},
        end_tokens=("<|endoftext|>",),
        model_types=("qwen2",),
        repository_name="<|repo_name|>",
        file_separator="<|file_sep|>",
    ),
    FimFormat(
        family="starcoder",
        layouts={
            FimOrder.PSM: _prefix_first(*_STARCODER),
            FimOrder.SPM: _suffix_first(*_STARCODER),
        },
        end_tokens=("<|endoftext|>",),
        model_types=("gpt_bigcode",),
        repository_name="<reponame>",
        file_separator="<filename>",
    ),
    FimFormat(
        family="starcoder2",
        layouts={
            FimOrder.PSM: _prefix_first(*_STARCODER),
            FimOrder.SPM: _suffix_first(*_STARCODER),
        },
        end_tokens=("<|endoftext|>", "<file_sep>"),
        model_types=("starcoder2",),
        repository_name="<repo_name>",
        file_separator="<file_sep>",
    ),
)


def find_fim_format(
    *,
    model_type: str,
    control_strings: Collection[str],
    stated_family: str | None = None,
    stated_orders: Sequence[str] = (),
) -> FimFormat:
    """The format of a checkpoint, by what it states or by its type; else `CheckpointError`.

    The statement is config.json's entry `"fimble": {"fim_family": ..., "fim_orders": [...]}`.
    Either way every control string of the format must be in the vocabulary.
    """
    found = [
        fim_format
        for fim_format in FAMILIES
        if stated_family == fim_format.family
        or (stated_family is None and model_type in fim_format.model_types)
    ]
    if not found:
        raise CheckpointError(
            expected="a checkpoint whose fill-in-the-middle format is known",
            found=f"fim_family {stated_family!r} and model_type {model_type!r}",
            to_do='State it in config.json as "fimble": {"fim_family": NAME}, NAME being one of '
            + ", ".join(fim_format.family for fim_format in FAMILIES)
            + ".",
        )
    fim_format = _restrict_orders(found[0], stated_orders)
    missing = sorted(set(fim_format.control_strings()) - set(control_strings))
    if missing:
        raise CheckpointError(
            expected=f"the control tokens of the {fim_format.family} format in the vocabulary",
            found=f"a tokenizer without {', '.join(missing)}",
            to_do="Use a checkpoint that was trained for fill-in-the-middle.",
        )
    return fim_format


def _restrict_orders(fim_format: FimFormat, stated_orders: Sequence[str]) -> FimFormat:
    if not stated_orders:
        return fim_format
    by_name = {order.value: order for order in fim_format.layouts}
    if unknown := [name for name in stated_orders if name not in by_name]:
        raise CheckpointError(
            expected=f"fim_orders among {', '.join(by_name)}",
            found=", ".join(map(repr, unknown)),
            to_do='Mend the "fimble" entry of the checkpoint\'s config.json.',
        )
    orders = [by_name[name] for name in stated_orders]
    return replace(fim_format, layouts={order: fim_format.layouts[order] for order in orders})
