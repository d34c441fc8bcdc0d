"""The engine's text codec: tokenizer, fill-in-the-middle format and token healing in one.

Owns the assembly of a prompt's ids. Never decides what text goes into a prompt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from fimble_model.engine.healing import TokenIndex, heal
from fimble_model.engine.memory_index import MOST_ORDER
from fimble_model.engine.protocol import Prompt, Surroundings, TokenId
from fimble_model.text.fim_format import FimFormat, Hole, Layout, Text
from fimble_model.text.growing_text import GrowingText
from fimble_model.text.tokenizer import Tokenizer

__all__ = ["FimCodec"]

# Pieces of other files that are at hand as ids; a prompt holds far fewer. Guessed.
_MOST_KEPT_TEXTS = 64


class FimCodec:
    """Implements `TextCodec`.

    Remembers the ids of what stays while the user types: the suffix, other files, and all but
    the end of the prefix.
    """

    def __init__(self, tokenizer: Tokenizer, fim_format: FimFormat) -> None:
        self.tokenizer = tokenizer
        self.fim_format = fim_format
        self._prefix = GrowingText(tokenizer)
        self._kept: OrderedDict[str, list[TokenId]] = OrderedDict()

    @cached_property
    def token_index(self) -> TokenIndex:
        """Built on first use: sorting a large vocabulary takes a tenth of a second."""
        return TokenIndex(self.tokenizer.token_bytes)

    @property
    def shows_files(self) -> bool:
        """Whether the model was trained with other files in its prompt."""
        return self.fim_format.files is not None

    def encode(self, text: str) -> list[TokenId]:
        """Token ids of plain text; it never becomes a control token."""
        return self.tokenizer.encode(text)

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        """Text of token ids; control tokens are left out."""
        return self.tokenizer.decode(token_ids)

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        """The prompt in the model's preferred order, with the word at the cursor taken back."""
        opening = " " if self.fim_format.prefix_blank and prefix else ""
        encoded = self._prefix.encode_words(opening + prefix)
        healed = heal(encoded, self.tokenizer, self.token_index)
        before, inside = self._encode_surroundings(surroundings)
        begin = self.fim_format.begin_token
        token_ids = [] if begin is None else [self.tokenizer.control_ids[begin]]
        token_ids += before
        for part in self.fim_format.layout:
            if part is Hole.PREFIX:
                token_ids += inside
                token_ids += healed.token_ids
            elif part is Hole.SUFFIX:
                token_ids += self._encode_kept(suffix)
            else:
                assert isinstance(part, str), "a layout of control tokens and the two holes"
                token_ids.append(self.tokenizer.control_ids[part])
        return Prompt(
            token_ids=tuple(token_ids),
            healing_text=healed.healing_text,
            context_ids=tuple(healed.token_ids[-MOST_ORDER:]),
        )

    def _encode_surroundings(
        self, surroundings: Surroundings | None
    ) -> tuple[list[TokenId], list[TokenId]]:
        """Ids that stand before the fill-in-the-middle part, and ids that begin its prefix."""
        files = self.fim_format.files
        if files is None or surroundings is None:
            return [], []
        own = {Hole.REPOSITORY: surroundings.repository, Hole.PATH: surroundings.path}
        token_ids = self._fill(files.opening, own)
        for path, text in surroundings.files:
            whole = text if text.endswith("\n") else text + "\n"
            token_ids += self._fill(files.file, own | {Hole.PATH: path, Hole.CODE: whole})
        token_ids += self._fill(files.own, own)
        prefix_opening = self._fill(files.prefix_opening, own)
        if files.inside_prefix:
            return [], token_ids + prefix_opening
        return token_ids, prefix_opening

    def _fill(self, layout: Layout, texts: Mapping[Hole, str]) -> list[TokenId]:
        token_ids: list[TokenId] = []
        for fragment in _fragments(layout, texts):
            if isinstance(fragment, Text):
                token_ids += self._encode_kept(fragment.text)
            else:
                token_ids.append(self.tokenizer.control_ids[fragment])
        return token_ids

    def _encode_kept(self, text: str) -> list[TokenId]:
        token_ids = self._kept.get(text)
        if token_ids is None:
            token_ids = self._kept[text] = self.tokenizer.encode(text)
            while len(self._kept) > _MOST_KEPT_TEXTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(text)
        return token_ids


def _fragments(layout: Layout, texts: Mapping[Hole, str]) -> Iterator[str | Text]:
    """Control tokens and the texts between them; code is a fragment by itself.

    Our samples were cut so: a fragment is encoded by itself, a path with what marks it.
    """
    run = ""
    for part in layout:
        is_text = isinstance(part, Text) or (isinstance(part, Hole) and part is not Hole.CODE)
        if not is_text and run:
            yield Text(run)
            run = ""
        if isinstance(part, Text):
            run += part.text
        elif part is Hole.CODE:
            yield Text(texts[part])
        elif isinstance(part, Hole):
            run += texts[part]
        else:
            yield part
    if run:
        yield Text(run)
