"""Laws of a decoding step's order: the host waits once a step, and the next step is under way then.

A card that notes what it is asked: on the CPU everything is done at once, the order is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from fimble_model.engine.pieces import Piece, Wish
from fimble_model.engine.protocol import TokenId
from fimble_model.gpu.card import Mark
from fimble_model.gpu.runner import GpuRunner
from fimble_testing.gpu_on_host import GraphCard, build_gpu_parts

N_STEPS = 12
# What makes a host wait for a card, whatever it reads. A tensor there has no `numpy` at all.
WAITS = ("item", "cpu", "nonzero", "__bool__", "__int__", "__float__")


class _NotingCard(GraphCard):
    """Notes "sent" for a step's inputs, and "waited" where a mark is waited for that lies ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.n_marks = 0
        self.n_passed = 0

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Inputs come as bytes, tokens go as numbers."""
        if target.dtype == torch.uint8:
            self.notes.append("sent")
        super().copy(target, source)

    def mark(self) -> Mark:
        """Numbered: the card comes to them in their order."""
        self.n_marks += 1
        return _NotedMark(self, self.n_marks)


class _NotedMark:
    def __init__(self, card: _NotingCard, number: int) -> None:
        self._card = card
        self._number = number

    def wait(self) -> None:
        """A mark that was passed costs nothing."""
        if self._number > self._card.n_passed:
            self._card.n_passed = self._number
            self._card.notes.append("waited")


def _begin(card: _NotingCard, n_rows: int, *, heat: float) -> tuple[GpuRunner, list[Piece]]:
    """A runner after its warm-up and the prompts of some rows, and the rows' next pieces."""
    parts = build_gpu_parts(card=card, looks_ahead=True)
    parts.runner.warm_up(lambda share: None)
    rows = [parts.cache.try_acquire((), 200) for _ in range(n_rows)]
    ids = [TokenId(number) for number in range(30)]
    parts.runner.run([Piece(row, ids, len(ids)) for row in rows if row is not None])
    uniforms = (0.5,) * (N_STEPS + 2) if heat else ()
    wish = Wish(heat, 0.9, uniforms, 100)
    return parts.runner, [Piece(row, [ids[0]], 0, wish) for row in rows if row is not None]


@pytest.mark.parametrize("heat", [0.0, 0.8], ids=["greedy", "sampled"])
@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("strides", [True, False], ids=["going on", "planned"])
def test_a_step_waits_once_and_the_next_is_sent_before_it(
    n_rows: int, heat: float, strides: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = _NotingCard()
    runner, pieces = _begin(card, n_rows, heat=heat)
    card.notes.clear()
    _forbid_other_waits(monkeypatch)
    with torch.inference_mode():
        last = _plan(runner, pieces, step=0)
        assert card.notes == ["sent", "sent", "waited"], "the first step, and the one after it"
        for step in range(1, N_STEPS):
            card.notes.clear()
            if strides:
                found = runner.run_on(
                    [piece.row for piece in pieces], [0.5] * n_rows if heat else []
                )
                assert found is not None
            else:
                last = _plan(runner, pieces, step=step, last=last)
            assert card.notes == ["sent", "waited"], f"step {step}"
    assert runner.hopes.n_drops == 0
    assert card.n_replays > N_STEPS


def _plan(
    runner: GpuRunner, pieces: Sequence[Piece], *, step: int, last: list[TokenId] | None = None
) -> list[TokenId]:
    """One step as the engine plans it; each row's token."""
    fed = last or [piece.token_ids[0] for piece in pieces]
    asked = []
    for piece, token_id in zip(pieces, fed, strict=True):
        assert piece.wish is not None
        wish = Wish(piece.wish.temperature, 0.9, piece.wish.uniforms[step:], 100 - step)
        asked.append(Piece(piece.row, [token_id], 0, wish))
    answers = runner.run(asked)
    return [answer[0].token_id for answer in answers if isinstance(answer, list)]


def _forbid_other_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a tensor was read besides the step's one wait")

    for name in WAITS:
        monkeypatch.setattr(torch.Tensor, name, refuse)
    monkeypatch.setattr(torch.cuda, "synchronize", refuse)
