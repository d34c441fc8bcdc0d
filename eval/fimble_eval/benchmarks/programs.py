"""A benchmark's task and an answer made a program that passes only if all its tests did.

Owns how each language's tests are run: the files, the commands, and the proof of having come to
the end, so that an answer which leaves early does not pass. Needs no toolchain itself.

Where the published harness would need packages of third parties, small stand-ins are written
beside the tests: `assert.Equal` for Go. Rust's unused crates are left out.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from fimble_eval.benchmarks.task_file import Record
from fimble_eval.benchmarks.toolchains import find_tool, rust_toolchain
from fimble_eval.sandbox.sandbox import Limits, Program

__all__ = ["LANGUAGES", "LIMITS", "build_program", "language_of", "python_program"]

# Nobody exits with it by chance; not one number, so that no model can learn it.
_SUCCESS_CODE = random.SystemRandom().randrange(64, 112)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "python": Limits(),
        "javascript": Limits(memory_bytes=1 << 30),
        "java": Limits(cpu_s=20, wall_s=90.0, memory_bytes=2 << 30),
        "cpp": Limits(cpu_s=20, wall_s=90.0, memory_bytes=1 << 30),
        "go": Limits(cpu_s=60, wall_s=120.0, memory_bytes=2 << 30, work_bytes=512 << 20),
        "rust": Limits(cpu_s=30, wall_s=90.0, memory_bytes=2 << 30),
    }
)
_LANGUAGE_BY_PREFIX = {
    "HumanEval": "python",
    "Python": "python",
    "JavaScript": "javascript",
    "Java": "java",
    "CPP": "cpp",
    "Go": "go",
    "Rust": "rust",
}


def language_of(task_id: str) -> str:
    """The language of a task of HumanEval or HumanEval-X, by its identifier; `KeyError` else."""
    return _LANGUAGE_BY_PREFIX[task_id.partition("/")[0]]


def python_program(source: str) -> Program:
    """A program of Python source that passes where it comes to its end."""
    python = Path(sys.executable).resolve()
    return Program(
        files={"main.py": f"{source}\n__import__('os')._exit({_SUCCESS_CODE})\n"},
        steps=((str(python), "-I", "main.py"),),
        success_code=_SUCCESS_CODE,
    )


def build_program(record: Record, completion: str) -> Program:
    """The program for one answer to a task of HumanEval or HumanEval-X."""
    return _BUILDERS[language_of(record["task_id"])](record, completion)


def _python(record: Record, completion: str) -> Program:
    source = record["prompt"] + completion + "\n" + record["test"] + "\n"
    if "entry_point" in record:
        source += f"check({record['entry_point']})\n"
    return python_program(source)


def _javascript(record: Record, completion: str) -> Program:
    """`console.assert` only complains; here it throws."""
    source = (
        "console.assert = (holds) => { if (!holds) throw new Error('assertion failed'); };\n"
        f"{record['prompt']}{completion}\n{record['test']}\nprocess.exit({_SUCCESS_CODE});\n"
    )
    return Program(
        files={"main.js": source},
        steps=((find_tool("node"), "--max-old-space-size=256", "main.js"),),
        success_code=_SUCCESS_CODE,
    )


def _java(record: Record, completion: str) -> Program:
    """The tests' own `Main` is called by a class that tells its end from an early exit."""
    ending = (
        "public class Proof { public static void main(String[] arguments) throws Throwable {\n"
        f"Main.main(arguments); Runtime.getRuntime().halt({_SUCCESS_CODE}); }} }}\n"
    )
    flags = ("-J-Xmx512m", "-J-XX:+UseSerialGC", "-J-XX:TieredStopAtLevel=1")
    java = (find_tool("java"), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    return Program(
        files={
            "Main.java": record["prompt"] + completion + "\n" + record["test"] + "\n",
            "Proof.java": ending,
        },
        steps=(
            (find_tool("javac"), *flags, "-nowarn", "Main.java", "Proof.java"),
            (*java, "-cp", ".", "Proof"),
        ),
        success_code=_SUCCESS_CODE,
    )


def _cpp(record: Record, completion: str) -> Program:
    """The tests' `main` becomes a function that the real one calls."""
    tests = re.sub(r"\bint\s+main\s*\(\s*\)", "static void run_all_tests()", record["test"])
    source = (
        f"{record['prompt']}{completion}\n{tests}\n"
        f"#include <stdlib.h>\nint main() {{ run_all_tests(); _Exit({_SUCCESS_CODE}); }}\n"
    )
    return Program(
        files={"main.cpp": source},
        steps=((find_tool("g++"), "-std=c++17", "-w", "-o", "main", "main.cpp"), ("./main",)),
        environment={"PATH": _SYSTEM_PATH},
        success_code=_SUCCESS_CODE,
    )


_GO_ASSERT = """package assert

import (
\t"reflect"
\t"testing"
)

type Assertions struct{ t *testing.T }

func New(t *testing.T) *Assertions { return &Assertions{t} }

func (a *Assertions) Equal(expected, actual interface{}, rest ...interface{}) bool {
\tif reflect.DeepEqual(expected, actual) {
\t\treturn true
\t}
\ta.t.Errorf("not equal")
\treturn false
}
"""


# What the published harness imports for an answer that uses it.
_GO_PACKAGES = ("bytes", "crypto/md5", "fmt", "math", "math/rand", "regexp", "sort", "strconv",
                "strings", "time")  # fmt: skip


def _go(record: Record, completion: str) -> Program:
    """As `go test` runs it; it takes an early `os.Exit(0)` for a failure."""
    own_imports = record.get("import", "")
    code = record["prompt"].replace(own_imports, "", 1) + completion + "\n" + record["test"]
    head = record.get("test_setup") or "package main\n"
    wanted = (*re.findall(r'"([^"\n]+)"', own_imports), *_GO_PACKAGES)
    for package in dict.fromkeys(wanted):
        if f'"{package}"' not in head and _uses_go_package(code, package):
            head += f'\nimport "{package}"\n'
    return Program(
        files={
            "src/task/task_test.go": f"{_blanked_imports(head, code)}\n{code}\n",
            "src/github.com/stretchr/testify/assert/assert.go": _GO_ASSERT,
        },
        steps=((find_tool("go"), "test", "-vet=off", "-count=1", "task"),),
        environment={
            "PATH": _SYSTEM_PATH,
            "HOME": "/tmp",
            "GOPATH": "/tmp",
            "GOCACHE": "/tmp/cache",
            "GO111MODULE": "off",
            "GOFLAGS": "-p=1",
        },
    )


def _uses_go_package(code: str, package: str) -> bool:
    name = package.rpartition("/")[2]
    return re.search(rf"\b{name}\.[A-Z]", code) is not None


def _blanked_imports(head: str, code: str) -> str:
    """Go refuses an import that nothing uses, and the tests import for every answer."""

    def blank(match: re.Match[str]) -> str:
        return match[0] if _uses_go_package(code, match[1]) else f"_ {match[0]}"

    return re.sub(r'"([^"\n]+)"', blank, head)


_RUST_CRATES = re.compile(r"^use (rand|regex|md5)\b.*$", re.MULTILINE)


def _rust(record: Record, completion: str) -> Program:
    """As `cargo test` runs it, but by the compiler alone."""
    toolchain = rust_toolchain()
    declaration = _RUST_CRATES.sub("", record["declaration"])
    source = f"fn main() {{}}\n{declaration}{completion}\n{record['test']}\n"
    compiler = (str(toolchain / "bin/rustc"), "--test", "--edition=2018", "-Awarnings")
    return Program(
        files={"main.rs": source.replace("ascii::AsciiExt", "ascii")},
        steps=(
            (*compiler, "-Cdebuginfo=0", "-o", "main", "main.rs"),
            ("./main", "--test-threads=1"),
        ),
        environment={"PATH": _SYSTEM_PATH},
        visible=(toolchain,),
        success_text="test result: ok. 1 passed; 0 failed",
    )


_BUILDERS: Mapping[str, Callable[[Record, str], Program]] = MappingProxyType(
    {
        "python": _python,
        "javascript": _javascript,
        "java": _java,
        "cpp": _cpp,
        "go": _go,
        "rust": _rust,
    }
)
LANGUAGES = tuple(_BUILDERS)
