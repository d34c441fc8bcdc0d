"""Measures VS Code's ghost text and keeps the figures, with the machine they were taken on.

.venv/bin/python tests/e2e/vscode/keep_latency.py
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

from fimble_eval.machine import describe_machine

_PROJECT = Path(__file__).resolve().parents[3]
_NODE = _PROJECT / ".cache" / "vscode" / "node"


def main() -> None:
    """Run the measurement and write its result under the day's name."""
    machine = describe_machine()
    finished = subprocess.run(
        [str(_NODE), str(Path(__file__).with_name("latency.mjs"))],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result = json.loads(finished.stdout)
    target = _PROJECT / "eval" / "results" / f"vscode-latency-{machine.date}.json"
    target.parent.mkdir(exist_ok=True)
    text = json.dumps({**result, "machine": asdict(machine)}, indent=2) + "\n"
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
