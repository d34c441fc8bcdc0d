"""The tokenizer of our own models: byte-level BPE made for code.

Owns the split into pre-tokens, the control tokens and the training of the merges. Never reads
the corpus from disk: texts in, tokenizer out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from fimble_model.training.faults import TrainingError

__all__ = [
    "END_TOKEN",
    "FILE_TOKEN",
    "MIDDLE_TOKEN",
    "PAD_TOKEN",
    "PREFIX_TOKEN",
    "REPOSITORY_TOKEN",
    "SPECIAL_TOKENS",
    "SUFFIX_TOKEN",
    "cut_vocabulary",
    "load_tokenizer",
    "train_tokenizer",
]

END_TOKEN = "<|endoftext|>"
PREFIX_TOKEN = "<|fim_prefix|>"
MIDDLE_TOKEN = "<|fim_middle|>"
SUFFIX_TOKEN = "<|fim_suffix|>"
PAD_TOKEN = "<|fim_pad|>"
REPOSITORY_TOKEN = "<|repo_name|>"
FILE_TOKEN = "<|file_sep|>"
SPECIAL_TOKENS = (
    END_TOKEN, PREFIX_TOKEN, MIDDLE_TOKEN, SUFFIX_TOKEN, PAD_TOKEN, REPOSITORY_TOKEN, FILE_TOKEN,
)  # fmt: skip

# The alternatives, first match wins:
#   a newline with the indentation after it; nothing else ever merges across a newline
#   indentation at the start of a fragment, whole, so that a middle may begin with it
#   a word, with the one space before it
#   one digit
#   a run of punctuation, with the one space before it
#   blanks, leaving the last one to the word after them
#   whatever white space is left (a lone carriage return, a form feed)
_PRE_TOKEN = (
    r"\r?\n[ \t]*"
    r"|\A(?:\t[ \t]*| [ \t]+)"
    r"| ?[\p{L}_]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}_]+"
    r"|[^\S\r\n]+(?!\S)|[^\S\r\n]"
    r"|\s"
)
_MAX_TOKEN_BYTES = 32


def train_tokenizer(
    texts: Iterable[str], *, vocabulary_size: int, show_progress: bool = False
) -> Tokenizer:
    """Learn the merges from `texts`; the vocabulary has exactly `vocabulary_size` entries.

    The control tokens come first. Raises `TrainingError` where the texts hold too little for
    that many merges.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRE_TOKEN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=_MAX_TOKEN_BYTES,
        show_progress=show_progress,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    if tokenizer.get_vocab_size() != vocabulary_size:
        raise TrainingError(
            expected=f"texts enough for a vocabulary of {vocabulary_size}",
            found=f"merges for {tokenizer.get_vocab_size()}",
            to_do="Give more documents or a smaller vocabulary.",
        )
    return _with_plain_text(tokenizer)


def cut_vocabulary(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """The vocabulary that training would have stopped at: a smaller one is the larger's start."""
    stated = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = stated["model"]["vocab"]
    merges: list[list[str]] = stated["model"]["merges"]
    stated["model"]["vocab"] = {text: i for text, i in vocabulary.items() if i < size}
    stated["model"]["merges"] = [m for m in merges if vocabulary["".join(m)] < size]
    return _with_plain_text(Tokenizer.from_str(json.dumps(stated)))


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, set so that text never becomes a control token."""
    if not path.is_file():
        raise TrainingError(
            expected=f"a tokenizer in {path}",
            found="no such file",
            to_do="Run `fimble-train tokenizer` first.",
        )
    return _with_plain_text(Tokenizer.from_file(str(path)))


def _with_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    # NOTE: the flag's name says the opposite of what one hears: True means that the control
    # tokens' strings, met in a text, are encoded as the plain characters they are there.
    tokenizer.encode_special_tokens = True
    return tokenizer
