"""What an engine and its callers agree on: values in, values out, and the `Engine` protocol.

Owns the vocabulary (request, row, step, delta, finish). Never imports torch: the server
reads this module before the model is loaded, and tests script fake engines from it.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NewType, Protocol

from fimble_model.engine.accounts import EngineHoldings, EngineWork
from fimble_model.errors import RequestError

__all__ = [
    "BackEnd",
    "Clock",
    "Delta",
    "Engine",
    "EngineHoldings",
    "EngineWork",
    "Finish",
    "FinishReason",
    "GeneratedToken",
    "ModelInfo",
    "Prompt",
    "Request",
    "RequestId",
    "Sampling",
    "SourceFile",
    "StopRule",
    "Surroundings",
    "TextCodec",
    "TokenId",
]

TokenId = NewType("TokenId", int)
RequestId = NewType("RequestId", str)


class Clock(Protocol):
    """Time as a value that is passed in, so that tests need not sleep."""

    def now_ms(self) -> float:
        """Milliseconds since an arbitrary start; never goes back."""
        ...


class StopRule(Protocol):
    """Decides inside the decode loop where a middle ends.

    Called on the engine's thread after every token, so it must be cheap, pure and never raise.
    """

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None while `middle` may grow on; else how many of its characters to keep.

        `middle` holds whole characters only and starts at the cursor (healed text removed).
        The count is in characters (code points), `0 <= count <= len(middle)`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn. Temperature 0 is greedy and ignores the rest.

    `seed` is from 0 to 2**63 - 1. The same seed draws the same tokens, whatever runs beside.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `RequestError` for values no distribution can be drawn from."""
        if self.temperature != 0.0 and not 0.01 <= self.temperature <= 10.0:
            raise RequestError(
                expected="a temperature of 0, or from 0.01 to 10",
                found=repr(self.temperature),
                to_do="Use 0 for greedy decoding.",
            )
        if not 0.0 < self.top_p <= 1.0:
            raise RequestError(
                expected="top_p above 0 and at most 1",
                found=repr(self.top_p),
                to_do="Use 1 to keep the whole distribution.",
            )
        if not 0 <= self.seed < 2**63:
            raise RequestError(
                expected="a seed from 0 to 2**63 - 1",
                found=repr(self.seed),
                to_do="Use any number in that range; each draws its own tokens.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Token ids ready for the network, and the text that generation must begin with.

    `healing_text` is the end of the user's prefix that token healing took back off the ids:
    the first generated tokens are constrained to spell it, and it is cut from the middle.
    `context_ids` are the last few tokens before that text, by which a memory is asked.
    """

    token_ids: tuple[TokenId, ...]
    healing_text: str = ""
    context_ids: tuple[TokenId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One row to be generated. `max_new_tokens` counts tokens after the prompt.

    A row ends as GIVEN_UP where the product of its tokens' probabilities has fallen below
    `min_confidence` (see `giving_up`); 0 lets every row come to its end.
    `memory_scope` names whose remembered documents may speak to this row; None is nobody's.
    `client` is who the engine's time is shared out to fairly. `owner` names the buffer that the
    row is for: of one client the owner that asked last goes first, and the rows of one owner
    (the candidates of a request) go in the order they were added. "" is nobody in particular.
    `deadline_ms` is a moment on the engine's clock: a row that is not done by then ends as
    DEADLINE with what it has. None is never.
    `speculates` False has each token take a pass, True drafts whether it pays or not; the tokens
    are the same. None leaves it to the engine.
    `memory_key` is the document that the row is in: what stands in it, and beside it, weighs more.
    """

    request_id: RequestId
    prompt: Prompt
    max_new_tokens: int
    stop: StopRule
    sampling: Sampling = field(default_factory=Sampling)
    min_confidence: float = 0.0
    memory_scope: str | None = None
    client: str = ""
    owner: str = ""
    deadline_ms: float | None = None
    memory_key: str | None = None
    speculates: bool | None = None

    def __post_init__(self) -> None:
        """Raise `RequestError` for a request that could never give an answer."""
        if self.max_new_tokens < 1:
            raise RequestError(
                expected="max_new_tokens of at least 1",
                found=str(self.max_new_tokens),
                to_do="Ask for one token or do not ask.",
            )
        if not 0.0 <= self.min_confidence <= 1.0:
            raise RequestError(
                expected="a min_confidence from 0 to 1",
                found=repr(self.min_confidence),
                to_do="Use 0 to have every row come to its end.",
            )
        if self.deadline_ms is not None and math.isnan(self.deadline_ms):
            raise RequestError(
                expected="a deadline on the engine's clock",
                found=repr(self.deadline_ms),
                to_do="Use None for a row that may take as long as it takes.",
            )
        if not self.prompt.token_ids:
            raise RequestError(
                expected="a prompt of at least one token",
                found="an empty prompt",
                to_do="Begin the prompt with the format's first control token.",
            )

    def is_late(self, now_ms: float) -> bool:
        """Whether the deadline has come, by the engine's clock."""
        return self.deadline_ms is not None and now_ms >= self.deadline_ms


class FinishReason(enum.Enum):
    """Why a row ended."""

    END_TOKEN = "end_token"
    STOP_RULE = "stop_rule"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    GIVEN_UP = "given_up"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedToken:
    """One generated token; the middle's first `char_end` characters are known after it.

    `logprob` is the natural logarithm of the token's probability in the distribution that it
    was drawn from, at temperature 1: the network's, or the network's and the memory's mixed
    where the row has one. Where the word at the cursor was healed, the first token's is that
    among the ways to spell what is typed of it.
    """

    token_id: TokenId
    logprob: float
    char_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The last word on a row. `text` is the whole middle after the stop rule's cut.

    Of the prompt's tokens `n_reused_tokens` were in the cache and `n_prefilled_tokens` were
    computed for this row; a row that ended early has computed fewer than the rest.
    The row took part in `n_passes` of the network, the first `n_prefill_passes` of them up to
    its first token. In the others `n_drafted_tokens` were computed on speculation, of which
    `n_accepted_tokens` were right: plain decoding takes a pass for each of those.
    """

    reason: FinishReason
    text: str
    tokens: tuple[GeneratedToken, ...]
    n_prompt_tokens: int
    n_reused_tokens: int
    queue_ms: float
    prefill_ms: float
    decode_ms: float
    n_prefilled_tokens: int = 0
    n_drafted_tokens: int = 0
    n_accepted_tokens: int = 0
    n_passes: int = 0
    n_prefill_passes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One row's progress after one step: new whole characters, and at last its finish.

    Exactly one delta of each request carries a finish, and it is the last one. Texts of the
    deltas joined equal `finish.text`, unless the stop rule cut into text already streamed.
    """

    request_id: RequestId
    text: str
    finish: Finish | None = None


class BackEnd(enum.Enum):
    """Whose network computes: our own, one of transformers (slower), or a server elsewhere."""

    NATIVE = "native"
    TRANSFORMERS = "transformers"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is loaded: for `fimble check`, the status and every answer's `model` entry.

    `dtype` is "int8", "float32" or "bfloat16"; `kernels` says whose code computes, "torch" or the
    native ones for this kind of CPU ("avx2"). `fim_orders` are the orders the model was
    trained for, the preferred one first ("spm", "psm"). `sends_text_to` is the server that text
    goes to, None where all is computed in this process; size and type of a server's model are not
    known: 0 and "unknown".
    """

    name: str
    device: str
    dtype: str
    n_parameters: int
    context_tokens: int
    vocabulary_size: int
    fim_family: str
    fim_orders: tuple[str, ...]
    kernels: str = "torch"
    back_end: BackEnd = BackEnd.NATIVE
    sends_text_to: str | None = None

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of one number of a matrix."""
        return _BYTES_PER_WEIGHT[self.dtype]


_BYTES_PER_WEIGHT = {"int8": 1, "fp8": 1, "bfloat16": 2, "float32": 4}


class SourceFile(NamedTuple):
    """A file, or a piece of one, and its path in the repository."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a prompt tells besides the text around the cursor.

    `path` is that of the file at the cursor. The first of `files` stand first in the prompt:
    those that change least, so that the keys and values of the prompt's beginning stay good.
    """

    repository: str
    path: str
    files: tuple[SourceFile, ...] = field(default=(), repr=False)


class TextCodec(Protocol):
    """User text to prompt and back. User text never becomes a control token."""

    def encode(self, text: str) -> list[TokenId]:
        """Token ids of plain text; `decode(encode(text)) == text` for any valid text."""
        ...

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """Text of token ids; control tokens are left out."""
        ...

    @property
    def shows_files(self) -> bool:
        """Whether the model was trained with other files in its prompt."""
        ...

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        """The fill-in-the-middle prompt in the order the model was trained for, healed.

        `surroundings` are left out where `shows_files` is False.
        """
        ...


class Engine(Protocol):
    """A model that generates many rows at once. One thread owns it and makes every call."""

    @property
    def model(self) -> ModelInfo:
        """What is loaded."""
        ...

    @property
    def codec(self) -> TextCodec:
        """The model's tokenizer and FIM format."""
        ...

    @property
    def has_work(self) -> bool:
        """True while a row waits or runs."""
        ...

    @property
    def work(self) -> EngineWork:
        """What has been done so far."""
        ...

    @property
    def holdings(self) -> EngineHoldings:
        """What it holds now."""
        ...

    def add(self, request: Request) -> None:
        """Queue a request. Raises `RequestError` where it could never be served."""
        ...

    def cancel(self, request_id: RequestId) -> None:
        """End a row: the next step reports it CANCELLED and frees it. Unknown ids are ignored."""
        ...

    def step(self) -> list[Delta]:
        """Advance every row by at most one pass. Never raises for a single row's fault."""
        ...

    def remember(self, scope: str, key: str, text: str) -> None:
        """Have a document at hand for rows of this scope that are added from now on.

        Replaces what the key stood for; cheap where little has changed. Secret text must not
        come here. An engine without a memory does nothing.
        """
        ...

    def take_stored(self, scope: str, files: Sequence[Path]) -> None:
        """Have the documents of some files of `memory_files` at hand, in place of those before.

        Documents that are remembered count before them. A file that is none is left out.
        """
        ...

    def forget(self, scope: str, key: str | None = None) -> None:
        """Drop a document, or all of the scope's. Unknown names are ignored."""
        ...
