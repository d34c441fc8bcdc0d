"""Builds the native kernels: `python -m fimble_model.network.native.build`.

Owns which sources are compiled, how, and where the library lies: beside them. Needs a C compiler
and nothing else, takes seconds, and runs when Fimble is installed, never when it serves. Imports
nothing of Fimble, for the installer runs it before Fimble is there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

__all__ = ["LIBRARY_PATH", "BuildError", "build", "digest_sources", "main"]

FOLDER = Path(__file__).parent
LIBRARY_PATH = FOLDER / "libfimble_kernels.so"

# -ffp-contract=off: the same sum must round the same wherever it is inlined (see vectors.h).
_FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Wno-psabi"),
)
_AVX2 = ("-mavx2", "-mfma", "-mf16c")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512vl", "-mavx512vnni")


class BuildError(Exception):
    """There is no compiler, or it refused."""


class _Unit(NamedTuple):
    """One run of the compiler."""

    source: str
    flags: tuple[str, ...] = ()


def build(target: Path = LIBRARY_PATH, extra_flags: Sequence[str] = ()) -> Path:
    """Compile and link the library at `target`, whole or not at all. Raises `BuildError`.

    `extra_flags` come last: sanitizers, say.
    """
    compiler = _find_compiler()
    with tempfile.TemporaryDirectory() as folder:
        objects = [Path(folder) / f"{index}.o" for index in range(len(_units()))]
        commands = [
            _command(compiler, unit.flags, extra_flags, "-c", FOLDER / unit.source, "-o", path)
            for unit, path in zip(_units(), objects, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, commands))
        linked = Path(folder) / target.name
        link = ("-shared", "-pthread")
        _run(_command(compiler, link, extra_flags, *objects, "-lm", "-o", linked))
        # A library in use must not change under its users: a new file takes the old one's place.
        beside = target.with_suffix(f".{os.getpid()}")
        shutil.copy(linked, beside)
        os.replace(beside, target)
    return target


def digest_sources() -> str:
    """A digest of all sources: a library that was built of others must not be loaded.

    What a structure means can change while its size stays.
    """
    digest = hashlib.sha256()
    for path in sorted((*FOLDER.glob("*.c"), *FOLDER.glob("*.h"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _units() -> tuple[_Unit, ...]:
    units = [
        _Unit("network.c", (f'-DFIMBLE_SOURCES="{digest_sources()}"',)),
        _Unit("threads.c"),
        _Unit("memory.c"),
        _Unit("kernels.c", ("-DKERNELS=generic",)),
    ]
    if platform.machine().lower() in ("x86_64", "amd64"):
        units.append(_Unit("kernels.c", ("-DKERNELS=avx2", *_AVX2)))
        units.append(_Unit("kernels.c", ("-DKERNELS=avx512", *_AVX512)))
    return tuple(units)


def _find_compiler() -> list[str]:
    if os.name != "posix":
        raise BuildError("the native kernels are built on Linux and macOS only")
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if (words := name.split()) and shutil.which(words[0]):
            return words
    raise BuildError("found no C compiler (cc, gcc or clang)")


def _command(
    compiler: Sequence[str], flags: Sequence[str], extra_flags: Sequence[str], *rest: str | Path
) -> list[str]:
    return [*compiler, *_FLAGS, *flags, *extra_flags, *map(str, rest)]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def main() -> int:
    """Build beside the sources and say so. Gives the exit status."""
    try:
        path = build()
    except BuildError as error:
        sys.stderr.write(f"No native kernels: {error}\nFimble runs without them, more slowly.\n")
        return 1
    sys.stderr.write(f"built {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
