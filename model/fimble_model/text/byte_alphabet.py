"""The byte-level alphabet: which printable character stands for which byte in a vocabulary.

Owns the table of GPT-2's `bytes_to_unicode`, which every byte-level BPE still uses. Knows
nothing of tokenizers.
"""

from __future__ import annotations

__all__ = ["BYTE_OF_CHARACTER", "CHARACTER_OF_BYTE", "try_token_bytes"]

# Bytes that are printable in Latin-1 stand for themselves; the others take the characters
# from U+0100 on, in order.
_PRINTABLE = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))


def _build_alphabet() -> dict[int, str]:
    alphabet = {byte: chr(byte) for span in _PRINTABLE for byte in span}
    others = (byte for byte in range(256) if byte not in alphabet)
    return alphabet | {byte: chr(0x100 + index) for index, byte in enumerate(others)}


CHARACTER_OF_BYTE = _build_alphabet()
BYTE_OF_CHARACTER = {character: byte for byte, character in CHARACTER_OF_BYTE.items()}


def try_token_bytes(written: str) -> bytes | None:
    """Bytes of a vocabulary entry as it is written; None where it is not byte-level.

    >>> try_token_bytes("Ġdef")
    b' def'
    """
    try:
        return bytes(map(BYTE_OF_CHARACTER.__getitem__, written))
    except KeyError:
        return None
