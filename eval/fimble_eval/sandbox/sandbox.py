"""The sandbox's outer side: a program in, a verdict out.

Owns the cage's process from start to death. Never trusts what comes out of it: output is read
up to a limit and never interpreted.
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from fimble_server.errors import FimbleError

__all__ = ["Limits", "Outcome", "Program", "SandboxError", "Verdict", "run", "why_unavailable"]

_CAGE = Path(__file__).with_name("cage.py")
_PYTHON = Path(sys.executable).resolve()
_MOST_REPORT_BYTES = 4_096
_KEPT_OUTPUT_CHARS = 2_000
_serials = itertools.count(1)


class SandboxError(FimbleError):
    """This system gives no sandbox, so nothing that a model wrote is run on it."""


class Verdict(enum.Enum):
    """How a program ended."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    TOO_MUCH_OUTPUT = "too much output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a program may use. Memory and processor time are a process's, the rest is for all.

    The wall clock is generous and the processor's is not: a busy machine fails no program.
    """

    cpu_s: int = 5
    wall_s: float = 30.0
    memory_bytes: int = 512 << 20
    n_processes: int = 64
    file_bytes: int = 32 << 20
    work_bytes: int = 128 << 20
    output_bytes: int = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Files by name, and the commands to be run in their folder, each after the one before.

    It has passed where the last command exits with `success_code` and all before it with 0, and
    `success_text` stands in the output. A code that nobody exits with by chance, or a text that
    is written at the end, tells a program that came to its end from one that left early.
    `visible` folders can be read though they lie in the hidden home folder.
    """

    files: Mapping[str, str] = field(repr=False)
    steps: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    visible: tuple[Path, ...] = ()
    success_code: int = 0
    success_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdict, the step that ended it, that step's exit code (None where it was killed)."""

    verdict: Verdict
    step_index: int | None
    exit_code: int | None
    output: str = field(repr=False)


@cache
def why_unavailable() -> str | None:
    """What this system lacks for a sandbox, or None where it has one. Tried once."""
    if sys.platform != "linux":
        return f"{sys.platform}, where there are no namespaces"
    probe = Program(files={}, steps=((str(_PYTHON), "-I", "-c", "pass"),))
    try:
        outcome = run(probe, Limits())
    except SandboxError as error:
        return error.found
    return None if outcome.verdict is Verdict.PASSED else f"a probe that {outcome.verdict.value}"


def run(program: Program, limits: Limits) -> Outcome:
    """Run a program in a cage of its own. Safe to call from several threads.

    Raises `SandboxError` where the walls cannot be put up; the program has not run then.
    """
    report_read, report_write = os.pipe()
    try:
        cage = subprocess.Popen(
            [str(_PYTHON), "-I", "-S", str(_CAGE), str(report_write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(report_write,),
            start_new_session=True,
            env={},
            cwd="/",
        )
    finally:
        os.close(report_write)
    with cage, os.fdopen(report_read, "rb") as report_file:
        try:
            output, broken = _watch(cage, _order_for(program, limits), limits)
        finally:
            # The cage leads its process group; its namespace falls with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(cage.pid, signal.SIGKILL)
        report = b"" if broken else report_file.read(_MOST_REPORT_BYTES)
    return _judge(program, report, broken, output)


def _order_for(program: Program, limits: Limits) -> bytes:
    home = Path.home()
    visible = {_PYTHON.parent.parent, *(path.resolve() for path in program.visible)}
    order = {
        "files": dict(program.files),
        "steps": program.steps,
        "environment": dict(program.environment),
        "hidden": [str(home)] if home.is_dir() and home != Path("/") else [],
        "visible": sorted(str(path) for path in visible),
        "work_bytes": limits.work_bytes,
        "limits": asdict(limits) | {"serial": next(_serials) % 1_000_000},
    }
    return json.dumps(order).encode()


def _watch(
    cage: subprocess.Popen[bytes], order: bytes, limits: Limits
) -> tuple[bytes, Verdict | None]:
    """Feed the order, gather the output; a verdict where a limit was passed."""
    assert cage.stdin is not None
    assert cage.stdout is not None
    ends_at_s = time.monotonic() + limits.wall_s
    with contextlib.suppress(BrokenPipeError):
        cage.stdin.write(order)
        cage.stdin.close()
    output = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(cage.stdout, selectors.EVENT_READ)
        while (left_s := ends_at_s - time.monotonic()) > 0:
            if not selector.select(left_s):
                continue
            chunk = os.read(cage.stdout.fileno(), 1 << 16)
            output += chunk
            if len(output) > limits.output_bytes:
                return bytes(output), Verdict.TOO_MUCH_OUTPUT
            if not chunk:
                break
    try:
        # Whoever closes its output is not done yet.
        cage.wait(max(0.0, ends_at_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return bytes(output), Verdict.TIMED_OUT
    return bytes(output), None


def _judge(program: Program, report: bytes, broken: Verdict | None, output: bytes) -> Outcome:
    text = output.decode("utf-8", "replace")[-_KEPT_OUTPUT_CHARS:]
    if broken is not None:
        return Outcome(verdict=broken, step_index=None, exit_code=None, output=text)
    if not report:  # The system killed the cage, for want of memory most likely.
        return Outcome(verdict=Verdict.FAILED, step_index=None, exit_code=None, output=text)
    found = json.loads(report)
    if "fault" in found:
        raise SandboxError(
            expected="Linux 5.12 or newer with namespaces (as root, or user namespaces allowed)",
            found=str(found["fault"]),
            to_do="Allow user namespaces, or run it in a machine or container that has them.",
        )
    step_index, exit_code = int(found["step"]), int(found["code"])
    is_success = exit_code == program.success_code and program.success_text in text
    has_passed = is_success and step_index == len(program.steps) - 1
    return Outcome(
        verdict=Verdict.PASSED if has_passed else Verdict.FAILED,
        step_index=step_index,
        exit_code=exit_code,
        output=text,
    )
