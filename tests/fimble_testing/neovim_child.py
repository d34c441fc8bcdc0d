"""A real Neovim as a child process with a user interface attached, typed into and looked at.

Owns the process and its private folders. Knows no plugin: what is started in it is said by an
init file. Every wait ends, at the latest with a report of what was on the screen.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import pynvim

from fimble_testing.neovim_screen import Screen

__all__ = ["NEOVIM_FOLDER", "NeovimChild", "ScriptedLog", "find_neovim"]

_Value = TypeVar("_Value")

NEOVIM_FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "neovim"
_POLL_S = 0.005
# A user's configuration, history and environment must not reach the child.
_PRIVATE_FOLDERS = ("CONFIG", "DATA", "STATE", "CACHE", "RUNTIME")


def find_neovim(name: str) -> Path | None:
    """The program that the install script put there as `newest` or `oldest`; None without it."""
    program = NEOVIM_FOLDER / name / "usr" / "bin" / "nvim"
    return program if program.exists() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedLog:
    """What the scripted server heard, as it wrote it down."""

    path: Path

    def entries(self, method: str | None = None) -> list[dict[str, object]]:
        """Every message in order, or those of one method."""
        if not self.path.exists():
            return []
        whole_lines = self.path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        entries = [cast("dict[str, object]", json.loads(line)) for line in whole_lines]
        return [entry for entry in entries if method in (None, entry["method"])]


class NeovimChild:
    """Keeps the invariant that no call waits for ever: a prompt on the screen is an error."""

    def __init__(
        self,
        program: Path,
        *,
        folder: Path,
        file: Path,
        init: Path,
        environment: Mapping[str, str],
        n_columns: int = 70,
        n_rows: int = 14,
    ) -> None:
        private = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in _PRIVATE_FOLDERS}
        private["XDG_RUNTIME_DIR"] = private.pop("XDG_RUNTIME_HOME")
        for path in private.values():
            Path(path).mkdir(exist_ok=True, mode=0o700)
        variables = {"HOME": str(folder), "PATH": os.environ["PATH"], **private, **environment}
        words = [f"{name}={value}" for name, value in variables.items()]
        # Without --headless Neovim waits for us to attach, as it does for a real interface.
        self._nvim = pynvim.attach(
            "child",
            argv=[
                *("env", "-i", *words, str(program), "--embed", "-n", "-i", "NONE"),
                *("-u", str(init), str(file)),
            ],
        )
        self.screen = Screen()
        self._nvim.ui_attach(n_columns, n_rows, rgb=True, ext_linegrid=True, ext_hlstate=True)

    def close(self) -> None:
        """End the process."""
        if self._nvim.api.get_mode()["blocking"]:
            self._nvim.input("<C-c>")
        # It is gone before it can answer.
        with contextlib.suppress(OSError, EOFError, pynvim.NvimError):
            self._nvim.command("qall!")
        self._nvim.close()

    def type(self, keys: str) -> None:
        """Type keys, in Neovim's notation: `ix<Esc>`."""
        self._nvim.input(keys)

    def lua(self, code: str, *arguments: object) -> object:
        """Run Lua and give what it returns."""
        self._refuse_prompt()
        return self._nvim.exec_lua(code, *arguments)

    def command(self, words: str) -> str:
        """Run an Ex command and give what it prints."""
        self._refuse_prompt()
        return str(self._nvim.command_output(words))

    def lines(self) -> list[str]:
        """The current buffer's text."""
        self._refuse_prompt()
        return list(self._nvim.current.buffer[:])

    @property
    def mode(self) -> str:
        """The mode's letters, `i` while inserting."""
        return str(self._nvim.api.get_mode()["mode"])

    def cursor(self) -> tuple[int, int]:
        """Line from 1 and byte from 0."""
        self._refuse_prompt()
        line, column = self._nvim.current.window.cursor
        return line, column

    def look(self) -> Screen:
        """The screen after everything so far has been drawn."""
        self._refuse_prompt()
        self._nvim.command("redraw")
        self._nvim.command(f"call rpcnotify({self._nvim.channel_id}, 'drawn')")
        while (message := self._nvim.next_message()) and message[1] != "drawn":
            if message[1] == "redraw":
                self.screen.take(message[2])
        return self.screen

    def ghost(self) -> list[str]:
        """What is drawn as ghost text, one string a screen row."""
        return list(self.look().text_of("FimbleGhost").values())

    def wait(
        self, condition: Callable[[], _Value], *, what: str = "", timeout_s: float = 10.0
    ) -> _Value:
        """Wait until `condition` is true and give its value.

        A real editor beside a real server: looking again is the one way to know, so this, alone
        among our tests, sleeps.
        """
        end_s = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > end_s:
                raise AssertionError(f"never seen: {what or condition}\n{self._report()}")
            time.sleep(_POLL_S)
        return value

    def wait_ghost(self, *lines: str, timeout_s: float = 10.0) -> None:
        """Wait until exactly these lines of ghost text are drawn; none means no ghost."""
        wanted = list(lines)
        try:
            self.wait(lambda: self.ghost() == wanted, timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"wanted ghost {wanted}, saw {self.ghost()}\n{error}") from None

    def wait_lines(self, *lines: str) -> None:
        """Wait until the buffer holds exactly these lines."""
        self.wait(lambda: self.lines() == list(lines), what=f"lines {lines}")

    def rows_while(self, keys: str, n_rows: int) -> list[tuple[str, ...]]:
        """Type `keys`; the first rows of the screen at every flush until they are worked off."""
        self.look()
        seen: list[tuple[str, ...]] = []

        def take(name: str, arguments: list[list[object]]) -> None:
            if name == "redraw":
                n_before = self.screen.n_flushes
                self.screen.take(arguments)
                if self.screen.n_flushes > n_before:
                    seen.append(tuple(self.screen.lines()[:n_rows]))
            elif name == "worked_off":
                self._nvim.stop_loop()

        self._nvim.input(keys + f"<Cmd>call rpcnotify({self._nvim.channel_id}, 'worked_off')<CR>")
        self._nvim.run_loop(None, take)
        seen.append(tuple(self.look().lines()[:n_rows]))
        return seen

    def time_until_drawn(
        self, keys: str, is_drawn: Callable[[Screen], bool], *, timeout_s: float = 5.0
    ) -> float | None:
        """Type `keys`; milliseconds until a flush shows what `is_drawn` wants, None if never."""
        self.look()
        start_s = time.perf_counter()
        taken_ms: list[float] = []

        def take(name: str, arguments: list[list[object]]) -> None:
            if name == "redraw":
                self.screen.take(arguments)
                if is_drawn(self.screen):
                    taken_ms.append((time.perf_counter() - start_s) * 1000)
                    self._nvim.stop_loop()

        def give_up() -> None:
            self._nvim.async_call(self._nvim.stop_loop)

        timer = threading.Timer(timeout_s, give_up)
        timer.start()
        self._nvim.input(keys)
        self._nvim.run_loop(None, take)
        timer.cancel()
        return taken_ms[0] if taken_ms else None

    def _refuse_prompt(self) -> None:
        """Raise where Neovim waits at a prompt: every call but this one would hang there."""
        if self._nvim.api.get_mode()["blocking"]:
            self._nvim.input("<CR>")
            if not self._nvim.api.get_mode()["blocking"]:
                messages = self._nvim.command_output("messages")
                raise AssertionError(f"Neovim stood at a prompt:\n{messages}")

    def _report(self) -> str:
        messages = self.command("messages")
        screen = "\n".join(self.look().lines())
        return f"mode {self.mode}\nlines {self.lines()}\nmessages {messages}\n{screen}"
