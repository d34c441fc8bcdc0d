"""From an endpoint's address to an engine that has answered once.

Owns the trying out: a server that is not there, a wrong key and an unknown model are told before
the first keystroke.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fimble_model.backends.endpoint import Endpoint
from fimble_model.backends.endpoint_engine import EndpointEngine
from fimble_model.engine.protocol import Clock, FinishReason, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import EndpointError
from fimble_model.self_test import TestedItem, run_self_test
from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimFormat
from fimble_model.text.fim_matching import find_fim_format

__all__ = ["load_endpoint"]

_MOST_NAMED = 8
_OTHER_FORMAT = (
    "State the format that this server's model was trained with in model.fim_family and "
    "model.fim_order, or set model.endpoint_fim to suffix."
)


def load_endpoint(
    endpoint: Endpoint,
    clock: Clock | None = None,
    on_tested: Callable[[TestedItem], None] | None = None,
) -> EndpointEngine:
    """An engine over the server. Raises `EndpointError` where it cannot be used.

    Where `on_tested` wants to know, simple holes are asked too: a format that is not the model's
    shows there alone. Nothing is refused for it: a team's server is not asked that at every start.
    """
    engine = EndpointEngine(endpoint, _find_format(endpoint), clock)
    try:
        _refuse_unknown_model(endpoint, engine.look_around())
        _try_out(engine, endpoint)
        if on_tested is not None:
            for item in run_self_test(engine):
                on_tested(dataclasses.replace(item, to_do=_OTHER_FORMAT))
    except BaseException:
        engine.close()
        raise
    return engine


def _find_format(endpoint: Endpoint) -> FimFormat | None:
    if endpoint.fim_family is None:
        return None
    known = {word for family in FAMILIES for word in family.control_strings()}
    return find_fim_format(
        model_type="",
        control_strings=known,
        stated_family=endpoint.fim_family,
        stated_orders=() if endpoint.fim_order is None else (endpoint.fim_order,),
    )


def _refuse_unknown_model(endpoint: Endpoint, names: tuple[str, ...]) -> None:
    if names and endpoint.model not in names:
        listed = ", ".join(names[:_MOST_NAMED])
        raise EndpointError(
            expected=f"{endpoint.model!r} among the models of {endpoint.host}",
            found=f"{listed}" + (" and more" if len(names) > _MOST_NAMED else ""),
            to_do="Set model.name to one of these.",
        )


def _try_out(engine: EndpointEngine, endpoint: Endpoint) -> None:
    prompt = engine.codec.encode_fim(prefix="def add(left, right):\n    return ", suffix="\n")
    engine.add(
        Request(request_id=RequestId("try"), prompt=prompt, max_new_tokens=2, stop=NeverStop())
    )
    while engine.has_work:
        for delta in engine.step():
            if delta.finish and delta.finish.reason is FinishReason.FAILED:
                raise engine.last_fault or EndpointError(
                    expected=f"a completion from {endpoint.host}",
                    found="none",
                    to_do="Look into that server's log.",
                )
