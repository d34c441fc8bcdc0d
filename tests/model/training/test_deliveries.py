"""Laws of what packages deliver: the licence first, then the package's own text, and no more."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from fimble_model.training.debian_packages import read_debian, read_debian_binary
from fimble_model.training.deliveries import Member, fetch_with, is_wanted, read_members
from fimble_model.training.faults import LicenceError, TrainingError
from fimble_model.training.npm_packages import read_npm

CODE = "export const x = 1;\n"
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2020 Someone
License: Expat

Files: gpl/*
 src/other.c
Copyright: 2020 Someone Else
License: GPL-2+
 On Debian systems ...
"""


def _tar(path: Path, top: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _npm(folder: Path, stated: dict[str, object], **files: bytes) -> Path:
    members = {"package.json": json.dumps({"version": "1.2.0"} | stated).encode()} | files
    return _tar(folder / "thing-1.2.0.tgz", "package", members)


def test_an_npm_package_gives_its_own_source_and_no_build(tmp_path: Path) -> None:
    files = {"src/a.ts": CODE, "dist/a.js": CODE, "node_modules/b/b.js": CODE, "LICENSE": "MIT"}
    archive = _npm(tmp_path, {"license": "MIT"}, **{k: v.encode() for k, v in files.items()})
    package = read_npm(archive, "thing", "npm-thing")
    assert package.version == "1.2.0"
    assert {each.path for each in package.documents} == {"package.json", "src/a.ts"}
    assert {each.package for each in package.documents} == {"npm-thing"}


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ({"license": "GPL-3.0"}, b"MIT"),
        ({}, b"MIT"),
        ({"license": "MIT"}, b"                GNU GENERAL PUBLIC LICENSE\n"),
        ({"license": "SEE LICENSE IN LICENSE"}, b"MIT"),
    ],
)
def test_an_npm_package_that_is_not_permissive_is_refused(
    stated: dict[str, object], licence: bytes, tmp_path: Path
) -> None:
    archive = _npm(tmp_path, stated, LICENSE=licence, **{"a.ts": CODE.encode()})
    with pytest.raises(LicenceError, match="permissive"):
        read_npm(archive, "thing", "npm-thing")


def test_old_licence_objects_of_npm_are_read(tmp_path: Path) -> None:
    archive = _npm(tmp_path, {"license": {"type": "MIT", "url": "x"}}, **{"a.ts": CODE.encode()})
    assert read_npm(archive, "thing", "npm-thing").verdict.licence == "MIT"


def _debian(folder: Path, copyright_text: str) -> Path:
    _tar(folder / "thing_1.0-1.debian.tar.xz", "debian", {"copyright": copyright_text.encode()})
    source = dict.fromkeys(("src/a.c", "src/other.c", "gpl/b.c", "debian/c.c"), b"int x;\n")
    _tar(folder / "thing_1.0.orig.tar.gz", "thing-1.0", source)
    description = folder / "thing_1.0-1.dsc"
    description.write_text("Source: thing\nVersion: 1.0-1\n")
    return description


def test_a_debian_package_gives_only_the_files_under_a_permissive_licence(tmp_path: Path) -> None:
    package = read_debian(_debian(tmp_path, COPYRIGHT), "thing", "debian-thing")
    assert [each.path for each in package.documents] == ["src/a.c"]
    assert (package.version, package.verdict.licence) == ("1.0-1", "Expat")


@pytest.mark.parametrize("text", [COPYRIGHT.replace("Expat", "LGPL-2.1+"), "It is free.", ""])
def test_a_debian_package_without_a_permissive_proof_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(LicenceError, match="permissive"):
        read_debian(_debian(tmp_path, text), "thing", "debian-thing")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_a_debian_binary_package_gives_the_source_it_carries(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: thing\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: x\n"
    )
    files = {
        "usr/share/doc/thing/copyright": COPYRIGHT,
        "usr/share/cargo/registry/thing-1.0/src/lib.rs": "fn f() {}\n",
        "usr/share/cargo/registry/thing-1.0/gpl/lib.rs": "fn g() {}\n",
        "usr/lib/thing/other.py": "x = 1\n",
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    archive = tmp_path / "thing_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(archive)],
        check=True,
        capture_output=True,
    )
    package = read_debian_binary(archive, "thing", "debian-binary-thing")
    assert [each.path for each in package.documents] == ["src/lib.rs"]
    assert package.version == "1.0"


@pytest.mark.parametrize("reader", [read_npm, read_debian_binary])
def test_a_broken_archive_is_a_clear_error(reader: object, tmp_path: Path) -> None:
    assert callable(reader)
    path = tmp_path / "thing_1.0_all.tgz"
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="Delete the download"):
        reader(path, "thing", "thing")


def test_files_that_cannot_be_taken_are_counted_and_passed_over() -> None:
    def broken() -> bytes:
        raise OSError(5, "Input/output error")

    members = [
        Member("b.py", 4, lambda: b"x=1\r\n"),
        Member("a.py", 4, lambda: "é".encode("latin-1")),
        Member("c.py", 2_000_000, lambda: b""),
        Member("d.py", 4, broken),
        Member("e.py", 4, lambda: b"\0\0"),
    ]
    documents, skipped = read_members(members, "thing")
    assert [(each.path, each.text) for each in documents] == [("b.py", "x=1\n")]
    assert skipped == {"not UTF-8": 1, "huge": 1, "unreadable": 1, "not text": 1}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("src/a.rs", True),
        ("django/contrib/a.py", True),
        ("lib/contrib/a.c", False),
        ("vendor/github.com/a.go", False),
        ("a/third_party/b.cc", False),
        ("LICENSE", False),
        ("image.png", False),
    ],
)
def test_only_the_packages_own_program_text_is_wanted(path: str, wanted: bool) -> None:
    assert is_wanted(path) is wanted


def test_a_missing_package_manager_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no command no-such-command"):
        fetch_with(["no-such-command"], folder=tmp_path, pattern="*.tgz", what="an archive")


def test_what_was_downloaded_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "thing.tgz").write_bytes(b"")
    found = fetch_with(["no-such-command"], folder=tmp_path, pattern="*.tgz", what="an archive")
    assert found.name == "thing.tgz"
