"""Files inside tar archives, read in memory and never unpacked onto the disk.

Owns the paths' form: below the archive's one top folder. Links and devices are not files to us.
"""

from __future__ import annotations

import tarfile
from functools import partial

from fimble_model.training.deliveries import Member

__all__ = ["members_of", "read_small"]

_SMALL_BYTES = 500_000


def members_of(archive: tarfile.TarFile) -> dict[str, Member]:
    """The plain files by their path below the top folder."""
    members = {}
    for info in archive:
        path = info.name.removeprefix("./").partition("/")[2]
        if info.isreg() and path:
            members[path] = Member(path, info.size, partial(_read, archive, info))
    return members


def read_small(member: Member | None) -> str:
    """The text of a small file; empty where it is missing or not small."""
    if member is None or member.n_bytes > _SMALL_BYTES:
        return ""
    return member.read().decode("utf-8", errors="replace")


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    assert file is not None, "only plain files are members"
    return file.read()
