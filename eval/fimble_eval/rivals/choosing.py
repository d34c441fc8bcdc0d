"""From what `--model` says to an engine: a model, one of an earlier commit, or a baseline.

Owns the forms of that option. What comes out is behind the `Engine` protocol, all of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import fimble_model
from fimble_eval.rivals.constant_engine import ConstantEngine
from fimble_eval.rivals.ngram_engine import NgramEngine
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.protocol import Engine
from fimble_model.shipped import find_model_folder
from fimble_server.errors import FimbleError

__all__ = ["MODEL_HELP", "Rival", "choose_rival"]

MODEL_HELP = (
    "A model's name or folder; `git:COMMIT` for the small model shipped at that commit; "
    "`constant:TEXT` for one and the same answer; `ngram` for the project memory alone."
)
_SHIPPED_PATH = "model/fimble_model/weights/fimble-nano"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """An engine and what results call it. `fingerprint` is of its weights, empty for none.

    A shipped model goes by its name and the commit that its weights came with.
    """

    engine: Engine
    label: str
    fingerprint: str = ""


def choose_rival(model: str | None) -> Rival:
    """The engine for an option's value; None is the model that ships.

    Raises `FimbleError` where there is no such model.
    """
    name = model or fimble_model.default_model_name()
    if name.startswith("constant:"):
        return _constant(name.removeprefix("constant:"))
    if name == "ngram":
        return _ngram()
    if name.startswith("git:"):
        return _load(_extract(name.removeprefix("git:")))
    return _load(find_model_folder(name))


def _load(folder: Path) -> Rival:
    engine = fimble_model.load(folder)
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    commit = _commit_of_weights(folder)
    label = f"{engine.model.name}@{commit}" if commit else engine.model.name
    return Rival(engine=engine, label=label, fingerprint=digest.hexdigest()[:12])


def _commit_of_weights(folder: Path) -> str | None:
    """The commit that last changed a folder's weights; None where git does not keep them so."""
    weights = "*.safetensors"
    changed = _git("status", "--porcelain", "--", weights, folder=folder)
    commit = _git("log", "-1", "--format=%h", "--", weights, folder=folder)
    return commit if changed == "" and commit else None


def _git(*arguments: str, folder: Path) -> str | None:
    """What git says of a folder; None where there is no git, or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _constant(text: str) -> Rival:
    """Backslashes mean what they mean in source code, so that a shell can say a line end."""
    written = text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    lender = fimble_model.load("fimble-nano")
    model = dataclasses.replace(lender.model, name="constant", n_parameters=0)
    engine = ConstantEngine(written, codec=lender.codec, model=model)
    label = f"constant {written.strip()!r}" if written else "nothing"
    return Rival(engine=engine, label=label)


def _ngram() -> Rival:
    lender = fimble_model.load("fimble-nano")
    assert isinstance(lender.codec, FimCodec)
    model = dataclasses.replace(lender.model, name="ngram", n_parameters=0)
    return Rival(engine=NgramEngine(codec=lender.codec, model=model), label="ngram")


def _extract(commit: str) -> Path:
    """The small model's folder as it was at a commit, in a temporary folder that names both."""
    done = subprocess.run(
        ["git", "archive", commit, _SHIPPED_PATH],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise FimbleError(
            expected=f"a commit of this repository that ships {_SHIPPED_PATH}",
            found=repr(commit),
            to_do="Look for one with `git log -- " + _SHIPPED_PATH + "`.",
        )
    target = Path(tempfile.mkdtemp(prefix="fimble-eval-"))
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    return (target / _SHIPPED_PATH).rename(target / f"{Path(_SHIPPED_PATH).name}@{commit}")
