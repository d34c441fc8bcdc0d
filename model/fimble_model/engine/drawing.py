"""From a pass's log-probabilities to each row's next token: mixing, healing, drawing.

Owns what every row's draw has in common, and the one reduction for all that decode greedily.
Never runs the network and never ends a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.pieces import Answer, Drawn
from fimble_model.engine.protocol import TokenId
from fimble_model.engine.row import Row
from fimble_model.engine.sampling import draw, draw_healed

__all__ = ["Drawing", "Drawn"]


class Drawing:
    """A model's way to draw. Each draw depends on its own row's numbers and generator alone."""

    def __init__(self, codec: FimCodec, device: torch.device) -> None:
        self._codec = codec
        self._device = device
        self._sorted_ids: Tensor | None = None
        control_ids = sorted(set(codec.tokenizer.control_ids.values()))
        self._control_ids = np.array(control_ids)

    def draw_together(
        self, rows: Sequence[Row], answers: Sequence[Answer]
    ) -> list[list[Drawn] | None]:
        """The token at every loud token of each row that needs no draw of its own; else None.

        Those are rows whose tokens came drawn, and decoding ones that take the likeliest.
        """
        plain = [
            answer if isinstance(answer, Tensor) and _is_plain(row) else None
            for row, answer in zip(rows, answers, strict=True)
        ]
        parts = [part for part in plain if part is not None]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts) if parts else None
        found = iter(() if joined is None else _likeliest(joined))
        return [
            [next(found) for _ in range(len(part))]
            if part is not None
            else None
            if isinstance(answer, Tensor)
            else answer
            for part, answer in zip(plain, answers, strict=True)
        ]

    def draw_next(self, row: Row, answer: Answer, index: int) -> Drawn:
        """The token after all that are known, from a line of the answer, once the first is."""
        assert isinstance(answer, Tensor), "drawn tokens need no second draw"
        logprobs_V = answer[index]
        if row.memory is not None:
            logprobs_V = self._mix(row, logprobs_V, row.n_known_after_prompt)
        if row.generator is None:
            return _likeliest(logprobs_V[None])[0]
        token_id = draw(logprobs_V, row.request.sampling, row.generator)
        return Drawn(TokenId(token_id), float(logprobs_V[token_id]))

    def draw_first(self, row: Row) -> Drawn:
        """The first token, from `trial_logprobs`; settles how the healing text is spelled."""
        logprobs_LV = torch.cat(row.trial_logprobs)
        row.trial_logprobs.clear()
        if row.memory is not None:
            mixed = [self._mix(row, line_V, index) for index, line_V in enumerate(logprobs_LV)]
            logprobs_LV = torch.stack(mixed)
        sampling = row.request.sampling
        if row.plan is None:
            token_id = draw(logprobs_LV[0], sampling, row.generator)
            return Drawn(TokenId(token_id), float(logprobs_LV[0, token_id]))
        drawn = draw_healed(row.plan, logprobs_LV, self._all_sorted_ids(), sampling, row.generator)
        row.settle_chain(drawn.n_chain_tokens)
        return Drawn(drawn.token_id, drawn.logprob)

    def _mix(self, row: Row, logprobs_V: Tensor, n_tokens_after_prompt: int) -> Tensor:
        """What network and memory say together after so many tokens."""
        matches = row.find_in_memory(row.text_before(n_tokens_after_prompt))
        return blend(logprobs_V, matches, self._control_ids) if matches else logprobs_V

    def _all_sorted_ids(self) -> Tensor:
        if self._sorted_ids is None:
            sorted_ids = self._codec.token_index.sorted_ids
            self._sorted_ids = torch.tensor(sorted_ids, dtype=torch.int64, device=self._device)
        return self._sorted_ids


def _is_plain(row: Row) -> bool:
    return row.generator is None and row.memory is None and not row.is_in_prefill


def _likeliest(logprobs_LV: Tensor) -> list[Drawn]:
    """The likeliest token of each line. On a CPU by NumPy, which is done in a tenth of the time."""
    if logprobs_LV.device.type == "cpu":
        lines = logprobs_LV.numpy()
        ids = [int(line.argmax()) for line in lines]
        return [
            Drawn(TokenId(token_id), float(line[token_id]))
            for token_id, line in zip(ids, lines, strict=True)
        ]
    best = logprobs_LV.max(dim=-1)
    found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [Drawn(TokenId(token_id), logprob) for token_id, logprob in found]
