"""Small tokenizers, trained in place, in the three styles that models use.

The Qwen style attaches one blank to the word after it; the Fimble style makes one token of a
line end and the indentation after it; the Llama style is SentencePiece's, with marked blanks.
"""

from __future__ import annotations

import json
from functools import cache

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

__all__ = ["CONTROL_STRINGS", "STYLES", "TRAINING_TEXT", "build_tokenizer_json"]

CONTROL_STRINGS = (
    "<|endoftext|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|repo_name|>",
    "<|file_sep|>",
)

_PATTERNS = {
    "qwen": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
    "fimble": r"\r?\n[ \t]*| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|[ \t]+(?!\S)|\s+",
}
STYLES = (*_PATTERNS, "llama")

TRAINING_TEXT = '''\
class Account:
    """Keeps the balance of one customer."""

    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        return self.balance

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError("balance is too small")
        self.balance -= amount
        return self.balance

    def transfer(self, other, amount):
        for account in (self, other):
            if account.owner is None:
                return False
        self.withdraw(amount)
        other.deposit(amount)
        return True


def total_balance(accounts):
    total = 0
    for account in accounts:
        total += account.balance
    return total


def describe(accounts, return_text=True, returned=None):
    lines = [f"{account.owner}: {account.balance}" for account in accounts]
    if return_text:
        return "\\n".join(lines)
    returned.extend(lines)
    return returned
'''


@cache
def build_tokenizer_json(style: str, vocabulary_size: int = 512) -> str:
    """The text of a tokenizer.json in a style of `STYLES`; the same one at every call."""
    if style == "llama":
        return _build_marked(vocabulary_size)
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_PATTERNS[style]), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(CONTROL_STRINGS),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
    return tokenizer.to_str()


def _build_marked(vocabulary_size: int) -> str:
    """As converted from SentencePiece: a blank is put before the text, bytes have tokens."""
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    # For the training alone: merges stay inside words, as SentencePiece's do.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        tokenizers.Regex(r"▁*[^▁\n]+|▁+|\n+"), "isolated"
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[*CONTROL_STRINGS, *byte_tokens],
        show_progress=False,
    )
    tokenizer.train_from_iterator([TRAINING_TEXT], trainer)
    parsed = json.loads(tokenizer.to_str())
    parsed["pre_tokenizer"] = None
    parsed["added_tokens"] = [
        token for token in parsed["added_tokens"] if token["content"] in CONTROL_STRINGS
    ]
    return json.dumps(parsed)
