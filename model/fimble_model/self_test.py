"""Whether a model that is loaded does what it is loaded for, asked before anybody types.

Owns the questions and what their answers mean. Wrong templates and weights that do not belong
together write junk without a word: such a model is refused. No text of the user's is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.middle import Middle
from fimble_model.engine.protocol import Engine, FinishReason, Request, RequestId, TokenId
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import CheckpointError
from fimble_model.text.fim_format import Hole

__all__ = ["KNOWN_HOLES", "LEAST_FILLED", "TestedItem", "refuse_junk", "run_self_test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedItem:
    """One question's answer; `expected` and `to_do` matter where it is not `ok`."""

    __test__ = False  # Not a test of pytest's, whatever its name.

    name: str
    ok: bool
    expected: str
    found: str
    to_do: str


def run_self_test(engine: Engine, *, is_untrained: bool = False) -> Iterator[TestedItem]:
    """Every item in turn. An untrained network, which says so itself, is not asked to fill holes.

    Runs the engine, which must have no work; what depends on the tokenizer is left out for an
    engine whose codec is not ours.
    """
    codec = engine.codec
    if isinstance(codec, FimCodec):
        yield _test_control_tokens(codec, engine.model.vocabulary_size)
        yield _test_typed_controls(codec)
        yield _test_prompt(codec)
        yield _test_end_tokens(codec)
    yield _skip_holes() if is_untrained else _test_holes(engine)


def refuse_junk(item: TestedItem) -> None:
    """Raise `CheckpointError` for an item that failed."""
    if not item.ok:
        raise CheckpointError(
            expected=f"{item.expected} (self-test: {item.name})",
            found=item.found,
            to_do=item.to_do,
        )


_OTHER_FILES = "tokenizer.json is not this model's: fetch or export the model again."
_OTHER_MODEL = "Use a model whose tokenizer keeps text and control tokens apart."


def _test_control_tokens(codec: FimCodec, vocabulary_size: int) -> TestedItem:
    """Each of the format's control strings is one token of its own, which the network knows."""
    tokenizer = codec.tokenizer
    strings = sorted(set(codec.fim_format.control_strings()))
    token_ids = [tokenizer.control_ids.get(string) for string in strings]
    lacking = [string for string, id_ in zip(strings, token_ids, strict=True) if id_ is None]
    known = [id_ for id_ in token_ids if id_ is not None]
    beyond = [id_ for id_ in known if not 0 <= id_ < vocabulary_size]
    found = f"{len(strings)} control tokens, one id each"
    if lacking:
        found = f"no {lacking[0]!r}"
    elif len(set(known)) < len(known):
        found = "one id for two of them"
    elif beyond:
        found = f"id {beyond[0]} in a vocabulary of {vocabulary_size}"
    return TestedItem(
        name="special tokens",
        ok=not lacking and not beyond and len(set(known)) == len(strings),
        expected="every control token of the fill-in-the-middle format as one id of its own",
        found=found,
        to_do=_OTHER_FILES,
    )


def _test_typed_controls(codec: FimCodec) -> TestedItem:
    """The same strings in a user's file stay text, and come back as they were."""
    controls = frozenset(codec.tokenizer.control_ids.values())
    wrong = 0
    strings = sorted(set(codec.fim_format.control_strings()))
    for string in strings:
        text = f"x = '{string}'\n"
        token_ids = codec.encode(text)
        wrong += bool(controls & set(token_ids)) or codec.decode(token_ids) != text
    return TestedItem(
        name="typed strings",
        ok=not wrong,
        expected="control strings that a user types to stay text",
        found=f"{wrong} of {len(strings)} that do not" if wrong else f"{len(strings)} that do",
        to_do=_OTHER_MODEL,
    )


def _test_prompt(codec: FimCodec) -> TestedItem:
    """A prompt read back is the format's layout around the very text."""
    prefix, suffix = "def f(é):\n    re", "\n\nprint('😀')\n"
    prompt = codec.encode_fim(prefix=prefix, suffix=suffix)
    opening = " " if codec.fim_format.prefix_blank else ""
    whole = opening + prefix
    kept = whole.removesuffix(prompt.healing_text) if prompt.healing_text else whole
    begin = codec.fim_format.begin_token
    expected = [] if begin is None else [begin]
    for part in codec.fim_format.layout:
        if part is Hole.PREFIX:
            expected.append(kept)
        elif part is Hole.SUFFIX:
            expected.append(suffix)
        else:
            expected.append(str(part))
    found = _read_back(codec, prompt.token_ids)
    ok = found == [text for text in expected if text]
    return TestedItem(
        name="prompt",
        ok=ok,
        expected="a prompt that reads back as its format's layout and the text",
        found=f"{len(prompt.token_ids)} tokens that do" + ("" if ok else " not"),
        to_do=_OTHER_MODEL,
    )


