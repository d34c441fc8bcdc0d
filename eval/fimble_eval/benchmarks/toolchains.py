"""The compilers and interpreters of this machine, and what to say where one is lacking.

Owns the look-up. Python is always there.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from fimble_server.errors import FimbleError

__all__ = ["find_tool", "rust_toolchain", "why_lacking"]

_TOOLS = {
    "python": (),
    "javascript": ("node",),
    "java": ("javac", "java"),
    "cpp": ("g++",),
    "go": ("go",),
    "rust": ("rustc",),
}


class ToolchainError(FimbleError):
    """A language whose tools this machine lacks."""


def find_tool(name: str) -> str:
    """Where a tool is. Raises `ToolchainError` where it is not."""
    path = shutil.which(name)
    if path is None:
        raise ToolchainError(
            expected=f"{name} on the PATH",
            found="none",
            to_do="Install it, or measure another language.",
        )
    return str(Path(path).resolve()) if name == "node" else path


@cache
def rust_toolchain() -> Path:
    """The folder of the Rust compiler itself, behind whatever chooses among several."""
    done = subprocess.run(
        [find_tool("rustc"), "--print", "sysroot"], capture_output=True, text=True, check=False
    )
    folder = Path(done.stdout.strip())
    if done.returncode != 0 or not (folder / "bin/rustc").exists():
        raise ToolchainError(
            expected="a Rust compiler that tells where it is",
            found="none",
            to_do="Install Rust, or measure another language.",
        )
    return folder


def why_lacking(language: str) -> str | None:
    """What the language's tools lack, or None where its tests can run."""
    try:
        for tool in _TOOLS[language]:
            find_tool(tool)
        if language == "rust":
            rust_toolchain()
    except ToolchainError as error:
        return f"expected {error.expected}"
    return None
