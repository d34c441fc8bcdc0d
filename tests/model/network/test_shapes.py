"""Laws of shapes by name: sizes are the published ones, and files are read as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble_model.errors import CheckpointError
from fimble_model.network.shapes import SHAPES, find_shape
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint
from fimble_testing.tiny_engines import TINY_CONFIG


@pytest.mark.parametrize(
    ("name", "n_parameters"),
    [
        ("Qwen2.5-Coder-0.5B", 494_032_768),
        ("Qwen2.5-Coder-1.5B", 1_543_714_304),
        ("Qwen2.5-Coder-7B", 7_615_616_512),
    ],
)
def test_shapes_have_as_many_parameters_as_was_published(name: str, n_parameters: int) -> None:
    assert find_shape(name).n_parameters == n_parameters


def test_a_shape_is_that_of_a_config_by_file_or_folder(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny")
    assert find_shape(str(folder)) == find_shape(str(folder / "config.json")) == TINY_CONFIG


def test_an_unknown_shape_is_refused_with_those_there_are() -> None:
    with pytest.raises(CheckpointError, match=next(iter(SHAPES))):
        find_shape("no-such-shape")
