"""The training loop: rows in, weights out, for a given time.

Owns the loop, the running average of the weights, and what a checkpoint holds. Invariant: a
run that is interrupted and resumed goes through the same states as one that is not, as long as
the clock tells the same times. Draws no random numbers: rows are a function of seed and place.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from io import RawIOBase
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from fimble_model.engine.protocol import Clock
from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.checkpoint import load_latest_checkpoint, write_checkpoint
from fimble_model.training.faults import TrainingError
from fimble_model.training.optimiser import Optimisers, OptimiserSettings
from fimble_model.training.rescue import load_rescue, write_rescue
from fimble_model.training.row_workers import Rows
from fimble_model.training.schedule import AVERAGING_STARTS_AT, rate_scale_at

__all__ = [
    "KeptWeights",
    "Progress",
    "Trainer",
    "TrainingSettings",
    "load_kept_weights",
    "train",
]

_STEPS_PER_REPORT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """What a run is; a checkpoint of one run is refused by another."""

    network: NetworkConfig
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    time_s: float
    n_rows: int
    row_tokens: int
    seed: int = 0
    started_from: str | None = None
    bfloat16: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come. `loss` is in nats a token, over the last few steps."""

    n_steps: int
    n_tokens: int
    elapsed_s: float
    loss: float
    rate_scale: float
    gradient_norm: float


class Trainer:
    """A network, its optimisers and its place in the rows, advanced step by step.

    Keeps the average of the weights over the last tenth of the time beside the weights.
    `starting_weights` are those of a model that exists; without them it begins from nothing.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        stream: Rows,
        *,
        compiled: bool = False,
        device: str = "cpu",
        starting_weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.settings = settings
        self.network = Transformer(settings.network)
        self.network.initialise(settings.seed)
        if starting_weights is not None:
            self._copy_weights(starting_weights)
        self._device = torch.device(device)
        self.network.to(self._device)
        # Growing looks at the positions, which a compiled step cannot do.
        assert self.network.rotary is not None, "training networks turn their heads"
        self.network.rotary.grow(settings.network.max_positions)
        self.elapsed_s = 0.0
        self.n_steps = 0
        self._stream = stream
        self._optimisers = Optimisers(self.network, settings.optimiser)
        self._average = {name: p.detach().clone() for name, p in self._parameters()}
        self._n_averaged = 0
        positions = torch.arange(settings.row_tokens - 1, device=self._device)
        self._position_ids_N = positions.repeat(settings.n_rows)
        self._attend = DenseCausal(n_rows=settings.n_rows, n_tokens=settings.row_tokens - 1)
        self._compute_loss: Callable[[Tensor, Tensor], Tensor] = (
            torch.compile(self._loss) if compiled else self._loss
        )

    @property
    def share(self) -> float:
        """The share of the training time that has passed."""
        return min(self.elapsed_s / self.settings.time_s, 1.0)

    def step(self) -> tuple[float, float]:
        """One step on the next rows; returns the loss and the norm of the gradients."""
        rows = self.next_rows()
        token_ids_BT = torch.tensor(rows, device=self._device)
        loss = self._compute_loss(token_ids_BT[:, :-1].flatten(), token_ids_BT[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = self._optimisers.step(rate_scale=rate_scale_at(self.share))
        self.n_steps += 1
        if self.share >= AVERAGING_STARTS_AT:
            self._take_into_average()
        return float(loss.detach()), norm

    def next_rows(self) -> list[list[int]]:
        """The rows of the next step; moves on past them."""
        return [self._stream.next_row() for _ in range(self.settings.n_rows)]

    def _loss(self, token_ids_N: Tensor, targets_N: Tensor) -> Tensor:
        # Weights, gradients and the optimisers' state stay in float32; products are bfloat16.
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            hidden_NE = self.network(token_ids_N, self._position_ids_N, self._attend)
            logits_NV = self.network.logits(hidden_NE)
        return functional.cross_entropy(logits_NV, targets_N)

    def state(self) -> dict[str, object]:
        """Everything the steps to come depend on."""
        return {
            "settings": _describe(self.settings),
            "network": {name: parameter.detach() for name, parameter in self._parameters()},
            "optimisers": self._optimisers.state(),
            "average": self._average,
            "n_averaged": self._n_averaged,
            "n_steps": self.n_steps,
            "elapsed_s": self.elapsed_s,
            "next_row": self._stream.next_index,
        }

    @torch.no_grad()
    def restore(self, state: dict[str, object]) -> None:
        """Take over what `state` returned, or what was rescued of it.

        A run that is given another time goes on in the new one. Raises `TrainingError` for
        another run's state.
        """
        if not _is_same_run(state["settings"], self.settings):
            raise TrainingError(
                expected="a checkpoint of a run with these settings",
                found="one of a run with others",
                to_do="Use the settings of that run, or another folder.",
            )
        network = state["network"]
        assert isinstance(network, dict)
        self._copy_weights(network)
        self._stream.next_index = _whole(state["next_row"])
        self.n_steps = _whole(state["n_steps"])
        elapsed_s = state["elapsed_s"]
        assert isinstance(elapsed_s, float)
        self.elapsed_s = elapsed_s
        if "optimisers" in state:
            self._restore_optimisers(state)

    def _restore_optimisers(self, state: dict[str, object]) -> None:
        average, optimisers = state["average"], state["optimisers"]
        assert isinstance(average, dict)
        assert isinstance(optimisers, dict)
        self._optimisers.restore(optimisers)
        for name, tensor in average.items():
            self._average[name].copy_(tensor)
        # The average of a run that was over means nothing to one that is given more time.
        is_averaging = self.share >= AVERAGING_STARTS_AT
        self._n_averaged = _whole(state["n_averaged"]) if is_averaging else 0

    @torch.no_grad()
    def _copy_weights(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters():
            parameter.copy_(weights[name])

    @torch.no_grad()
    def _take_into_average(self) -> None:
        self._n_averaged += 1
        for name, parameter in self._parameters():
            self._average[name].lerp_(parameter, 1 / self._n_averaged)

    def _parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        return list(self.network.named_parameters())


def train(
    trainer: Trainer,
    folder: Path,
    *,
    clock: Clock,
    checkpoint_every_s: float,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train until the run's time is over or `should_stop`, from the newest checkpoint in `folder`.

    Leaves checkpoints in `folder/checkpoints`, what to carry off in `folder/rescue`, and one line
    a report in `folder/progress.jsonl`. Without checkpoints it goes on from what was rescued.
    """
    checkpoints = folder / "checkpoints"
    state = load_latest_checkpoint(checkpoints) or load_rescue(folder / "rescue")
    if state is not None:
        trainer.restore(state)
    losses: list[float] = []
    written_at_s = trainer.elapsed_s
    with (folder / "progress.jsonl").open("ab", buffering=0) as file:
        # All time counts, that of checkpoints and of a stopped process too: the run ends on time.
        seen_ms = clock.now_ms()
        while trainer.share < 1.0 and not should_stop():
            loss, norm = trainer.step()
            now_ms = clock.now_ms()
            trainer.elapsed_s += (now_ms - seen_ms) / 1000
            seen_ms = now_ms
            losses.append(loss)
            if len(losses) == _STEPS_PER_REPORT or trainer.share >= 1.0:
                progress = _progress(trainer, losses, norm)
                losses.clear()
                _note(progress, file)
                on_progress(progress)
            if trainer.elapsed_s - written_at_s >= checkpoint_every_s:
                _keep(trainer, folder)
                written_at_s = trainer.elapsed_s
    _keep(trainer, folder)


