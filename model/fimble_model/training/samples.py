"""Training rows: documents cut, tokenized and packed, the same for the same seed and place.

Owns the layout of a sample, which serving repeats token for token:

    SPM    <|fim_prefix|> <|fim_suffix|> S <|fim_middle|> P M <|endoftext|>
    PSM    <|fim_prefix|> P <|fim_suffix|> S <|fim_middle|> M <|endoftext|>
    plain  D <|endoftext|>

and before it, in a share of them, the repository: its name, pieces of other files, the path

    <|repo_name|> R <newline> (<|file_sep|> path <newline> code)... <|file_sep|> path <newline>

P, S and M are cut by character and each is tokenized by itself. Never touches the network.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokenizers import Encoding, Tokenizer

from fimble_model.training.cuts import Cut, choose_cut
from fimble_model.training.documents import Document
from fimble_model.training.neighbours import Neighbour, Neighbours
from fimble_model.training.tokenizer import (
    END_TOKEN,
    FILE_TOKEN,
    MIDDLE_TOKEN,
    PREFIX_TOKEN,
    REPOSITORY_TOKEN,
    SUFFIX_TOKEN,
)

__all__ = [
    "Layout",
    "Sample",
    "SampleMaker",
    "SampleShares",
    "trim_prefix",
    "trim_suffix",
]

_EMPTY_SUFFIX_SHARE = 0.12
_LITTLE_SUFFIX_SHARE = 0.15
_SUFFIX_SHARE_OF_WINDOW = 0.25
_MIDDLE_SHARE_OF_WINDOW = 0.4
_LITTLE_SUFFIX_LINES = 6
_FULL_WINDOW_SHARE = 0.5
_MIN_WINDOW_TOKENS = 64
_MIN_REPOSITORY_WINDOW_TOKENS = 320
_MAX_NEIGHBOURS = 3
_NEIGHBOURS_SHARE_OF_WINDOW = 0.45
# What neighbours are compared with: about this many characters around the place of the cut.
_COMPARED_CHARS = 1500
# Enough text for any window: code has between three and four characters a token.
_CHARS_PER_TOKEN = 8
_TYPICAL_CHARS_PER_TOKEN = 3.2


class Layout(enum.Enum):
    """The order in which a sample is laid out."""

    PLAIN = "plain"
    SPM = "spm"
    PSM = "psm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample: what it was cut from and its tokens, control tokens included.

    `prefix + middle + suffix` is a run of the document's text; a plain sample is all middle.
    `n_repository_tokens` of the tokens stand before it and tell of the repository.
    """

    layout: Layout
    prefix: str
    middle: str
    suffix: str
    token_ids: tuple[int, ...]
    n_repository_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleShares:
    """How often samples are of each kind.

    `plain` of them are whole text, the others are filled in, `spm` of those in that order. Of the
    windows that have room for it `neighbours` show other files, and `path` the path alone.
    """

    plain: float = 0.2
    spm: float = 0.7
    neighbours: float = 0.4
    path: float = 0.15


def trim_suffix(text: str, tokenizer: Tokenizer, n_tokens: int) -> str:
    """The longest start of `text` that ends at a line's end and fits `n_tokens`."""
    text = text[: n_tokens * _CHARS_PER_TOKEN]
    encoding: Encoding = tokenizer.encode(text, add_special_tokens=False)
    if len(encoding.ids) <= n_tokens:
        return text
    fitting_end = encoding.offsets[n_tokens][0]
    return text[: text.rfind("\n", 0, fitting_end) + 1]


def trim_prefix(text: str, tokenizer: Tokenizer, n_tokens: int) -> str:
    """The longest end of `text` that starts at a line's start and fits `n_tokens`.

    A last line that does not fit by itself is cut inside, rather than lost.
    """
    if n_tokens <= 0:
        return ""
    is_whole = len(text) <= n_tokens * _CHARS_PER_TOKEN
    text = text[-n_tokens * _CHARS_PER_TOKEN :]
    encoding: Encoding = tokenizer.encode(text, add_special_tokens=False)
    n_surplus = len(encoding.ids) - n_tokens
    if n_surplus <= 0:
        return text if is_whole else text[text.find("\n") + 1 :]
    # One token more is given up: indentation alone may need one token that it shared with the
    # newline before it.
    first = encoding.offsets[min(n_surplus + 1, len(encoding.ids) - 1)][0]
    newline = text.find("\n", max(first - 1, 0))
    return text[first:] if newline < 0 else text[newline + 1 :]


