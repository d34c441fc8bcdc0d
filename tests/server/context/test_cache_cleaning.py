"""Old indices go, by age and by size; what is in use or asked for stays."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fimble_server.context.cache_cleaning import KeptIndex, choose_stale, clear_stale
from fimble_server.context.indexing import INDEX_FOLDER, USED_NAME, try_lock

_indices = st.lists(
    st.tuples(st.floats(0, 100), st.integers(1, 50)), max_size=8, unique_by=lambda each: each[0]
)


@given(_indices, st.integers(1, 100))
def test_what_stays_is_young_and_small_and_the_newest_that_fits(
    drawn: list[tuple[float, int]], most_bytes: int
) -> None:
    indices = [
        KeptIndex(folder=Path(str(number)), used_at_s=used_at_s, n_bytes=n_bytes)
        for number, (used_at_s, n_bytes) in enumerate(drawn)
    ]
    stale = set(choose_stale(indices, now_s=100.0, most_age_s=60.0, most_bytes=most_bytes))
    kept = [index for index in indices if index.folder not in stale]
    assert sum(index.n_bytes for index in kept) <= most_bytes
    assert all(index.used_at_s >= 40.0 for index in kept)
    fits_all = sum(index.n_bytes for index in indices) <= most_bytes
    assert not fits_all or all(index.used_at_s < 40.0 for index in indices if index not in kept)


def test_old_ones_and_other_versions_go_and_those_in_use_stay(tmp_path: Path) -> None:
    for name in ("old", "busy", "own", "new"):
        folder = tmp_path / INDEX_FOLDER / name
        folder.mkdir(parents=True)
        (folder / USED_NAME).touch()
        if name != "new":
            os.utime(folder / USED_NAME, (1.0, 1.0))
    (tmp_path / "index-0").mkdir()
    (tmp_path / "unrelated").mkdir()
    lock = try_lock(tmp_path / INDEX_FOLDER / "busy" / "lock.sqlite")
    assert lock is not None
    now_s = (tmp_path / INDEX_FOLDER / "new" / USED_NAME).stat().st_mtime
    own = tmp_path / INDEX_FOLDER / "own"
    assert clear_stale(tmp_path, keep=[own], now_s=now_s) == 2
    lock.close()
    assert {path.name for path in (tmp_path / INDEX_FOLDER).iterdir()} == {"busy", "own", "new"}
    assert {path.name for path in tmp_path.iterdir()} == {INDEX_FOLDER, "unrelated"}
