"""How a model of the hub would run here: whose network computes it, and in how many bytes.

Owns that reading of what the hub tells and of config.json. Pure: what is not known is None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from fimble_model.errors import CheckpointError, UnsupportedError
from fimble_model.network.config import NetworkConfig
from fimble_model.network.families import parse_config
from fimble_model.store.reckoning import Machine, Reckoning, reckon
from fimble_model.store.remote import Remote

__all__ = ["Prospect", "count_weights", "foresee"]

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

    def reckon(self, machine: Machine) -> Reckoning:
        """Memory and waits on a machine; without its cache where its shape is not known."""
        known = self.network
        return reckon(
            n_parameters=self.n_parameters,
            n_layers=0 if known is None else known.n_layers,
            n_key_heads=0 if known is None else known.n_key_heads,
            head_size=0 if known is None else known.head_size,
            machine=dataclasses.replace(
                machine, bytes_per_weight=_INT8_BYTES if self.is_native else _FLOAT32_BYTES
            ),
        )


def foresee(config: Mapping[str, object] | None, n_parameters: int) -> Prospect:
    """What to expect of a model of that many weights; `config` is its config.json, if known."""
    network, is_native = (None, True) if config is None else _try_parse(config)
    return Prospect(
        n_parameters=n_parameters if network is None else network.n_parameters,
        is_native=is_native,
        needs_code=config is not None and not is_native and bool(config.get("auto_map")),
        network=network,
    )


def count_weights(remote: Remote) -> int:
    """As the hub counts them, else by their bytes.

    Most are published in 16 bits each; those of a GGUF file are taken for 8.
    """
    if remote.n_parameters is not None:
        return remote.n_parameters
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
