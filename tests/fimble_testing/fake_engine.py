"""An engine that writes what a test tells it to, one character a token, and a port over it.

The codec's token ids are code points, so that prompts can be read. Text may hold no private-use
characters: three of them stand for the control tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fimble_model.engine.protocol import (
    Clock,
    Delta,
    EngineHoldings,
    EngineWork,
    Finish,
    FinishReason,
    GeneratedToken,
    ModelInfo,
    Prompt,
    Request,
    RequestId,
    Surroundings,
    TokenId,
)
from fimble_server.completion.engine_port import Generation, Job
from fimble_server.completion.inline_port import InlinePort
from fimble_testing.clocks import ManualClock

__all__ = [
    "FAKE_MODEL",
    "CharCodec",
    "FakeEngine",
    "FakePort",
    "Prompted",
    "finish_of",
    "read_prompt",
]

FAKE_MODEL = ModelInfo(
    name="fake",
    device="cpu",
    dtype="float32",
    n_parameters=1,
    context_tokens=2_000,
    vocabulary_size=0x110000,
    fim_family="fimble",
    fim_orders=("spm",),
)
_SUFFIX_MARK, _PREFIX_MARK = "\ue000", "\ue001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """What a prompt says, read back from its ids."""

    prefix: str
    suffix: str


class CharCodec:
    """Implements `TextCodec`: a token is a character. The suffix comes first, nothing is healed."""

    def encode(self, text: str) -> list[TokenId]:
        """The code points."""
        return [TokenId(ord(character)) for character in text]

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """The characters."""
        return "".join(map(chr, token_ids))

    @property
    def shows_files(self) -> bool:
        """It was not trained with other files."""
        return False

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        """The suffix, then the prefix, each behind a mark."""
        written = _SUFFIX_MARK + suffix + _PREFIX_MARK + prefix
        return Prompt(token_ids=tuple(self.encode(written)))


def read_prompt(prompt: Prompt) -> Prompted:
    """The parts of a prompt of `CharCodec`."""
    written = CharCodec().decode(prompt.token_ids)
    suffix, _, prefix = written.removeprefix(_SUFFIX_MARK).partition(_PREFIX_MARK)
    return Prompted(prefix=prefix, suffix=suffix)


def finish_of(
    text: str,
    *,
    logprob: float = -0.001,
    reason: FinishReason = FinishReason.STOP_RULE,
    n_prompt_tokens: int = 1,
) -> Finish:
    """The finish of a row that wrote `text`, one equally sure character a token."""
    tokens = tuple(
        GeneratedToken(token_id=TokenId(ord(character)), logprob=logprob, char_end=index + 1)
        for index, character in enumerate(text)
    )
    return Finish(
        reason=reason,
        text=text,
        tokens=tokens,
        n_prompt_tokens=n_prompt_tokens,
        n_reused_tokens=0,
        queue_ms=0.0,
        prefill_ms=0.0,
        decode_ms=0.0,
    )


@dataclass(kw_only=True)
class _Row:
    request: Request
    script: str
    n_written: int = 0


class FakeEngine:
    """Implements `Engine`. `write` says what follows a prompt; each step writes a character.

    A script that ends, ends the row as an end token does. `failing` rows end as FAILED. Where
    there is no `clock`, deadlines never come.
    """

    def __init__(
        self,
        write: Callable[[Prompted], str],
        *,
        logprob: float = -0.001,
        is_failing: bool = False,
        model: ModelInfo = FAKE_MODEL,
        clock: Clock | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.cancelled: list[RequestId] = []
        self.memory: dict[str, dict[str, str]] = {}
        self.stored: dict[str, tuple[Path, ...]] = {}
        self.n_steps = 0
        self._write = write
        self._logprob = logprob
        self._is_failing = is_failing
        self._model = model
        self._clock = clock
        self._rows: dict[RequestId, _Row] = {}

    @property
    def model(self) -> ModelInfo:
        """What pretends to be loaded."""
        return self._model

    @property
    def codec(self) -> CharCodec:
        """A character a token."""
        return CharCodec()

    @property
    def has_work(self) -> bool:
        """True while a row is not finished."""
        return bool(self._rows)

    @property
    def work(self) -> EngineWork:
        """A pass a step."""
        return EngineWork(n_passes=self.n_steps, n_pass_tokens=self.n_steps)

    @property
    def holdings(self) -> EngineHoldings:
        """Nothing."""
        return EngineHoldings()

    def add(self, request: Request) -> None:
        """Take a request in."""
        assert request.request_id not in self._rows, "a request id is in use"
        self.requests.append(request)
        script = self._write(read_prompt(request.prompt))
        self._rows[request.request_id] = _Row(request=request, script=script)

    def cancel(self, request_id: RequestId) -> None:
        """End a row with the next step."""
        if request_id in self._rows:
            self.cancelled.append(request_id)

    def remember(self, scope: str, key: str, text: str) -> None:
        """Note the text."""
        texts = self.memory.setdefault(scope, {})
        texts.pop(key, None)
        if text:
            texts[key] = text

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Note the files."""
        self.stored[scope] = tuple(files)

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a text, or all of a scope's."""
        if key is None:
            self.memory.pop(scope, None)
        else:
            self.memory.get(scope, {}).pop(key, None)

    def step(self) -> list[Delta]:
        """One more character of every row."""
        self.n_steps += 1
        return [self._advance(request_id, row) for request_id, row in list(self._rows.items())]

    def _advance(self, request_id: RequestId, row: _Row) -> Delta:
        if request_id in self.cancelled:
            return self._end(row, FinishReason.CANCELLED, row.n_written)
        if self._clock and self._clock.now_ms() >= (row.request.deadline_ms or math.inf):
            return self._end(row, FinishReason.DEADLINE, row.n_written)
        if self._is_failing:
            return self._end(row, FinishReason.FAILED, 0)
        if row.n_written == len(row.script):
            return self._end(row, FinishReason.END_TOKEN, row.n_written)
        row.n_written += 1
        n_kept = row.request.stop.n_chars_to_keep(row.script[: row.n_written])
        if n_kept is not None:
            return self._end(row, FinishReason.STOP_RULE, n_kept)
        if row.n_written == row.request.max_new_tokens:
            return self._end(row, FinishReason.LENGTH, row.n_written)
        return Delta(request_id=request_id, text=row.script[row.n_written - 1])

    def _end(self, row: _Row, reason: FinishReason, n_kept: int) -> Delta:
        del self._rows[row.request.request_id]
        finish = finish_of(
            row.script[:n_kept],
            logprob=self._logprob,
            reason=reason,
            n_prompt_tokens=len(row.request.prompt.token_ids),
        )
        return Delta(request_id=row.request.request_id, text="", finish=finish)


@dataclass
class FakePort:
    """Implements `EnginePort` over a fake engine, and keeps the jobs it was handed.

    With `is_replaced`, every job is replaced by a newer one before it ends.
    """

    engine: FakeEngine
    clock: Clock = field(default_factory=ManualClock)
    is_replaced: bool = False
    jobs: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the port that does the work."""
        self._port = InlinePort(engine=self.engine, clock=self.clock)

    @property
    def model(self) -> ModelInfo | None:
        """What pretends to be loaded."""
        return self.engine.model

    async def generate(self, job: Job) -> Generation | None:
        """Run the job in the caller, character by character."""
        self.jobs.append(job)
        generation = await self._port.generate(job)
        return None if self.is_replaced else generation