def _read_back(codec: FimCodec, token_ids: Sequence[TokenId]) -> list[str]:
    """Control strings and the texts between them."""
    string_of = {id_: string for string, id_ in codec.tokenizer.control_ids.items()}
    found: list[str] = []
    run: list[TokenId] = []
    for token_id in (*token_ids, None):
        if token_id is not None and token_id not in string_of:
            run.append(token_id)
            continue
        if run:
            found.append(codec.decode(run))
            run = []
        if token_id is not None:
            found.append(string_of[token_id])
    return found


def _test_end_tokens(codec: FimCodec) -> TestedItem:
    """Each token that the model was trained to end with ends a row."""
    names = codec.fim_format.end_tokens
    ending = 0
    for name in names:
        middle = Middle(
            token_bytes=codec.tokenizer.token_bytes,
            stop=NeverStop(),
            max_new_tokens=2,
            n_healing_bytes=0,
        )
        token_id = codec.tokenizer.control_ids.get(name)
        ending += token_id is not None and middle.take(token_id, 0.0) is FinishReason.END_TOKEN
    return TestedItem(
        name="stop tokens",
        ok=ending == len(names),
        expected="each of the format's stop tokens to end a suggestion",
        found=f"{ending} of {len(names)} that do",
        to_do=_OTHER_FILES,
    )


class _KnownHole(NamedTuple):
    prefix: str
    suffix: str
    begins_with: str


KNOWN_HOLES = (
    _KnownHole("def add(a, b):\n    return a + ", "\n", "b"),
    _KnownHole("def area(width, height):\n    return width * ", "\n", "height"),
    _KnownHole(
        "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = ",
        "\n",
        "y",
    ),
    _KnownHole("if __name__ == ", ":\n    main()\n", "__main__"),
    _KnownHole("def is_even(number):\n    return number % 2 == ", "\n", "0"),
    _KnownHole("names = ['a', 'b']\nfor name in ", ":\n    print(name)\n", "names"),
    _KnownHole("with open(path) as ", ":\n    text = file.read()\n", "file"),
    _KnownHole("import os\nimport sys\n\n\ndef main():\n    ", ".exit(0)\n", "sys"),
)
LEAST_FILLED = 3
"""Of eight. The smallest model that ships fills five; random weights, none: a right beginning is
one text among some thousands."""

_HOLE_TOKENS = 6


def _test_holes(engine: Engine) -> TestedItem:
    texts = _fill(engine, KNOWN_HOLES)
    n_right = sum(
        text.lstrip(" '\"").startswith(hole.begins_with)
        for text, hole in zip(texts, KNOWN_HOLES, strict=True)
    )
    return TestedItem(
        name="known holes",
        ok=n_right >= LEAST_FILLED,
        expected=f"at least {LEAST_FILLED} of {len(texts)} simple holes in Python to be filled",
        found=f"{n_right} filled" if n_right else "none filled",
        to_do=(
            "Its weights, its config.json and its fill-in-the-middle format do not belong "
            "together: fetch the model again, or choose one that was trained to fill in the middle."
        ),
    )


def _skip_holes() -> TestedItem:
    return TestedItem(
        name="known holes",
        ok=True,
        expected="",
        found="not asked, for config.json says that this network is untrained",
        to_do="",
    )


def _fill(engine: Engine, holes: Sequence[_KnownHole]) -> list[str]:
    """The middles that the engine writes, all at once; nothing where a row fails."""
    heals = isinstance(engine.codec, FimCodec)
    for index, hole in enumerate(holes):
        # Where nothing is healed, a blank at the end would be a token that rarely stands alone.
        prefix = hole.prefix if heals else hole.prefix.rstrip(" ")
        prompt = engine.codec.encode_fim(prefix=prefix, suffix=hole.suffix)
        engine.add(
            Request(
                request_id=RequestId(f"self-test {index}"),
                prompt=prompt,
                max_new_tokens=_HOLE_TOKENS,
                stop=NeverStop(),
            )
        )
    texts: dict[str, str] = {}
    while engine.has_work:
        for delta in engine.step():
            if delta.finish is not None:
                texts[delta.request_id] = delta.finish.text
    return [texts.get(RequestId(f"self-test {index}"), "") for index in range(len(holes))]
