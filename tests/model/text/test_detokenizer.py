"""Laws of the detokenizer: whole characters only, and all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.text.detokenizer import Detokenizer


@st.composite
def split_bytes(draw: st.DrawFn) -> list[bytes]:
    """Bytes of any text, split anywhere."""
    written = draw(st.text()).encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(written)))))
    return [written[a:b] for a, b in zip([0, *cuts], [*cuts, len(written)], strict=True)]


@given(split_bytes())
def test_text_split_into_bytes_anywhere_comes_back_whole(parts: list[bytes]) -> None:
    detokenizer = Detokenizer()
    fed = [detokenizer.feed(part) for part in parts]
    assert "".join(fed) == b"".join(parts).decode()
    # Each piece stands on its own: no half character, no replacement for one.
    for n_fed in range(len(parts)):
        known = b"".join(parts[: n_fed + 1])
        assert "".join(fed[: n_fed + 1]) == known.decode("utf-8", errors="ignore")


@given(st.lists(st.binary(max_size=4)))
def test_stray_bytes_are_dropped_and_never_shown(parts: list[bytes]) -> None:
    detokenizer = Detokenizer()
    text = "".join(detokenizer.feed(part) for part in parts)
    assert text.encode().decode() == text
    assert ("\ufffd" in text) <= ("\ufffd".encode() in b"".join(parts))


@given(split_bytes(), st.text(max_size=4))
def test_text_typed_already_is_skipped(parts: list[bytes], typed: str) -> None:
    detokenizer = Detokenizer(len(typed.encode()))
    fed = "".join(detokenizer.feed(part) for part in (typed.encode(), *parts))
    assert fed == b"".join(parts).decode()
