"""What a run of the measurement was asked for, and the files that its parts share.

Owns the values and the making of those files: models as each contender wants them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fimble_model.shipped import find_model_folder

__all__ = ["EngineOptions", "base_shape_folder", "gguf_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """`work` keeps the models made for measuring; `model` is the one that ships.

    `large` is what speed is measured with: a folder, or None for random weights of the size
    that `random_model` describes. `n_threads` is every contender's.
    """

    work: Path
    model: str
    large: Path | None
    n_threads: int
    llama_python: str | None
    seed: int = 0


def base_shape_folder(options: EngineOptions) -> Path:
    """The folder of the model that speed is measured with; random weights are made once."""
    if options.large is not None:
        return find_model_folder(options.large)
    folder = options.work / "random-base-shape"
    if not (folder / "tokenizer.json").exists():
        from fimble_eval.engine_speed.random_model import write_random_model

        write_random_model(folder, seed=options.seed)
    return folder


def gguf_of(folder: Path, kind: str, options: EngineOptions) -> Path:
    """The same weights for llama.cpp, made anew where the model is newer."""
    path = options.work / f"{folder.name}-{kind}.gguf"
    weights = folder / "model.safetensors"
    if not path.exists() or path.stat().st_mtime < weights.stat().st_mtime:
        from fimble_model.training.export_gguf import export_gguf

        export_gguf(folder, path, kind)
    return path
