"""A session's project: read by a process of its own, known to the engine, gone with the session."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fimble_model.engine.clock import SystemClock
from fimble_model.engine.memory_files import load_segments
from fimble_server.completion.completer import Completer
from fimble_server.settings_layers import SettingsLayer
from fimble_testing.fake_engine import FakeEngine
from fimble_testing.fake_server import write_sentence
from fimble_testing.server_in_process import connected, open_house

NO_PROJECT = SettingsLayer(source="test", values={"context": {"project": False}})


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


def _known(engine: FakeEngine) -> set[str]:
    """The names of the files in the newest stored text that there is of each."""
    sizes: dict[str, int] = {}
    for folders in engine.stored.values():
        for segment in load_segments(list(folders), 100_000):
            for index, key in enumerate(segment.documents.keys):
                sizes[Path(key).name] = len(segment.tokens_of(index))
    return {name for name, size in sizes.items() if size}


@pytest.mark.parametrize("is_lone", [False, True], ids=["folders", "a lone file"])
async def test_the_project_is_indexed_and_followed(tmp_path: Path, is_lone: bool) -> None:
    project, engine = tmp_path / "project", FakeEngine(write_sentence)
    project.mkdir()
    (project / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (project / "a.py").write_text("quartz = 1\n", encoding="utf-8")
    (project / ".env").write_text("PASSWORD=hunter2\n", encoding="utf-8")
    async with open_house(
        lambda thread: Completer(port=thread, clock=SystemClock()), load=lambda *_: engine
    ) as house:
        house = dataclasses.replace(house, cache=tmp_path / "cache")
        async with connected(house) as client:
            folders = None if is_lone else [{"uri": project.as_uri(), "name": "project"}]
            await client.initialize(workspaceFolders=folders)
            client.open((project / "open.py").as_uri(), "x = 1\n")
            await _until(lambda: "a.py" in _known(engine))
            (project / "b.py").write_text("lantern = 2\n", encoding="utf-8")
            changes = [{"uri": (project / "b.py").as_uri(), "type": 1}]
            client.notify("workspace/didChangeWatchedFiles", {"changes": changes})
            await _until(lambda: "b.py" in _known(engine))
            assert _known(engine) == {"a.py", "b.py", "pyproject.toml"}
            os.unlink(project / "a.py")
            client.notify(
                "workspace/didChangeWatchedFiles",
                {"changes": [{"uri": (project / "a.py").as_uri(), "type": 3}]},
            )
            await _until(lambda: "a.py" not in _known(engine))


async def test_no_project_is_read_where_the_setting_says_so(tmp_path: Path) -> None:
    engine = FakeEngine(write_sentence)
    async with open_house(
        lambda thread: Completer(port=thread, clock=SystemClock()),
        load=lambda *_: engine,
        layers=(NO_PROJECT,),
    ) as house:
        house = dataclasses.replace(house, cache=tmp_path / "cache")
        async with connected(house) as client:
            await client.initialize(workspaceFolders=[{"uri": tmp_path.as_uri(), "name": "p"}])
            client.open((tmp_path / "a.py").as_uri(), "x = 1\n")
            status = await client.request("fimble/status", {})
            assert status["n_buffers"] == 1
    assert not (tmp_path / "cache").exists()
