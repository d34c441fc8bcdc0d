"""An index on disk is the index that was written, or is left out; it never speaks for others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fimble_model.engine.memory import ProjectMemory
from fimble_model.engine.memory_files import is_sound, load_segments, save_segment
from fimble_model.engine.memory_index import LOWER_PART, build_segment, pack_tokens
from fimble_model.engine.protocol import TokenId

N_IDS = 300


def _encode(text: str) -> list[TokenId]:
    return [TokenId(ord(sign)) for sign in text]


def _written(folder: Path, **texts: str) -> Path:
    """A stored index of documents `file:///a/NAME`."""
    tokens = {f"file:///a/{name}": pack_tokens(_encode(text)) for name, text in texts.items()}
    save_segment(build_segment(tokens), folder)
    return folder


def _next(memory: ProjectMemory, context: str, key: str | None = None) -> dict[str, int]:
    """What follows, and how near the nearest document that says so is."""
    matches = memory.view(key).find(_encode(context))
    if matches is None:
        return {}
    pairs = zip(map(chr, matches.next_ids.tolist()), matches.levels.tolist(), strict=True)
    return dict(sorted(pairs, key=lambda pair: pair[1]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = _written(tmp_path / "one", one="abcd" * 200, two="abx")
    (segment,) = load_segments([folder], N_IDS)
    memory = ProjectMemory(_encode)
    memory.take_stored([segment])
    assert set(_next(memory, "ab")) == {"c", "x"}
    assert segment.tokens.dtype == np.int16
    assert is_sound(folder)


@pytest.mark.parametrize("name", ["tokens.npy", "offsets.npy", "places.npy", "segment.json"])
@pytest.mark.parametrize("kept_share", [0.0, 0.5])
def test_a_file_cut_short_is_left_out(tmp_path: Path, name: str, kept_share: float) -> None:
    folder = _written(tmp_path / "one", one="abcd" * 200)
    written = (folder / name).read_bytes()
    (folder / name).write_bytes(written[: int(kept_share * len(written))])
    assert load_segments([folder], N_IDS) == []
    assert not is_sound(folder)


def test_a_byte_that_changed_is_noticed(tmp_path: Path) -> None:
    folder = _written(tmp_path / "one", one="abcd" * 200)
    written = bytearray((folder / "tokens.npy").read_bytes())
    written[-1] ^= 1
    (folder / "tokens.npy").write_bytes(written)
    assert not is_sound(folder)


def test_tokens_that_the_network_does_not_have_are_refused(tmp_path: Path) -> None:
    folder = _written(tmp_path / "one", one="abcd")
    assert load_segments([folder], ord("c")) == []
    assert load_segments([tmp_path / "none"], N_IDS) == []


def test_the_newest_text_of_a_document_counts(tmp_path: Path) -> None:
    folders = [_written(tmp_path / "1", one="abc", two="abd"), _written(tmp_path / "2", one="abe")]
    memory = ProjectMemory(_encode)
    memory.take_stored(load_segments(folders, N_IDS))
    assert set(_next(memory, "ab")) == {"d", "e"}
    memory.remember("file:///a/one", "abf")
    assert set(_next(memory, "ab")) == {"d", "f"}
    memory.take_stored(load_segments(folders, N_IDS))
    assert set(_next(memory, "ab")) == {"d", "f"}
    memory.remember("file:///a/one", "")
    assert set(_next(memory, "ab")) == {"d"}
    memory.forget("file:///a/one")
    assert set(_next(memory, "ab")) == {"d", "e"}


def test_nearer_documents_are_told_from_farther_ones() -> None:
    memory = ProjectMemory(_encode)
    key = "file:///a/one"
    memory.remember(key, "abc")
    memory.remember(key + LOWER_PART, "abd")
    memory.remember("file:///a/two", "abe")
    memory.remember("file:///b/two", "abf")
    assert _next(memory, "ab", key) == {"c": 2, "d": 2, "e": 1, "f": 0}
    assert _next(memory, "ab") == dict.fromkeys("cdef", 0)


def test_of_a_pair_that_stands_everywhere_the_likest_places_are_looked_at() -> None:
    memory = ProjectMemory(_encode)
    common = "".join(f"{chr(200 + index % 50)}-ab-" for index in range(2_000))
    memory.remember("file", f"{common}xyzvab!{common}")
    found = memory.view().find(_encode("xyzvab"))
    assert found is not None
    assert chr(int(found.next_ids[found.n_equal.argmax()])) == "!"
