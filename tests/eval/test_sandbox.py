"""Programs that mean harm, or merely do it, end where they are and leave nothing behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from fimble_eval.sandbox.sandbox import Limits, Outcome, Program, Verdict, run, why_unavailable

_LACK = why_unavailable()
pytestmark = pytest.mark.skipif(_LACK is not None, reason=f"no sandbox here: {_LACK}")

# Far above what any of these programs needs, so that a busy machine changes no verdict.
_PATIENT = Limits(wall_s=60.0)


def _run_python(
    code: str, limits: Limits = _PATIENT, *, file: str = "main.py", success_code: int = 0
) -> Outcome:
    python = str(Path(sys.executable).resolve())
    program = Program(
        files={file: code},
        steps=((python, "-I", file),),
        success_code=success_code,
    )
    return run(program, limits)


def test_a_harmless_program_passes() -> None:
    outcome = _run_python("print('😀')")
    assert outcome.verdict is Verdict.PASSED
    assert outcome.output == "😀\n"


def test_a_program_that_raises_fails() -> None:
    outcome = _run_python("assert 1 == 2")
    assert (outcome.verdict, outcome.exit_code) == (Verdict.FAILED, 1)


def test_a_program_that_leaves_early_has_not_passed() -> None:
    """Only who comes to the end exits with the code that says so."""
    end = "import os; os._exit(77)"
    assert _run_python(end, success_code=77).verdict is Verdict.PASSED
    early = f"raise SystemExit(0)\n{end}"
    assert _run_python(early, success_code=77).verdict is Verdict.FAILED


def test_a_step_runs_only_after_the_one_before_passed() -> None:
    program = Program(files={}, steps=(("/bin/false",), ("/bin/true",)))
    outcome = run(program, _PATIENT)
    assert (outcome.verdict, outcome.step_index) == (Verdict.FAILED, 0)


def test_a_fork_bomb_is_bounded_and_killed_as_a_whole() -> None:
    code = """
import os, time
n_children = 0
try:
    while True:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        n_children += 1
except OSError:
    print(n_children)
"""
    outcome = _run_python(code, Limits(wall_s=60.0, n_processes=20), file="bomb.py")
    assert outcome.verdict is Verdict.PASSED
    assert 0 < int(outcome.output) < 20
    assert not _processes_of("bomb.py")


def test_a_fork_bomb_that_never_ends_is_killed() -> None:
    code = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
    outcome = _run_python(code, Limits(wall_s=2.0, n_processes=8))
    assert outcome.verdict is Verdict.TIMED_OUT


def test_endless_output_is_cut_off() -> None:
    outcome = _run_python("while True: print('x' * 1000)")
    assert outcome.verdict is Verdict.TOO_MUCH_OUTPUT


def test_closing_its_outputs_hides_nothing() -> None:
    """Neither the time a program takes nor its failure."""
    closed = "import os\nfor fd in range(100):\n    try: os.close(fd)\n    except OSError: pass\n"
    slow = _run_python(closed + "import time; time.sleep(1000)", Limits(wall_s=1.5))
    assert slow.verdict is Verdict.TIMED_OUT
    assert _run_python(closed + "os._exit(3)").exit_code == 3


def test_there_is_nothing_to_read_on_stdin() -> None:
    assert "EOFError" in _run_python("input()").output


def test_sleeping_is_not_waited_for() -> None:
    outcome = _run_python("import time; time.sleep(1000)", Limits(wall_s=1.0))
    assert outcome.verdict is Verdict.TIMED_OUT


def test_processor_time_is_bounded() -> None:
    outcome = _run_python("while True: pass", Limits(cpu_s=1, wall_s=100.0))
    assert outcome.verdict is Verdict.FAILED


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    """Not beside the sources, not at the root, not in /tmp or what pytest keeps there."""
    targets = ["/fimble-was-here", "/dev/shm/fimble", str(Path(__file__).with_name("x")),
               str(tmp_path / "x"), "/proc/sys/kernel/hostname"]  # fmt: skip
    code = f"""
for target in {targets!r}:
    try:
        open(target, "w").write("x")
        print("wrote", target)
    except OSError:
        pass
open("/tmp/inside", "w").write("x")
"""
    outcome = _run_python(code)
    assert (outcome.verdict, outcome.output) == (Verdict.PASSED, "")
    assert not Path("/tmp/inside").exists()
    assert not any(Path(target).exists() for target in targets[:4])


def test_files_and_the_work_folder_are_bounded() -> None:
    one = _run_python(
        "open('big', 'wb').write(b'x' * 9_000_000)", Limits(wall_s=60.0, file_bytes=1 << 20)
    )
    assert "File too large" in one.output
    many = _run_python(
        "for i in range(99): open(f'{i}', 'wb').write(b'x' * 1_000_000)",
        Limits(wall_s=60.0, work_bytes=4 << 20),
    )
    assert "No space left" in many.output


def test_memory_is_bounded() -> None:
    outcome = _run_python("x = bytearray(1 << 28)", Limits(wall_s=60.0, memory_bytes=1 << 27))
    assert "MemoryError" in outcome.output


def test_there_is_no_network() -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert "Network is unreachable" in _run_python(code).output


def test_environment_home_and_other_processes_are_out_of_sight() -> None:
    """Only the interpreter's own folder is left of the home."""
    marker = Path.home() / ".fimble-secret-of-a-test"
    marker.write_text("secret", encoding="utf-8")
    try:
        code = f"""
import os
print(sorted(set(os.environ) - {{"LC_CTYPE"}}), os.path.exists({str(marker)!r}))
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
print(os.getuid() == 0)
"""
        assert _run_python(code).output == "[] False\n[1, 2]\nFalse\n"
    finally:
        marker.unlink()


def test_the_parents_cannot_be_killed_from_inside() -> None:
    code = """
import os, signal
for process in (1, os.getppid()):
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass
"""
    assert _run_python(code).verdict is Verdict.PASSED


def test_a_sandbox_leaves_no_process_behind() -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
"""
    assert _run_python(code, file="orphan.py").verdict is Verdict.PASSED
    assert not _processes_of("orphan.py")


def _processes_of(file: str) -> list[str]:
    """Command lines that are alive with some file; the kernel takes a moment to bury them."""
    ends_at_s = time.monotonic() + 10.0
    while (found := _command_lines_with(file)) and time.monotonic() < ends_at_s:
        pass
    return found


def _command_lines_with(file: str) -> list[str]:
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if entry.name.isdigit() and line.rstrip().endswith(f"-I {file}"):
            found.append(line)
    return found
