"""Laws of fetching where something is wrong: it is said with what to do, nothing half is taken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fimble_model.errors import HubError
from fimble_model.store.cache import cached_models, find_cached, throw_away_damaged
from fimble_model.store.memory import refuse_larger_than_memory
from fimble_model.store.pulling import pull
from fimble_model.store.remote import look_up
from fimble_model.store.wholeness import find_lack
from fimble_testing.fake_hub import FakeHub
from fimble_testing.served_model import ID, N_WEIGHT_BYTES, NAME, SHARDS, fetch


def test_a_model_larger_than_memory_is_refused_before_it_is_fetched(hub: FakeHub) -> None:
    """By the count that the hub tells; the same model passes where there is room for it."""
    hub.n_parameters[NAME] = 70_000_000_000
    remote = look_up(ID, endpoint=hub.endpoint)
    hub.requests.clear()
    with pytest.raises(HubError, match=r"65\.2 GiB in int8.*Choose a smaller one.*--anyway"):
        refuse_larger_than_memory(remote, 16 * 2**30, endpoint=hub.endpoint)
    assert {path.rsplit("/", 1)[1] for _, path, _ in hub.requests} <= {"config.json"}
    refuse_larger_than_memory(remote, 128 * 2**30, endpoint=hub.endpoint)


def test_a_model_that_runs_through_transformers_counts_four_bytes_a_weight(hub: FakeHub) -> None:
    (hub.repositories[NAME] / "config.json").write_text('{"model_type": "gpt_neox"}')
    hub.n_parameters[NAME] = 7_000_000_000
    remote = look_up(ID, endpoint=hub.endpoint)
    with pytest.raises(HubError, match=r"26\.1 GiB in float32, through transformers"):
        refuse_larger_than_memory(remote, 16 * 2**30, endpoint=hub.endpoint)


def test_where_the_hub_counts_no_weights_their_bytes_are_counted(hub: FakeHub) -> None:
    remote = look_up(ID, endpoint=hub.endpoint)
    with pytest.raises(HubError, match="whose weights alone take"):
        refuse_larger_than_memory(remote, N_WEIGHT_BYTES // 2, endpoint=hub.endpoint)


def test_a_disk_that_fills_up_keeps_what_is_there_and_takes_it_up_again(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second shard's bytes do not fit; with room again, only what is missing is fetched."""
    from huggingface_hub import file_download

    real = file_download.http_get

    def http_get(url: str, temp_file: Any, **named: Any) -> None:
        if SHARDS[1] in url:
            temp_file.write((hub.repositories[NAME] / SHARDS[1]).read_bytes()[:1000])
            raise OSError(28, os.strerror(28))
        real(url, temp_file, **named)

    monkeypatch.setattr(file_download, "http_get", http_get)
    with pytest.raises(HubError, match=r"a full disk\. Make room.*what is here is kept"):
        fetch(hub, cache)
    found = find_cached(ID, cache)
    assert found is None
    assert [model.lack for model in cached_models(cache)] == [SHARDS[1]]
    monkeypatch.undo()
    hub.requests.clear()
    assert find_lack(fetch(hub, cache)) is None
    fetched = [(path, wanted) for method, path, wanted in hub.requests
               if method == "GET" and "resolve" in path]  # fmt: skip
    assert [(path.rsplit("/", 1)[1], wanted) for path, wanted in fetched] == [
        (SHARDS[1], "bytes=1000-")
    ]


