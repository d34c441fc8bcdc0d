"""The forms that a model folder is also written in: int8 for us, GGUF for llama.cpp.

int8 leaves the embedding in float16, int8-whole rounds it too.

Owns their names and where they lie beside the folder. Writes none of them itself.
"""

from __future__ import annotations

from pathlib import Path

from fimble_model.training.export_int8 import export_int8
from fimble_model.training.faults import TrainingError

__all__ = ["FORMS", "path_beside", "write_form"]

_INT8 = "int8"
_INT8_WHOLE = "int8-whole"
_GGUF = "gguf-"
FORMS = (_INT8, _INT8_WHOLE, "gguf-f32", "gguf-f16", "gguf-q8_0")


def path_beside(folder: Path, form: str) -> Path:
    """Where a form of the model in `folder` goes when nobody says.

    >>> path_beside(Path("out/nano"), "gguf-q8_0").as_posix()
    'out/nano-q8_0.gguf'
    """
    _require_form(form)
    if form in (_INT8, _INT8_WHOLE):
        return folder.with_name(f"{folder.name}-{form}")
    return folder.with_name(f"{folder.name}-{form.removeprefix(_GGUF)}.gguf")


def write_form(folder: Path, form: str, target: Path) -> None:
    """Write the model in `folder` in a form, one of `FORMS`: a folder, or a file for GGUF.

    Raises `TrainingError` for a form that there is not, or where its library is lacking.
    """
    _require_form(form)
    if form in (_INT8, _INT8_WHOLE):
        export_int8(folder, target, with_embedding=form == _INT8_WHOLE)
        return
    try:
        from fimble_model.training.export_gguf import export_gguf
    except ImportError as error:
        raise TrainingError(
            expected="the package gguf, to write GGUF files",
            found="none",
            to_do="Install fimble[train].",
        ) from error
    export_gguf(folder, target, form.removeprefix(_GGUF))


def _require_form(form: str) -> None:
    if form not in FORMS:
        raise TrainingError(
            expected=f"a form, one of {', '.join(FORMS)}",
            found=repr(form),
            to_do="Choose one of these.",
        )
