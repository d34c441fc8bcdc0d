"""The models that came with the package, and which folder a model's name means.

Owns the lookup of names. Reads no model and never imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fimble_model.errors import CheckpointError

__all__ = [
    "SHIPPED_LICENCE",
    "ShippedModel",
    "default_model_name",
    "find_model_folder",
    "shipped_models",
]

_WEIGHTS = Path(__file__).parent / "weights"
_PREFERRED = "fimble-base"
_SMALLEST = "fimble-nano"
SHIPPED_LICENCE = "apache-2.0"
"""Of every model in the package, as of the rest of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedModel:
    """A model inside the package. `n_bytes` counts all files of its folder."""

    name: str
    folder: Path
    n_bytes: int


def shipped_models(weights: Path = _WEIGHTS) -> tuple[ShippedModel, ...]:
    """The package's models in the order of their names."""
    configs = sorted(weights.glob("*/config.json"))
    return tuple(
        ShippedModel(
            name=config.parent.name,
            folder=config.parent,
            n_bytes=sum(path.stat().st_size for path in config.parent.rglob("*") if path.is_file()),
        )
        for config in configs
    )


def default_model_name(weights: Path = _WEIGHTS) -> str:
    """The best model that came with the package; the smallest one's name where none did."""
    names = {model.name for model in shipped_models(weights)}
    return _PREFERRED if _PREFERRED in names else _SMALLEST


def find_model_folder(name_or_dir: str | Path, weights: Path = _WEIGHTS) -> Path:
    """The folder of a shipped model's name, or the folder itself; else `CheckpointError`.

    A GGUF file stands for itself, too.
    """
    shipped = shipped_models(weights)
    for model in shipped:
        if model.name == str(name_or_dir):
            return model.folder
    folder = Path(name_or_dir).expanduser()
    if folder.is_dir() or (folder.is_file() and folder.suffix.lower() == ".gguf"):
        return folder
    known = ", ".join(model.name for model in shipped) or "none in this installation"
    raise CheckpointError(
        expected=f"a model's folder, a GGUF file or a shipped model's name ({known})",
        found=f"{str(name_or_dir)!r}, which is "
        + ("a file, and no GGUF" if folder.is_file() else "neither"),
        to_do="Choose one that `fimble models` lists, or check the folder's path.",
    )
