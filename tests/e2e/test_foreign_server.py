"""The whole path with a network that only transformers runs: an editor on a real server."""

from __future__ import annotations

from pathlib import Path

from fimble_testing.foreign_checkpoints import write_foreign_checkpoint
from fimble_testing.raw_client import inline_params
from fimble_testing.server_process import REAL_SERVER, start_server

INLINE = "textDocument/inlineCompletion"
CODE = "def add(left, right):\n    return "


async def test_an_editor_is_served_and_told_that_it_is_slower(tmp_path: Path) -> None:
    model = tmp_path / "neox"
    write_foreign_checkpoint(model)
    completion = {"eagerness": 1, "acceleration_deadline_ms": 10_000}
    options = {"model": {"name": str(model), "n_threads": 1}, "completion": completion}
    async with start_server(tmp_path, "--stdio", command=REAL_SERVER) as server:
        client = server.client
        await client.initialize(initializationOptions=options)
        uris = ["file:///project/one.py", "file:///project/two.py"]
        for uri in uris:
            client.open(uri, CODE + "\n")
        answers = [await client.request(INLINE, inline_params(uri, 1, 11)) for uri in uris]
        assert all(answer is None or "items" in answer for answer in answers)
        explained = await client.request("fimble/explain", {"textDocument": {"uri": uris[1]}})
        assert explained["model"]["name"] == "neox"
        assert explained["tokens"]["generated"] > 0
        status = await client.request("fimble/status", None)
        assert status["model"]["back_end"] == "transformers"
        assert status["model"]["sends_text_to"] is None
        assert "slower" in status["message"]
