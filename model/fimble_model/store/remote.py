"""What a hub says of a model before anything is fetched, and what of it would be fetched.

Owns the question and the choice of files. Fetches no weights and prints nothing.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble_model.errors import HubError
from fimble_model.store.gguf_names import choose_gguf, is_gguf
from fimble_model.store.hub_errors import plain_errors
from fimble_model.store.model_ids import ModelId
from fimble_model.store.wholeness import has_weights, is_code, is_wanted, is_wanted_with_gguf

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

__all__ = ["Remote", "RemoteFile", "look_up", "try_read_config"]

_NEEDED = ("config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file on the hub. `sha256` is None for small ones, which the hub keeps without."""

    name: str
    n_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What a hub says of a model. `files` is what loading needs, `code` Python that it brings.

    `gguf` names the one file where the model is to be read from such a file. `n_parameters` is
    None where the hub has not counted them.
    """

    repository: str
    revision: str
    licence: str | None
    is_gated: bool
    files: tuple[RemoteFile, ...]
    code: tuple[RemoteFile, ...] = ()
    gguf: str | None = None
    n_parameters: int | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes of all files that loading needs."""
        return sum(file.n_bytes for file in self.files)

    @property
    def pinned(self) -> ModelId:
        """The model's name with the commit that was looked up."""
        return ModelId(repository=self.repository, revision=self.revision, file=self.gguf)


def look_up(model_id: ModelId, endpoint: str | None = None) -> Remote:
    """Ask the hub what the model is. Raises `HubError` where there is none to use."""
    from huggingface_hub import HfApi

    with plain_errors(model_id):
        info = HfApi(endpoint=endpoint).model_info(
            model_id.repository, revision=model_id.revision, files_metadata=True
        )
    siblings = info.siblings or []
    names = [sibling.rfilename for sibling in siblings]
    gguf = _choose(model_id, names)
    if gguf is None:
        _refuse_lacks(model_id, names)
    wanted = is_wanted if gguf is None else is_wanted_with_gguf(gguf)
    return Remote(
        repository=info.id,
        revision=str(info.sha),
        licence=_licence_of(info),
        is_gated=bool(info.gated),
        files=tuple(_file_of(each) for each in siblings if wanted(each.rfilename)),
        code=tuple(_file_of(each) for each in siblings if is_code(each.rfilename)),
        gguf=gguf,
        n_parameters=None if info.safetensors is None else int(info.safetensors.total),
    )


def try_read_config(remote: Remote, endpoint: str | None = None) -> Mapping[str, object] | None:
    """The model's config.json, read without keeping it; None where the hub does not hand it out."""
    from huggingface_hub import constants, hf_hub_download

    with tempfile.TemporaryDirectory() as folder:
        try:
            with plain_errors(remote.pinned):
                path = hf_hub_download(
                    remote.repository,
                    "config.json",
                    revision=remote.revision,
                    local_dir=folder,
                    endpoint=endpoint or constants.ENDPOINT,
                )
            values: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except (HubError, ValueError):
            return None
    return values if isinstance(values, dict) else None


def _choose(model_id: ModelId, names: Sequence[str]) -> str | None:
    """The GGUF file that is meant; None where the model is one of safetensors."""
    if model_id.file is None and (has_weights(names) or not any(map(is_gguf, names))):
        return None
    return choose_gguf(names, model_id)


def _refuse_lacks(model_id: ModelId, names: Sequence[str]) -> None:
    if not has_weights(names):
        others = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
        raise HubError(
            expected=f"{model_id} to hold its weights as safetensors",
            found=f"only {others[0]}, a pickle that could run any code"
            if others
            else f"{len(names)} files, none of them weights",
            to_do="Choose a model that is published as safetensors or GGUF, or ask its makers for "
            "safetensors.",
        )
    for needed in _NEEDED:
        if needed not in names:
            others = sorted(name for name in names if name.startswith(needed.partition(".")[0]))
            raise HubError(
                expected=f"a {needed} in {model_id}",
                found=f"only {', '.join(others)}" if others else "none",
                to_do="Choose a model with one: nothing was fetched.",
            )


def _file_of(sibling: RepoSibling) -> RemoteFile:
    lfs: Any = sibling.lfs
    return RemoteFile(
        name=sibling.rfilename,
        n_bytes=sibling.size or 0,
        sha256=None if lfs is None else str(lfs.sha256),
    )


def _licence_of(info: ModelInfo) -> str | None:
    card: Any = info.card_data
    licence = None if card is None else card.get("license")
    if licence == "other" and card is not None:
        licence = card.get("license_name") or licence
    return str(licence) if licence else None
