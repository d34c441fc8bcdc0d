"""Which files of a folder are never looked at: ignored, secret, or no source text.

Owns the rules and their order. The rules that protect secrets always hold, and so does every
rule of the folder's own files: `.gitignore` and `.fimbleignore`, in whichever folder they lie.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from fimble_server.context.secret_files import find_secrecy

__all__ = ["IGNORE_FILES", "IgnoreRules", "is_text", "load_rules", "read_rules"]

log = logging.getLogger(__name__)

IGNORE_FILES = (".gitignore", ".fimbleignore")
# What tools put into a project and no person edits, whether git is told of it or not.
_TOOLS_FOLDERS = frozenset(
    {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".mypy_cache"}
    | {".pytest_cache", ".ruff_cache", ".idea", ".vscode", "dist", "build", "target", ".cache"}
)
_MOST_RULE_BYTES = 256 * 1024
_LOOKED_AT_BYTES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """The rules of one file, which count for paths below `folder` ("" is the root)."""

    folder: str
    spec: GitIgnoreSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRules:
    """The rules that hold in a folder, those of the folders above it first.

    `secret_names` are the user's own patterns for files of secrets.
    """

    specs: tuple[_Spec, ...] = ()
    secret_names: tuple[str, ...] = ()

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """Whether a path below the root, with `/` between its parts, is out of bounds.

        Folders above it are not looked at: one that is ignored is not entered. As in git, of
        the rules that match the last one decides; `.fimbleignore` cannot take back what
        `.gitignore` says.
        """
        name = path.rpartition("/")[2]
        if is_folder and name in _TOOLS_FOLDERS:
            return True
        if find_secrecy(path if not is_folder else f"{path}/x", self.secret_names) is not None:
            return True
        for spec in self.specs:
            inside = path[len(spec.folder) + 1 :] if spec.folder else path
            if spec.spec.match_file(f"{inside}/" if is_folder else inside):
                return True
        return False

    def within(self, folder: str, rule_texts: Sequence[str]) -> IgnoreRules:
        """The rules inside a folder, given its own ignore files' texts."""
        found = (
            _Spec(folder=folder, spec=GitIgnoreSpec.from_lines(text.splitlines()))
            for text in rule_texts
        )
        return dataclasses.replace(self, specs=(*self.specs, *found))


def read_rules(folder: Path) -> tuple[str, ...]:
    """The texts of a folder's ignore files; one that cannot be read has no rules."""
    texts: list[str] = []
    for name in IGNORE_FILES:
        try:
            with (folder / name).open("rb") as file:
                texts.append(file.read(_MOST_RULE_BYTES).decode("utf-8", "replace"))
        except OSError:
            continue
    return tuple(texts)


def load_rules(root: Path, folder: Path, secret_names: tuple[str, ...] = ()) -> IgnoreRules | None:
    """The rules that hold in a folder of the root; None where the folder itself is ignored."""
    rules = IgnoreRules(secret_names=secret_names).within("", read_rules(root))
    relative = ""
    for part in folder.relative_to(root).parts:
        relative = f"{relative}/{part}" if relative else part
        if rules.ignores(relative, is_folder=True):
            return None
        rules = rules.within(relative, read_rules(root / relative))
    return rules


def is_text(beginning: bytes) -> bool:
    """Whether a file that begins so is text: UTF-8 without zero bytes.

    >>> is_text("x = '😀'".encode()[:-2]), is_text(b"\\x7fELF\\0")
    (True, False)
    """
    looked_at = beginning[:_LOOKED_AT_BYTES]
    if b"\0" in looked_at:
        return False
    try:
        looked_at.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut at the end.
        return error.start >= len(looked_at) - 3
    return True
