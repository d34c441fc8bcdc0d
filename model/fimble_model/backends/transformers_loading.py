"""A folder's causal language model, built by transformers.

Owns what is allowed on the way: safetensors only, every weight in its place, and no Python code
of the model's makers unless the user has named that very model.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble_model.errors import CheckpointError, DeviceError

if TYPE_CHECKING:
    from torch import nn

    from fimble_model.network.device import Placement

__all__ = ["choose_dtype", "load_causal_lm", "may_run_code", "reckon_stored_bytes"]

log = logging.getLogger(__name__)

_PROBLEMS = ("missing_keys", "mismatched_keys")


def may_run_code(values: Mapping[str, object], name: str, runs_code_of: Collection[str]) -> bool:
    """Whether Python code that the model brings along is to be run.

    Raises `CheckpointError` where a model needs that and the user has not named it, and where the
    code would come from yet another place.
    """
    code = values.get("auto_map")
    if not code or is_known(values):
        return False
    if name not in runs_code_of:
        raise CheckpointError(
            expected="a model whose network transformers knows",
            found=f"model_type {values.get('model_type')!r}, which brings Python code of its own",
            to_do=f'Read that code; if you trust it to run as you, add "{name}" to the setting '
            "model.remote_code. Else choose another model.",
        )
    if "--" in str(code):
        raise CheckpointError(
            expected="code that lies in the model's own folder",
            found="an auto_map that names another repository",
            to_do="Choose another model: nobody pins what that repository holds.",
        )
    log.warning("running Python code that %s brought along, as model.remote_code allows", name)
    return True


def is_known(values: Mapping[str, object]) -> bool:
    """Whether transformers itself has the code for this model type."""
    from transformers import CONFIG_MAPPING

    return values.get("model_type") in CONFIG_MAPPING


def choose_dtype(placement: Placement, wanted: str) -> Placement:
    """The placement in numbers that transformers computes in: float32 on a CPU, bfloat16 beyond.

    Raises `DeviceError` where int8 was asked for.
    """
    from fimble_model.network.device import Dtype

    if placement.dtype is not Dtype.INT8:
        return placement
    if wanted == "int8":
        raise DeviceError(
            expected="float32 or auto for a model that runs through transformers",
            found="int8",
            to_do="Set model.dtype to auto, or choose a model that Fimble runs itself.",
        )
    return dataclasses.replace(placement, dtype=Dtype.FLOAT32)


def reckon_stored_bytes(folder: Path) -> int:
    """Bytes of the weights as they lie in the folder, or in the GGUF file."""
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def load_causal_lm(folder: Path, placement: Placement, *, runs_code: bool) -> nn.Module:
    """The network, frozen, on its device. Raises `CheckpointError` for what is no such model.

    `folder` may be a GGUF file of a kind that transformers reads.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as their_logging

    their_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # none has annotations
    their_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    is_file = folder.is_file()
    if is_file:
        _refuse_without_accelerate()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder.parent if is_file else folder),
            gguf_file=folder.name if is_file else None,
            dtype=placement.dtype.compute,
            trust_remote_code=runs_code,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        # Whatever other people's loaders raise, the folder is what the user can change.
        raise CheckpointError(
            expected=f"a causal language model that transformers can load from {folder}",
            found=f"{type(error).__name__}: {_first_line(error)}",
            to_do="Choose another model, or fetch this one again.",
        ) from error
    network: nn.Module = loaded[0]
    _refuse_lacks(loaded[1])
    return network.requires_grad_(False).train(False).to(placement.torch_device)


def _refuse_without_accelerate() -> None:
    """Transformers reads a GGUF file with a library that Fimble does not bring along."""
    if importlib.util.find_spec("accelerate") is None:
        raise CheckpointError(
            expected="the library accelerate, with which transformers reads a GGUF file",
            found="none",
            to_do="pip install 'fimble[gguf]', or choose the model's safetensors.",
        )


def _refuse_lacks(info: Mapping[str, Any]) -> None:
    """Transformers fills what is missing with random numbers and goes on."""
    for problem in _PROBLEMS:
        names = sorted(str(name) for name in info.get(problem) or ())
        if names:
            raise CheckpointError(
                expected="a checkpoint with every weight of its network",
                found=f"{len(names)} {problem.replace('_', ' ')}, {names[0]} among them",
                to_do="config.json and the weights do not belong together; fetch both again.",
            )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else "no reason given"
