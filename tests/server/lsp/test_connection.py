"""Laws of a connection's end that no message announces."""

from __future__ import annotations

import asyncio
import os
import sys

from fimble_server.lsp.connection import wait_for_process_end


async def test_the_end_of_the_editor_s_process_is_noticed() -> None:
    """Also while its own parent has not asked for its exit code yet."""
    editor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    waiting = asyncio.ensure_future(wait_for_process_end(editor.pid))
    await asyncio.sleep(0)
    assert not waiting.done()
    os.kill(editor.pid, 9)
    await asyncio.wait_for(waiting, 60)
    await editor.wait()


async def test_a_process_that_is_gone_already_is_not_waited_for() -> None:
    editor = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await editor.wait()
    await asyncio.wait_for(wait_for_process_end(editor.pid), 60)
