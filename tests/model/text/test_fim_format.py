"""Laws of the format table: found by statement or type, never guessed."""

from __future__ import annotations

import pytest

from fimble_model.errors import CheckpointError
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat, FimOrder, Hole
from fimble_model.text.fim_matching import find_fim_format

QWEN_STRINGS = (
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|repo_name|>",
    "<|file_sep|>",
)


def test_fimble_writes_the_suffix_first_so_that_prefix_and_middle_touch() -> None:
    fim_format = find_fim_format(
        model_type="qwen3", control_strings=QWEN_STRINGS, stated_family="fimble"
    )
    assert fim_format.orders == (FimOrder.SPM, FimOrder.PSM)
    assert fim_format.layout == (
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        Hole.SUFFIX,
        "<|fim_middle|>",
        Hole.PREFIX,
    )


def test_qwen_coder_is_found_by_its_type_and_writes_the_prefix_first() -> None:
    fim_format = find_fim_format(model_type="qwen2", control_strings=QWEN_STRINGS)
    assert fim_format.family == "qwen2.5-coder"
    assert fim_format.layout == (
        "<|fim_prefix|>",
        Hole.PREFIX,
        "<|fim_suffix|>",
        Hole.SUFFIX,
        "<|fim_middle|>",
    )


def test_stated_orders_choose_the_preferred_one() -> None:
    fim_format = find_fim_format(
        model_type="qwen3",
        control_strings=QWEN_STRINGS,
        stated_family="fimble",
        stated_orders=("psm",),
    )
    assert fim_format.orders == (FimOrder.PSM,)


def test_a_type_that_says_nothing_of_the_order_is_refused() -> None:
    """Qwen3's vocabulary has the FIM strings, but the model was not trained with them."""
    with pytest.raises(CheckpointError, match=r"State it in the setting model\.fim_family"):
        find_fim_format(model_type="qwen3", control_strings=QWEN_STRINGS)


def test_a_vocabulary_without_the_strings_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"<\|fim_middle\|>"):
        find_fim_format(
            model_type="qwen2",
            control_strings=("<|endoftext|>",),
            stated_family="qwen2.5-coder",
        )


def test_starcoders_tokens_say_nothing_of_the_order() -> None:
    """Granite writes the prefix first, Mellum the suffix, with the same tokens and type."""
    controls = {token for each in FAMILIES for token in each.control_strings()}
    starcoders = {token for token in controls if token.startswith("<fim_")} | {"<|endoftext|>"}
    with pytest.raises(CheckpointError, match=r"State it in the setting model\.fim_family"):
        find_fim_format(model_type="llama", control_strings=starcoders)


@pytest.mark.parametrize(
    ("repository", "family", "order"),
    [
        ("JetBrains/Mellum-4b-base", "mellum", FimOrder.SPM),
        ("ibm-granite/granite-3b-code-base", "granite-code", FimOrder.PSM),
        ("smallcloudai/Refact-1_6B-fim", "refact", FimOrder.SPM),
        ("WisdomShell/CodeShell-7B", "codeshell", FimOrder.PSM),
    ],
)
def test_a_repositorys_name_speaks_for_its_family(
    repository: str, family: str, order: FimOrder
) -> None:
    controls = {token for each in FAMILIES for token in each.control_strings()}
    starcoders = {token for token in controls if token.startswith(("<fim_", "<file"))}
    fim_format = find_fim_format(
        model_type="llama",
        control_strings=starcoders | {"<|endoftext|>"},
        repository=repository,
    )
    assert (fim_format.family, fim_format.orders[0]) == (family, order)


@pytest.mark.parametrize(
    "fim_format",
    [each for each in FAMILIES if each.model_types],
    ids=lambda each: each.family,
)
def test_a_familys_own_vocabulary_speaks_for_it_alone(fim_format: FimFormat) -> None:
    """No two families can both claim what one of them publishes."""
    for model_type in fim_format.model_types:
        found = find_fim_format(
            model_type=model_type,
            control_strings={*fim_format.control_strings(), *fim_format.tell_tale},
        )
        assert found.family == fim_format.family


def test_an_xglm_or_falcon_that_was_not_trained_to_fill_is_refused() -> None:
    """The type is every model's of that kind; only the coder's vocabulary has the tokens."""
    for model_type in ("xglm", "falcon_h1"):
        with pytest.raises(CheckpointError, match=r"State it in the setting model\.fim_family"):
            find_fim_format(model_type=model_type, control_strings=("<s>", "</s>"))


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(CheckpointError, match="'mps'"):
        find_fim_format(
            model_type="qwen3",
            control_strings=QWEN_STRINGS,
            stated_family="fimble",
            stated_orders=("mps",),
        )


@pytest.mark.parametrize("fim_format", FAMILIES, ids=lambda fim_format: fim_format.family)
def test_every_layout_takes_prefix_and_suffix_once(fim_format: FimFormat) -> None:
    for layout in fim_format.layouts.values():
        assert layout.count(Hole.PREFIX) == layout.count(Hole.SUFFIX) == 1
