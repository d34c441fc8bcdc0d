"""Recorded sessions, replayed: what was answered then is answered now.

A record is a file of lines: `>` and what the editor sent, `<` and the answer to it. Set
`FIMBLE_RECORD=1` to write the answers anew, and review the difference like code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fimble_model.engine.clock import SystemClock
from fimble_server.completion.completer import Completer
from fimble_testing.fake_engine import FakeEngine
from fimble_testing.fake_server import PATIENCE, write_sentence
from fimble_testing.raw_client import RawClient
from fimble_testing.server_in_process import connected, open_house

RECORDS = sorted(Path(__file__).parent.glob("*.jsonl"))


async def _answer(client: RawClient, message: Any) -> Any:
    client.send(message)
    reply = dict(
        await client.message(lambda told: "method" not in told and told["id"] == message["id"])
    )
    if isinstance(result := reply.get("result"), dict):
        result.pop("timing_ms", None)
        if "serverInfo" in result:
            result["serverInfo"]["version"] = "VERSION"
    return reply


def _lines_of(record: Path) -> list[str]:
    return record.read_text(encoding="utf-8").splitlines()


def _write(record: Path, lines: list[str]) -> None:
    record.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
async def test_a_recorded_session_is_answered_as_it_was(record: Path) -> None:
    lines = _lines_of(record)
    sent = [json.loads(line[1:]) for line in lines if line.startswith(">")]
    played: list[str] = []
    async with (
        open_house(
            lambda thread: Completer(port=thread, clock=SystemClock()),
            load=lambda settings, report: FakeEngine(write_sentence),
            layers=(PATIENCE,),
        ) as house,
        connected(house) as client,
    ):
        for message in sent:
            played.append(f"> {json.dumps(message)}")
            if "id" in message:
                played.append(f"< {json.dumps(await _answer(client, message), sort_keys=True)}")
            else:
                client.send(message)
    if os.environ.get("FIMBLE_RECORD"):
        _write(record, played)
    assert played == lines