def test_room_is_asked_only_for_what_is_not_here(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    fetch(hub, cache)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    assert find_lack(fetch(hub, cache)) is None


def test_a_cut_connection_is_said_and_the_next_pull_goes_on_inside_the_file(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.stuck_at_byte[SHARDS[1]] = 20_000
    with pytest.raises(HubError, match=r"Look at the network.*what is here is kept"):
        fetch(hub, cache)
    n_here = sum(path.stat().st_size for path in cache.rglob("*.fimble-part"))
    assert 0 < n_here < N_WEIGHT_BYTES
    hub.stuck_at_byte.clear()
    hub.requests.clear()
    folder = fetch(hub, cache)
    assert (folder / SHARDS[1]).read_bytes() == (hub.repositories[NAME] / SHARDS[1]).read_bytes()
    assert f"bytes={n_here}-" in {wanted for _, _, wanted in hub.requests}


def test_offline_what_is_here_is_found_and_what_is_not_is_said(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch(hub, cache)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.requests.clear()
    found = find_cached(ID, cache)
    assert found is not None
    assert (found.folder, found.lack) == (folder, None)
    with pytest.raises(HubError, match=r"HF_HUB_OFFLINE is set.*fimble models pull"):
        look_up(ID, endpoint=hub.endpoint)
    assert hub.requests == []


def test_a_file_that_was_altered_in_the_cache_is_found_and_fetched_anew(
    hub: FakeHub, cache: Path
) -> None:
    """Of the same length, so that nothing but its checksum tells."""
    folder = fetch(hub, cache)
    blob = (folder / SHARDS[0]).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")
    found = find_cached(ID, cache)
    assert found is not None
    assert throw_away_damaged(found) == (SHARDS[0],)
    assert find_lack(folder) == SHARDS[0]
    fetch(hub, cache)
    assert find_lack(folder) is None
    assert throw_away_damaged(found) == ()


def test_a_pull_mends_what_was_altered_in_the_cache(hub: FakeHub, cache: Path) -> None:
    folder = fetch(hub, cache)
    (folder / SHARDS[0]).resolve().write_bytes(b"\1" * 100)
    assert find_lack(folder) == f"whole {SHARDS[0]}"
    fetch(hub, cache)
    assert (folder / SHARDS[0]).read_bytes() == (hub.repositories[NAME] / SHARDS[0]).read_bytes()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "a token that it does not know.*log in anew.*hf auth login"),
        (403, "one that may not read it"),
        (429, "asked too often"),
        (500, r"a fault of its own \(answer 500\).*Pull again in a while; what is here is kept"),
        (503, r"a fault of its own \(answer 503\)"),
        (418, "a refusal"),
    ],
)
def test_each_refusal_of_the_hub_says_what_to_do(hub: FakeHub, status: int, words: str) -> None:
    hub.status_of[NAME] = status
    with pytest.raises(HubError, match=words):
        look_up(ID, endpoint=hub.endpoint)


def test_a_hub_that_fails_amid_a_pull_is_said(hub: FakeHub, cache: Path) -> None:
    remote = look_up(ID, endpoint=hub.endpoint)
    hub.status_of[SHARDS[1]] = 502
    with pytest.raises(HubError, match="what is here is kept"):
        pull(remote, cache_dir=cache, endpoint=hub.endpoint)
    assert find_cached(ID, cache) is None


def test_a_shard_that_the_makers_forgot_is_said_before_the_others_are_fetched(
    hub: FakeHub, cache: Path
) -> None:
    (hub.repositories[NAME] / SHARDS[1]).unlink()
    with pytest.raises(HubError, match=rf"no {SHARDS[1]}.*not uploaded all of it"):
        fetch(hub, cache)
    assert not [path for _, path, _ in hub.requests if path.endswith(SHARDS[0])]


def test_weights_that_are_cut_off_on_the_hub_are_not_taken_for_whole(
    hub: FakeHub, cache: Path
) -> None:
    path = hub.repositories[NAME] / SHARDS[1]
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(HubError, match=f"no whole {SHARDS[1]}"):
        fetch(hub, cache)


@pytest.mark.parametrize(
    ("name", "beside", "words"),
    [
        ("tokenizer.json", "tokenizer.model", r"a tokenizer\.json.*only tokenizer\.model.*nothing"),
        ("config.json", "params.json", r"a config\.json.*none"),
    ],
)
def test_a_file_without_which_nothing_loads_is_missed_before_fetching(
    hub: FakeHub, name: str, beside: str, words: str
) -> None:
    folder = hub.repositories[NAME]
    (folder / name).rename(folder / beside)
    with pytest.raises(HubError, match=words):
        look_up(ID, endpoint=hub.endpoint)


def test_a_branch_is_pinned_to_the_commit_that_was_looked_up(hub: FakeHub, cache: Path) -> None:
    remote = look_up(ID, endpoint=hub.endpoint)
    assert str(remote.pinned) == f"{NAME}@{hub.commit_of(NAME)}"
    fetch(hub, cache)
    found = find_cached(remote.pinned, cache)
    assert found is not None
    assert found.pinned == remote.pinned
    asked = [path for _, path, _ in hub.requests if "resolve" in path]
    assert all(f"/resolve/{hub.commit_of(NAME)}/" in path for path in asked)


def test_an_index_that_is_none_is_said(hub: FakeHub, cache: Path) -> None:
    (hub.repositories[NAME] / "model.safetensors.index.json").write_text(json.dumps([1]))
    with pytest.raises(HubError, match="that can be read"):
        fetch(hub, cache)
