"""A first completion that nobody asked for.

Owns its words. The first call of an operator is many times slower than the next.
"""

from __future__ import annotations

from fimble_model.engine.protocol import Engine, Request, RequestId
from fimble_model.engine.stopping import NeverStop

__all__ = ["warm_up"]


def warm_up(engine: Engine) -> None:
    """Run every path once, to its end."""
    prompt = engine.codec.encode_fim(prefix="def warm_up(self):\n    retu", suffix="\n" * 8)
    engine.add(
        Request(request_id=RequestId("warm-up"), prompt=prompt, max_new_tokens=4, stop=NeverStop())
    )
    while engine.has_work:
        engine.step()