def _keep(trainer: Trainer, folder: Path) -> None:
    """Write the state twice: whole, and small enough to carry."""
    state = trainer.state()
    write_checkpoint(state, folder / "checkpoints", n_steps=trainer.n_steps)
    write_rescue(state, folder / "rescue")


def _note(progress: Progress, file: RawIOBase) -> None:
    """Add a line to the run's reports. A full disk is a `TrainingError`."""
    try:
        # Unbuffered: closing would try to write the rest again.
        file.write((json.dumps(asdict(progress)) + "\n").encode())
    except OSError as error:
        raise TrainingError(
            expected="room to write the run's progress",
            found=error.strerror or type(error).__name__,
            to_do="Make room, and run the same command again: it goes on from its checkpoint.",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWeights:
    """What the newest checkpoint would ship: the averaged weights once there are any.

    `row_tokens` is the length of the rows that they have learned from.
    """

    weights: dict[str, Tensor]
    n_steps: int
    planned_s: float
    row_tokens: int
    started_from: str | None
    bfloat16: bool


def load_kept_weights(checkpoints: Path) -> KeptWeights:
    """The weights to ship from a folder of checkpoints. A run need not be over."""
    state = load_latest_checkpoint(checkpoints)
    if state is None:
        raise TrainingError(
            expected=f"a checkpoint in {checkpoints}",
            found="none",
            to_do="Run `fimble-train train` first.",
        )
    weights = state["average"] if state["n_averaged"] else state["network"]
    settings = state["settings"]
    assert isinstance(weights, dict)
    assert isinstance(settings, str)
    run = json.loads(settings)
    return KeptWeights(
        weights=weights,
        n_steps=_whole(state["n_steps"]),
        planned_s=float(run["time_s"]),
        row_tokens=_whole(run["row_tokens"]),
        started_from=run.get("started_from"),
        bfloat16=bool(run.get("bfloat16", False)),
    )


def _progress(trainer: Trainer, losses: list[float], norm: float) -> Progress:
    settings = trainer.settings
    return Progress(
        n_steps=trainer.n_steps,
        n_tokens=trainer.n_steps * settings.n_rows * settings.row_tokens,
        elapsed_s=round(trainer.elapsed_s, 1),
        loss=round(math.fsum(losses) / len(losses), 4),
        rate_scale=rate_scale_at(trainer.share),
        gradient_norm=round(norm, 3),
    )


def _describe(settings: TrainingSettings) -> str:
    return json.dumps(asdict(settings), sort_keys=True, default=_to_json)


def _is_same_run(described: object, settings: TrainingSettings) -> bool:
    """Whether a checkpoint is of a run with these settings, however long that was to take.

    What a network had no word for when the checkpoint was written counts as what is usual.
    """
    assert isinstance(described, str)
    theirs, ours = json.loads(described), json.loads(_describe(settings))
    for name, kind in (("network", NetworkConfig), ("optimiser", OptimiserSettings)):
        usual = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
        theirs[name] = json.loads(json.dumps(usual, default=_to_json)) | theirs[name]
    del theirs["time_s"], ours["time_s"]
    return bool(theirs == ours)


def _to_json(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.name
    assert isinstance(value, frozenset), "settings are numbers, names, choices and sets of them"
    return sorted(value)


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
