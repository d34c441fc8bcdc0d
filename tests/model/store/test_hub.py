"""Laws of fetching: pinned, checked, resumed, and nothing half taken for whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fimble_model.errors import HubError
from fimble_model.store.cache import (
    cached_models,
    find_cached,
    licence_in,
    remove,
)
from fimble_model.store.model_ids import ModelId, try_parse_model_id
from fimble_model.store.pulling import PullProgress, pull
from fimble_model.store.remote import look_up
from fimble_model.store.wholeness import find_lack
from fimble_testing.fake_hub import FakeHub
from fimble_testing.served_model import ID, N_WEIGHT_BYTES, NAME, fetch


def test_a_model_is_looked_up_before_anything_is_fetched(hub: FakeHub) -> None:
    remote = look_up(ID, endpoint=hub.endpoint)
    assert (remote.repository, remote.revision) == (NAME, hub.commit_of(NAME))
    assert remote.licence == "apache-2.0"
    assert "training.log" not in {file.name for file in remote.files}
    assert 2 * N_WEIGHT_BYTES < remote.n_bytes < 2 * N_WEIGHT_BYTES + 10_000
    assert not [path for _, path, _ in hub.requests if "resolve" in path]


def test_a_pulled_model_is_whole_and_found_without_a_hub(hub: FakeHub, cache: Path) -> None:
    seen: list[PullProgress] = []
    remote = look_up(ID, endpoint=hub.endpoint)
    folder = pull(remote, on_progress=seen.append, cache_dir=cache, endpoint=hub.endpoint).folder
    assert find_lack(folder) is None
    assert [each.n_bytes for each in seen] == sorted(each.n_bytes for each in seen)
    assert seen[-1].n_bytes == seen[-1].n_total_bytes == remote.n_bytes
    n_requests = len(hub.requests)
    found = find_cached(ID, cache)
    assert found is not None
    assert (found.folder, found.revision, found.lack) == (folder, hub.commit_of(NAME), None)
    assert [each.repository for each in cached_models(cache)] == [NAME]
    assert len(hub.requests) == n_requests


def test_a_pull_that_was_cut_off_goes_on_where_it_ended(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = "model-00002-of-00002.safetensors"
    hub.cut_after_bytes[shard] = 0
    remote = look_up(ID, endpoint=hub.endpoint)
    with pytest.raises(HubError, match="what is here is kept"):
        pull(remote, cache_dir=cache, endpoint=hub.endpoint)
    found = find_cached(ID, cache)
    assert found is None or found.lack == shard
    hub.cut_after_bytes.clear()
    hub.requests.clear()
    folder = pull(remote, cache_dir=cache, endpoint=hub.endpoint).folder
    assert find_lack(folder) is None
    fetched = [path for method, path, _ in hub.requests if method == "GET" and "resolve" in path]
    assert [path.rsplit("/", 1)[1] for path in fetched] == [shard]


def test_a_connection_that_breaks_is_taken_up_inside_the_file(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = "model-00001-of-00002.safetensors"
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.cut_after_bytes[shard] = N_WEIGHT_BYTES // 2
    folder = fetch(hub, cache)
    assert (folder / shard).read_bytes() == (hub.repositories[NAME] / shard).read_bytes()
    ranges = [wanted for _, path, wanted in hub.requests if path.endswith(shard) and wanted]
    assert ranges[0] == f"bytes={N_WEIGHT_BYTES // 2}-"


def test_a_damaged_file_is_refused_and_not_kept(hub: FakeHub, cache: Path) -> None:
    shard = "model-00001-of-00002.safetensors"
    hub.damaged.add(shard)
    with pytest.raises(HubError, match="checksum"):
        fetch(hub, cache)
    hub.damaged.clear()
    folder = fetch(hub, cache)
    assert (folder / shard).read_bytes() == (hub.repositories[NAME] / shard).read_bytes()


def test_a_gated_model_says_what_to_do(hub: FakeHub, cache: Path) -> None:
    hub.gated.add(NAME)
    assert look_up(ID, endpoint=hub.endpoint).is_gated
    with pytest.raises(HubError, match="hf auth login"):
        fetch(hub, cache)


@pytest.mark.parametrize(
    ("model_id", "words"),
    [
        (ModelId(repository="makers/none"), "Check the name"),
        (ModelId(repository=NAME, revision="v9"), "no such revision"),
    ],
)
def test_what_is_not_there_is_said(hub: FakeHub, model_id: ModelId, words: str) -> None:
    with pytest.raises(HubError, match=words):
        look_up(model_id, endpoint=hub.endpoint)


def test_pickled_weights_are_refused_before_they_are_fetched(hub: FakeHub) -> None:
    folder = hub.repositories[NAME]
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem")
    with pytest.raises(HubError, match=r"only pytorch_model\.bin, a pickle"):
        look_up(ID, endpoint=hub.endpoint)


def test_no_network_is_one_plain_message() -> None:
    with pytest.raises(HubError, match="Look at the network"):
        look_up(ID, endpoint="http://127.0.0.1:9")


def test_a_full_disk_is_seen_before_anything_is_fetched(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    remote = look_up(ID, endpoint=hub.endpoint)
    hub.requests.clear()
    with pytest.raises(HubError, match="Make room"):
        pull(remote, cache_dir=cache, endpoint=hub.endpoint)
    assert hub.requests == []


def test_a_removed_model_is_gone_with_its_bytes(hub: FakeHub, cache: Path) -> None:
    fetch(hub, cache)
    assert remove(ID, cache) > 2 * N_WEIGHT_BYTES
    assert cached_models(cache) == ()
    assert remove(ID, cache) == 0


def test_one_revision_is_removed_and_another_kept(hub: FakeHub, cache: Path) -> None:
    fetch(hub, cache)
    assert remove(ModelId(repository=NAME, revision="0" * 40), cache) == 0
    commit = hub.commit_of(NAME)
    assert remove(ModelId(repository=NAME, revision=commit), cache) > 2 * N_WEIGHT_BYTES


def test_what_was_half_fetched_is_removed_too(hub: FakeHub, cache: Path) -> None:
    for file in hub.repositories[NAME].iterdir():
        hub.cut_after_bytes[file.name] = 0
    with pytest.raises(HubError):
        fetch(hub, cache)
    remove(ID, cache)
    assert not list(cache.glob("models--*"))


def test_python_beside_a_model_is_fetched_only_where_it_is_wanted(
    hub: FakeHub, cache: Path
) -> None:
    remote = look_up(ID, endpoint=hub.endpoint)
    assert [file.name for file in remote.code] == ["modeling_own.py"]
    folder = pull(remote, cache_dir=cache, endpoint=hub.endpoint).folder
    assert not (folder / "modeling_own.py").exists()
    assert not [path for _, path, _ in hub.requests if path.endswith(".py")]
    pull(remote, with_code=True, cache_dir=cache, endpoint=hub.endpoint)
    assert (folder / "modeling_own.py").exists()
    assert folder.name in next(path for _, path, _ in hub.requests if path.endswith(".py"))


def test_a_licence_is_known_without_a_hub(hub: FakeHub, cache: Path) -> None:
    assert licence_in(fetch(hub, cache)) == "mit"
    assert licence_in(cache) is None


@pytest.mark.parametrize("words", ["fimble-nano", "./a/b", "~/a/b", "/a/b", "a/b/c", "a/../b", ""])
def test_what_is_no_hubs_name_is_not_taken_for_one(words: str) -> None:
    assert try_parse_model_id(words) is None


def test_a_name_may_hold_a_revision() -> None:
    assert str(try_parse_model_id("Qwen/Qwen2.5-Coder-1.5B@main")) == "Qwen/Qwen2.5-Coder-1.5B@main"
