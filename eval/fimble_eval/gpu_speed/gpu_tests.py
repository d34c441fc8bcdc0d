"""The tests marked `gpu`, run as a part: a speed counts only where the answers are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from fimble_eval.engine_speed.rows import PartResult, at_most
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_server.errors import FimbleError

__all__ = ["count_outcomes", "run_gpu_tests"]

_REPOSITORY = Path(__file__).parents[3]
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


def run_gpu_tests(options: GpuOptions) -> PartResult:
    """How many passed and failed. A rehearsal collects them, and all skip."""
    folder = _REPOSITORY / "tests" / "model"
    if not folder.is_dir():
        raise FimbleError(
            expected="the repository's tests beside the sources",
            found="an installation without them",
            to_do="Run the command from a clone.",
        )
    target = folder / "gpu" if options.is_rehearsal else folder
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    finished = subprocess.run(
        [*command, str(target)], cwd=_REPOSITORY, capture_output=True, text=True, check=False
    )
    counts = count_outcomes(finished.stdout)
    n_failed = counts.get("failed", 0) + counts.get("error", 0)
    return PartResult(
        rows=(
            at_most(
                # Nothing is shown where nothing ran.
                0.0 if counts.get("passed") or n_failed else None,
                "tests marked gpu that fail",
                "tests",
                n_failed,
                words="failed",
                note=f"{counts.get('passed', 0)} passed, {counts.get('skipped', 0)} skipped",
            ),
        ),
        details={"exit_code": finished.returncode, "failed_lines": _failures(finished.stdout)},
    )


def count_outcomes(output: str) -> dict[str, int]:
    """Outcomes by kind, from pytest's last line.

    >>> count_outcomes("2 failed, 3 passed, 1 error in 4.1s")
    {'failed': 2, 'passed': 3, 'error': 1}
    """
    last = output.rstrip().rpartition("\n")[2]
    return {kind.removesuffix("s"): int(number) for number, kind in _COUNT.findall(last)}


def _failures(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))][:20]
