"""The GPU's runner over tiny networks on the CPU: by its plain operations, and graphs pretended."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fimble_model.assembly import assemble_engine, layout_of
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import Clock
from fimble_model.engine.scheduler import PassLimits
from fimble_model.gpu.card import Card, HostCard, Replay
from fimble_model.gpu.parts import GpuParts, build_parts
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network
from fimble_testing.tiny_engines import TINY_CONFIG, build_codec

__all__ = ["GraphCard", "build_gpu_engine", "build_gpu_parts", "tiny_network"]

PLACEMENT = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)


class _Recorded:
    def __init__(self, compute: Callable[[], None], card: GraphCard) -> None:
        self._compute = compute
        self._card = card

    def replay(self) -> None:
        self._card.n_replays += 1
        self._compute()


class GraphCard(HostCard):
    """A CPU that pretends to have graphs, and has so many bytes free as one says.

    From capture number `fails_at` on, captures fail with `fault`.
    """

    can_capture = True

    def __init__(self, *, fails_at: int | None = None, fault: Exception | None = None) -> None:
        self.n_replays = 0
        self.n_captures = 0
        self.n_given_back = 0
        self.n_free_bytes: int | None = None
        self._fails_at = fails_at
        self._fault = fault or RuntimeError("no graphs today")

    def capture(self, compute: Callable[[], None]) -> Replay:
        """What would be captured, once run."""
        if self._fails_at is not None and self.n_captures >= self._fails_at:
            raise self._fault
        self.n_captures += 1
        compute()
        return _Recorded(compute, self)

    def free_bytes(self) -> int | None:
        """What one said."""
        return self.n_free_bytes

    def give_back(self) -> None:
        """Counted."""
        self.n_given_back += 1


@cache
def tiny_network(config: NetworkConfig = TINY_CONFIG) -> Transformer:
    """Random weights in float32."""
    return random_network(config, PLACEMENT, seed=0)


def build_gpu_parts(
    *,
    network: Transformer | None = None,
    card: Card | None = None,
    clock: Clock | None = None,
    n_pages: int = 200,
    n_most_rows: int = 4,
    floor_bytes: int = 0,
    looks_ahead: bool = True,
) -> GpuParts:
    """A cache and a runner with nothing cached and nothing captured."""
    network = network or tiny_network()
    layout = layout_of(network, PLACEMENT)
    return build_parts(
        network,
        layout,
        card=card or HostCard(),
        clock=clock or SystemClock(),
        n_most_rows=n_most_rows,
        budget_bytes=n_pages * layout.bytes_per_page,
        floor_bytes=floor_bytes,
        looks_ahead=looks_ahead,
    )


def build_gpu_engine(
    *,
    parts: GpuParts | None = None,
    limits: PassLimits | None = None,
    clock: Clock | None = None,
    has_memory: bool | None = False,
    speculates: bool = True,
) -> NativeEngine:
    """The engine that `build_engine` builds, its passes computed as on a GPU."""
    codec = build_codec("fimble")
    limits = limits or PassLimits(max_rows=4)
    return assemble_engine(
        name="tiny",
        transformer=tiny_network(),
        placement=PLACEMENT,
        tokenizer=codec.tokenizer,
        fim_format=codec.fim_format,
        limits=limits,
        clock=clock,
        has_memory=has_memory,
        speculates=speculates,
        gpu_parts=parts or build_gpu_parts(),
    )
