"""The shape of the house, held by a test: who may import whom at run time, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("server", "model", "eval") for path in (REPOSITORY / folder).rglob("*.py")
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50


def _source_name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_source_name)
def test_a_module_says_what_it_owns(path: Path) -> None:
    """Every module with code in it opens with a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree)


@pytest.mark.parametrize("path", SOURCES, ids=_source_name)
def test_files_and_functions_stay_short(path: Path) -> None:
    """A file has at most 400 lines, a function at most 50."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert n_lines <= MAX_FUNCTION_LINES, f"{node.name} has {n_lines} lines"


@pytest.mark.parametrize(
    "module",
    ["fimble_model", "fimble_model.errors", "fimble_server.cli", "fimble_server.lsp.server"],
)
def test_importing_the_server_does_not_import_torch(module: str) -> None:
    """`initialize` can be answered before torch is there."""
    probe = f"import sys, {module}; sys.exit(bool({{'torch', 'transformers'}} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", probe], check=False, timeout=60)
    assert finished.returncode == 0


def test_the_sources_call_no_print_and_no_pickle() -> None:
    """Stdout belongs to the protocol, and a checkpoint never runs code."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path
            if isinstance(node, ast.Import):
                assert all(alias.name != "pickle" for alias in node.names), path
