"""Contenders from outside: a process each, called by name, so that none disturbs another.

Owns the processes and the types of what they answer. A contender that is not busy waits for a
line and uses no processor.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fimble_server.errors import FimbleError

__all__ = ["Batch", "Completion", "Contender", "ContenderMissingError", "find_llama_python"]

_EVAL_FOLDER = Path(__file__).parents[2]


class ContenderMissingError(FimbleError):
    """A contender is not installed: its part of a measurement is skipped, and said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tokens of one pass, and how often it is made; its last `n_logits` are asked what follows."""

    token_ids: Sequence[int]
    n_times: int
    n_logits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """Greedy tokens after a prompt, of whose tokens `n_reused` were in the contender's cache."""

    spent_ms: float
    n_reused: int
    token_ids: tuple[int, ...]
    n_passes: int | None


class Contender:
    """One process. Use it as a context manager: leaving ends it."""

    def __init__(self, module: str, *, python: str = sys.executable) -> None:
        self.name = module
        self.detail = ""
        self.weight_bytes = self.slot_bytes = 0
        self._process = subprocess.Popen(
            [python, "-m", f"fimble_eval.engine_speed.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if python == sys.executable else {"PYTHONPATH": str(_EVAL_FOLDER)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def load(self, path: Path, *, n_threads: int, n_context_tokens: int) -> None:
        """Load the contender's model; its name and version are known then."""
        answer = self._call(
            "load", path=str(path), n_threads=n_threads, n_context_tokens=n_context_tokens
        )
        self.name, self.detail = answer["name"], answer["detail"]
        self.weight_bytes = answer.get("weight_bytes", 0)
        self.slot_bytes = answer.get("slot_bytes", 0)

    def passes(self, context: Sequence[int], batches: Sequence[Batch]) -> list[list[float]]:
        """Milliseconds of each batch's passes, all after the same context."""
        answer: list[list[float]] = self._call(
            "passes",
            context=list(context),
            batches=[
                {
                    "token_ids": list(batch.token_ids),
                    "n_times": batch.n_times,
                    "n_logits": batch.n_logits,
                }
                for batch in batches
            ],
        )
        return answer

    def complete(self, prompt: Sequence[int], *, n_new_tokens: int) -> Completion:
        """Greedy tokens after a prompt, by the contender's own cache and ways."""
        answer = self._call("complete", prompt=list(prompt), n_new_tokens=n_new_tokens)
        return Completion(
            spent_ms=answer["spent_ms"],
            n_reused=answer["n_reused"],
            token_ids=tuple(answer["token_ids"]),
            n_passes=answer.get("n_passes"),
        )

    def logits(self, prompt: Sequence[int]) -> list[float]:
        """What follows a prompt."""
        answer: list[float] = self._call("logits", prompt=list(prompt))
        return answer

    def forget(self) -> None:
        """Empty the contender's cache."""
        self._call("forget")

    def read_bandwidth(self) -> float:
        """Bytes a second of reading a large array, with the contender's threads."""
        answer: float = self._call("read_bandwidth")
        return answer

    def _call(self, name: str, **arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"call": name, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended: the empty line below says so.
        line = self._process.stdout.readline()
        if not line:
            raise FimbleError(
                expected=f"an answer of {self.name} to {name!r}",
                found=f"its process ended with {self._process.wait()}",
                to_do="Its error is on standard error, above.",
            )
        return json.loads(line)


def find_llama_python(wanted: str | None) -> str:
    """A Python that has llama-cpp-python: the one named, or this. Raises where it has not."""
    python = wanted or sys.executable
    probe = "import llama_cpp"
    found = subprocess.run([python, "-c", probe], capture_output=True, check=False)
    if found.returncode:
        raise ContenderMissingError(
            expected=f"llama-cpp-python in {python}",
            found="none",
            to_do="Install the extra: pip install 'fimble[compare]', or name another Python.",
        )
    return python
