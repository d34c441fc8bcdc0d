"""JavaScript and TypeScript packages, as the npm client delivers them.

Owns the reading of npm's archives. `package.json` and the licence files are read first, and the
package is refused there if its licence is not permissive. Never runs a package's scripts.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from fimble_model.training.deliveries import Package, fetch_with, is_wanted, read_members
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.licences import LicenceVerdict, judge_expression, names_copyleft
from fimble_model.training.sources import Source
from fimble_model.training.tar_files import members_of, read_small

__all__ = ["fetch_npm", "read_npm"]


def fetch_npm(source: Source, folder: Path) -> Package:
    """The package's archive; the npm client does the fetching and the checking."""
    pinned = source.name if source.version is None else f"{source.name}@{source.version}"
    command = ["npm", "pack", "--silent", "--ignore-scripts", pinned]
    pattern = "*.tgz" if source.version is None else f"*-{source.version}.tgz"
    what = f"an archive of {pinned} from the npm registry"
    archive = fetch_with(command, folder=folder, pattern=pattern, what=what)
    return read_npm(archive, source.name, source.label)


def read_npm(path: Path, name: str, label: str) -> Package:
    """Version, verdict and files of an npm archive; `LicenceError` before any file is read."""
    try:
        with tarfile.open(path) as archive:
            members = members_of(archive)
            stated = json.loads(read_small(members.get("package.json")) or "{}")
            version = str(stated.get("version", ""))
            verdict = _judge(stated)
            copyleft = next((p for p in members if _is_licence(p)
                             and names_copyleft(read_small(members[p]))), None)  # fmt: skip
            if not verdict.is_permissive or copyleft is not None:
                raise LicenceError(
                    expected=f"a permissive licence in package.json of {name} {version}",
                    found=f"{verdict.licence!r} in its {copyleft or verdict.stated_in}",
                    to_do="Take it off the list of sources.",
                )
            wanted = [member for p, member in members.items() if is_wanted(p)]
            documents, skipped = read_members(wanted, label)
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise TrainingError(
            expected=f"an npm archive in {path.name}",
            found=type(error).__name__,
            to_do="Delete the download and run the stage again.",
        ) from error
    return Package(version=version, verdict=verdict, documents=documents, skipped=skipped)


def _judge(stated: dict[str, object]) -> LicenceVerdict:
    """The field `license`: an expression, or the old object with a type, or a list of those."""
    field = stated.get("license") or stated.get("licenses") or ""
    entries = field if isinstance(field, list) else [field]
    names = [str(e.get("type", "")) if isinstance(e, dict) else str(e) for e in entries]
    return judge_expression(" OR ".join(names), stated_in="package.json")


def _is_licence(path: str) -> bool:
    return "/" not in path and path.upper().startswith(("LICEN", "COPYING"))
