"""Packages of Debian, whose `copyright` file states a licence file by file.

Owns the reading of that file (Debian policy, machine-readable debian/copyright, format 1.0), of
source archives, and of binary packages that carry source (Go, Rust, headers, Lua). Only what the
copyright file puts under a permissive licence is read; a package without one is refused. Never
builds, installs or runs anything.
"""

from __future__ import annotations

import fnmatch
import io
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fimble_model.training.deliveries import Package, ReadFiles, fetch_with, is_wanted, read_members
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.licences import LicenceVerdict, judge_expression
from fimble_model.training.sources import Source
from fimble_model.training.tar_files import members_of, read_small

__all__ = [
    "FileLicence",
    "fetch_debian",
    "fetch_debian_binary",
    "licence_of",
    "parse_copyright",
    "read_debian",
    "read_debian_binary",
]

# Where binary packages keep source, below /usr; what follows is a path as in the source package.
_SOURCE_ROOTS = re.compile(
    r"(share/cargo/registry/[^/]+|share/gocode/src/[^/]+/[^/]+/[^/]+|src/[^/]+|share/lua/[^/]+)/"
    r"|(?=include/)"
)


class FileLicence(NamedTuple):
    """One paragraph: files by pattern (`*` matches slashes too), and what holds for them."""

    patterns: tuple[str, ...]
    verdict: LicenceVerdict


def fetch_debian(source: Source, folder: Path) -> Package:
    """The source package; apt does the fetching and the checking.

    apt needs source entries (`deb-src`) in its list, and `apt-get update` run.
    """
    pinned = source.name if source.version is None else f"{source.name}={source.version}"
    command = ["apt-get", "source", "--download-only", "-qq", pinned]
    what = f"a source package {pinned} from Debian, with deb-src entries in apt's sources"
    description = fetch_with(command, folder=folder, pattern="*.dsc", what=what)
    return read_debian(description, source.name, source.label)


def read_debian(description: Path, name: str, label: str) -> Package:
    """Version, verdict and files of a source package; `LicenceError` before any file is read."""
    folder = description.parent
    version = re.search(r"^Version: *(\S+)", description.read_text("utf-8", "replace"), re.M)
    found_version = version[1] if version else ""
    try:
        rules = parse_copyright(_read_copyright(folder))
        verdict = _judge_package(rules, name, found_version)
        files = ReadFiles((), {})
        for path in sorted(folder.glob("*.orig.tar.*")):
            if path.name.endswith(".asc") or ".orig-" in path.name:
                continue
            with tarfile.open(path) as archive:
                wanted = [
                    member
                    for member_path, member in members_of(archive).items()
                    if is_wanted(member_path) and licence_of(member_path, rules).is_permissive
                ]
                files = read_members(wanted, label)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise TrainingError(
            expected=f"source archives beside {description.name}",
            found=type(error).__name__,
            to_do="Delete the download and run the stage again.",
        ) from error
    return Package(
        version=found_version, verdict=verdict, documents=files.documents, skipped=files.skipped
    )


def fetch_debian_binary(source: Source, folder: Path) -> Package:
    """A binary package that carries source; apt does the fetching and the checking."""
    pinned = source.name if source.version is None else f"{source.name}={source.version}"
    what = f"a package {pinned} from Debian"
    command = ["apt-get", "download", "-qq", pinned]
    archive = fetch_with(command, folder=folder, pattern="*.deb", what=what)
    return read_debian_binary(archive, source.name, source.label)


def read_debian_binary(path: Path, name: str, label: str) -> Package:
    """Version, verdict and files of a .deb; `LicenceError` before any file is read."""
    version = path.name.split("_")[1].replace("%3a", ":") if "_" in path.name else ""
    try:
        unpacked = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", str(path)], capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(unpacked.stdout)) as archive:
            members = members_of(archive)
            stated = members.get(f"share/doc/{name}/copyright")
            rules = parse_copyright(read_small(stated))
            verdict = _judge_package(rules, name, version)
            wanted = []
            for member_path, member in members.items():
                root = _SOURCE_ROOTS.match(member_path)
                inner = member_path[root.end() :] if root else ""
                if is_wanted(inner) and licence_of(inner, rules).is_permissive:
                    wanted.append(member._replace(path=inner))
            documents, skipped = read_members(wanted, label)
    except (OSError, tarfile.TarError, EOFError, subprocess.CalledProcessError) as error:
        raise TrainingError(
            expected=f"a Debian package in {path.name}, and dpkg-deb to open it",
            found=type(error).__name__,
            to_do="Delete the download and run the stage again.",
        ) from error
    return Package(version=version, verdict=verdict, documents=documents, skipped=skipped)


def parse_copyright(text: str) -> tuple[FileLicence, ...]:
    """The paragraphs about files, in their order; empty where the file is not of that form.

    >>> rules = parse_copyright("Files: *\\nLicense: Expat\\n\\nFiles: a/*\\nLicense: GPL-2+\\n")
    >>> licence_of("a/b.c", rules).is_permissive, licence_of("c.c", rules).is_permissive
    (False, True)
    """
    rules = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        files = re.search(r"^Files:((?:[^\n]*\n[ \t])*[^\n]*)", paragraph, re.MULTILINE)
        licence = re.search(r"^License:[ \t]*(.*)$", paragraph, re.MULTILINE)
        if files is not None and licence is not None:
            verdict = judge_expression(licence[1], stated_in="debian/copyright")
            rules.append(FileLicence(tuple(files[1].replace(",", " ").split()), verdict))
    return tuple(rules)


def licence_of(path: str, rules: Sequence[FileLicence]) -> LicenceVerdict:
    """What holds for a file: the last paragraph that matches it."""
    for rule in reversed(rules):
        if any(fnmatch.fnmatchcase(path, pattern.removeprefix("./")) for pattern in rule.patterns):
            return rule.verdict
    return LicenceVerdict(is_permissive=False, licence="not stated", stated_in="debian/copyright")


def _judge_package(rules: Sequence[FileLicence], name: str, version: str) -> LicenceVerdict:
    """The licence of the package as a whole: that of `*`, or the first one of its own files."""
    own = [rule for rule in rules if not all(p.startswith("debian/") for p in rule.patterns)]
    whole = next((rule.verdict for rule in own if "*" in rule.patterns), None)
    if whole is None and any(rule.verdict.is_permissive for rule in own):
        whole = next(rule.verdict for rule in own if rule.verdict.is_permissive)
    if whole is None or not whole.is_permissive:
        raise LicenceError(
            expected=f"a permissive licence for the files of {name} {version}",
            found=f"{whole.licence!r} in debian/copyright" if whole else "none that we can read",
            to_do="Take it off the list of sources.",
        )
    return whole


def _read_copyright(folder: Path) -> str:
    for path in sorted(folder.glob("*.debian.tar.*")):
        with tarfile.open(path) as archive:
            return read_small(members_of(archive).get("copyright"))
    return ""
