"""How a model of the hub would run here: whose network computes it, and in how many bytes.

Owns that reading of what the hub tells and of config.json. Pure: what is not known is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fimble_model.errors import CheckpointError, UnsupportedError
from fimble_model.network.config import NetworkConfig
from fimble_model.network.families import parse_config
from fimble_model.store.reckoning import Machine, Reckoning, reckon
from fimble_model.store.remote import Remote

__all__ = ["Prospect", "foresee"]

_STORED_BYTES_PER_WEIGHT = 2
_INT8_BYTES, _FLOAT32_BYTES = 1, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What to expect of a model. `is_native` is taken for true until config.json says otherwise.

    `needs_code` says that it brings Python which would have to run; `network` is None where its
    shape is not known.
    """

    n_parameters: int
    is_native: bool
    needs_code: bool
    network: NetworkConfig | None

    @property
    def weight_bytes(self) -> int:
        """What its weights would take in memory, on a CPU."""
        return self.n_parameters * (_INT8_BYTES if self.is_native else _FLOAT32_BYTES)

    def reckon(self, machine: Machine) -> Reckoning | None:
        """Memory and waits on a machine; None where its shape is not known."""
        if self.network is None:
            return None
        return reckon(
            n_parameters=self.n_parameters,
            n_layers=self.network.n_layers,
            n_key_heads=self.network.n_key_heads,
            head_size=self.network.head_size,
            machine=machine,
        )


def foresee(config: Mapping[str, object] | None, remote: Remote) -> Prospect:
    """What to expect of a model that the hub described; `config` is its config.json, if known."""
    network, is_native = (None, True) if config is None else _try_parse(config)
    counted = remote.n_parameters or _count_by_size(remote)
    if network is not None:
        counted = network.n_parameters
    return Prospect(
        n_parameters=counted,
        is_native=is_native,
        needs_code=config is not None and not is_native and bool(config.get("auto_map")),
        network=network,
    )


def _count_by_size(remote: Remote) -> int:
    """Most weights are published in 16 bits; a GGUF file is loaded in 8, whatever it holds."""
    n_bytes = sum(file.n_bytes for file in remote.files if _holds_weights(file.name))
    return n_bytes if remote.gguf is not None else n_bytes // _STORED_BYTES_PER_WEIGHT


def _holds_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".gguf"))


def _try_parse(config: Mapping[str, object]) -> tuple[NetworkConfig | None, bool]:
    """The network that our own decoder would be, and whether it is one of ours at all."""
    try:
        return parse_config(config), True
    except UnsupportedError:
        return None, False
    except CheckpointError:  # Damaged: loading will say so.
        return None, True