class SampleMaker:
    """Makes samples with one tokenizer. Holds no state but the control tokens' ids."""

    def __init__(self, tokenizer: Tokenizer, shares: SampleShares | None = None) -> None:
        self._tokenizer = tokenizer
        self._shares = shares or SampleShares()
        self._end_id = self._control_id(END_TOKEN)
        self._prefix_id = self._control_id(PREFIX_TOKEN)
        self._middle_id = self._control_id(MIDDLE_TOKEN)
        self._suffix_id = self._control_id(SUFFIX_TOKEN)
        self._repository_id = self._control_id(REPOSITORY_TOKEN)
        self._file_id = self._control_id(FILE_TOKEN)

    def make_in_repository(
        self, neighbours: Neighbours, index: int, rng: random.Random, *, n_tokens: int
    ) -> Sample:
        """A sample of document `index`, now and then with its path or with other files before."""
        document = neighbours.document(index)
        region = _choose_region(document.text, rng, n_tokens)
        draw, shares = rng.random(), self._shares
        head: tuple[int, ...] = ()
        if n_tokens >= _MIN_REPOSITORY_WINDOW_TOKENS and draw < shares.neighbours + shares.path:
            found: list[Neighbour] = []
            if draw < shares.neighbours:
                middle = max((len(region) - _COMPARED_CHARS) // 2, 0)
                at_hand = region[middle : middle + _COMPARED_CHARS]
                count = rng.randint(1, _MAX_NEIGHBOURS)
                found = neighbours.choose(index, at_hand, rng, count=count)
            n_most = int(n_tokens * _NEIGHBOURS_SHARE_OF_WINDOW)
            head = self.lay_out_repository(document, found, n_most_tokens=n_most)
        sample = self.make(region, rng, n_tokens=n_tokens - len(head), language=document.language)
        return replace(sample, token_ids=(*head, *sample.token_ids), n_repository_tokens=len(head))

    def lay_out_repository(
        self, document: Document, neighbours: Sequence[Neighbour], *, n_most_tokens: int
    ) -> tuple[int, ...]:
        """Token ids of the repository's name, pieces of other files and the document's path.

        Pieces that would make more than `n_most_tokens` are left out, the first ones first.
        """
        name = document.package.rpartition("/")[2]
        ids = [self._repository_id, *self._encode(f"{name}\n")]
        path = [self._file_id, *self._encode(f"{document.path}\n")]
        pieces: list[int] = []
        for neighbour in reversed(neighbours):
            text = neighbour.text if neighbour.text.endswith("\n") else neighbour.text + "\n"
            piece = [self._file_id, *self._encode(f"{neighbour.path}\n"), *self._encode(text)]
            if len(ids) + len(piece) + len(pieces) + len(path) > n_most_tokens:
                break
            pieces = piece + pieces
        whole = (*ids, *pieces, *path)
        return whole if len(whole) <= n_most_tokens else ()

    def make(
        self, text: str, rng: random.Random, *, n_tokens: int, language: str = "python"
    ) -> Sample:
        """A sample of at most `n_tokens` from a random place of `text`."""
        region = _choose_region(text, rng, n_tokens)
        if rng.random() >= self._shares.plain:
            max_middle_chars = max(
                int(n_tokens * _MIDDLE_SHARE_OF_WINDOW * _TYPICAL_CHARS_PER_TOKEN), 1
            )
            cut = choose_cut(region, rng, max_middle_chars=max_middle_chars, language=language)
            layout = Layout.SPM if rng.random() < self._shares.spm else Layout.PSM
            if cut is not None:
                sample = self._try_fill(region, cut, layout, rng, n_tokens)
                if sample is not None:
                    return sample
        return self.make_plain(region, rng, n_tokens=n_tokens)

    def make_plain(self, text: str, rng: random.Random, *, n_tokens: int) -> Sample:
        """Text as it stands, from the start of a random line; ended where it fits whole."""
        latest = max(len(text) - int(n_tokens * _TYPICAL_CHARS_PER_TOKEN), 0)
        start = text.rfind("\n", 0, rng.randint(0, latest)) + 1
        text = text[start : start + n_tokens * _CHARS_PER_TOKEN]
        encoding: Encoding = self._tokenizer.encode(text, add_special_tokens=False)
        ids = [*encoding.ids, self._end_id]
        if len(ids) > n_tokens:
            text = text[: encoding.offsets[n_tokens - 1][1]]
        return Sample(
            layout=Layout.PLAIN, prefix="", middle=text, suffix="", token_ids=tuple(ids[:n_tokens])
        )

    def lay_out(self, layout: Layout, *, prefix: str, middle: str, suffix: str) -> tuple[int, ...]:
        """Token ids of a whole fill-in-the-middle sample, end token included."""
        prefix_ids, middle_ids = self._encode(prefix), self._encode(middle)
        return (*self.lay_out_prompt(layout, prefix_ids, suffix), *middle_ids, self._end_id)

    def lay_out_prompt(
        self, layout: Layout, prefix_ids: Sequence[int], suffix: str
    ) -> tuple[int, ...]:
        """Token ids up to where the middle begins."""
        suffix_ids = self._encode(suffix)
        if layout is Layout.SPM:
            return (
                self._prefix_id, self._suffix_id, *suffix_ids, self._middle_id, *prefix_ids,
            )  # fmt: skip
        assert layout is Layout.PSM, layout
        return (self._prefix_id, *prefix_ids, self._suffix_id, *suffix_ids, self._middle_id)

    def _try_fill(
        self, text: str, cut: Cut, layout: Layout, rng: random.Random, n_tokens: int
    ) -> Sample | None:
        """Trim prefix and suffix to the window; None where the middle leaves no room for them."""
        middle = text[cut.middle_start : cut.middle_end]
        # Three control tokens and the end token.
        n_left = n_tokens - 4 - len(self._encode(middle))
        if n_left < _MIN_WINDOW_TOKENS // 4:
            return None
        suffix = _choose_suffix(text[cut.middle_end :], rng)
        n_suffix = int(min(n_left, n_tokens * _SUFFIX_SHARE_OF_WINDOW))
        suffix = trim_suffix(suffix, self._tokenizer, n_suffix)
        n_prefix = n_left - len(self._encode(suffix))
        prefix = trim_prefix(text[: cut.middle_start], self._tokenizer, n_prefix)
        ids = self.lay_out(layout, prefix=prefix, middle=middle, suffix=suffix)
        if len(ids) > n_tokens:
            return None
        return Sample(layout=layout, prefix=prefix, middle=middle, suffix=suffix, token_ids=ids)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _control_id(self, token: str) -> int:
        token_id: int | None = self._tokenizer.token_to_id(token)
        assert token_id is not None, f"our own tokenizer has {token}"
        return token_id


def _choose_region(text: str, rng: random.Random, n_tokens: int) -> str:
    """Lines around a random place: what the window will need, and no more to parse."""
    reach = n_tokens * _CHARS_PER_TOKEN
    centre = rng.randrange(len(text) + 1)
    start = text.rfind("\n", 0, max(centre - reach, 0)) + 1
    end = text.find("\n", min(centre + reach, len(text)))
    return text[start : len(text) if end < 0 else end + 1]


def _choose_suffix(suffix: str, rng: random.Random) -> str:
    """Now and then cut the text after the cursor: new code is written at the end of a file."""
    draw = rng.random()
    if draw < _EMPTY_SUFFIX_SHARE:
        return ""
    if draw < _EMPTY_SUFFIX_SHARE + _LITTLE_SUFFIX_SHARE:
        lines = suffix.split("\n")[: rng.randint(1, _LITTLE_SUFFIX_LINES)]
        return "\n".join(lines)
    return suffix
