"""Where a completions server is, and what is said when it cannot be used.

Owns `Endpoint` and the words of every fault. Sends nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fimble_model.errors import EndpointError

__all__ = [
    "OUR_PARAMETERS",
    "Endpoint",
    "fault_of_status",
    "malformed",
    "no_answer",
    "parameters_for",
]

OUR_PARAMETERS = frozenset(
    {
        "model",
        "prompt",
        "suffix",
        "max_tokens",
        "stream",
        "stop",
        "logprobs",
        "n",
        "best_of",
        "echo",
    }
)
"""What we say ourselves in every request: an answer to other values would not be understood."""

_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible server. `url` ends before `/completions`; `model` is its name there.

    With `fim_family` we write the fill-in-the-middle prompt ourselves; without, the server does,
    from its `suffix` parameter. `key` is never shown. `context_tokens` bounds a prompt.
    `parameters` go along with every request, and come before what we would add for that kind of
    server; None takes one out.
    """

    url: str
    model: str
    fim_family: str | None = None
    fim_order: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    context_tokens: int = 4096
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Host and port, as a user would know it."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine by its address."""
        name = urlsplit(self.url).hostname or ""
        try:
            return name in _LOCAL_NAMES or ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    @property
    def place(self) -> str:
        """The host, and whether that is this machine."""
        where = "on this machine" if self.is_loopback else "another machine"
        return f"{self.host} ({where})"


# By what a server's list of models calls its owner. Some punish repeated tokens unless told not to:
# llama-cpp-python ("me") by itself, vLLM and SGLang where the model's generation_config.json does.
# Code repeats itself.
_PARAMETERS_BY_OWNER: Mapping[str, Mapping[str, object]] = {
    "me": {"repeat_penalty": 1.0},
    "vllm": {"repetition_penalty": 1.0},
    "sglang": {"repetition_penalty": 1.0},
}


def parameters_for(endpoint: Endpoint, owner: str | None) -> dict[str, object]:
    """What goes along with every request to a server of this owner, None where it is not known.

    >>> parameters_for(Endpoint(url="http://x/v1", model="m", parameters={"top_k": 1}), "vllm")
    {'repetition_penalty': 1.0, 'top_k': 1}
    """
    known = dict(_PARAMETERS_BY_OWNER.get(owner or "", {})) | dict(endpoint.parameters)
    return {name: value for name, value in known.items() if value is not None}


def fault_of_status(endpoint: Endpoint, status: int) -> EndpointError:
    """The error for an HTTP status. What the server wrote is left out: it may quote a prompt."""
    if status in (401, 403):
        return EndpointError(
            expected=f"leave to use {endpoint.host}",
            found=f"{status}, " + ("a key it does not take" if endpoint.key else "no key given"),
            to_do="Name the environment variable with its key in model.endpoint_key_variable.",
        )
    if status == 404:
        return EndpointError(
            expected=f"{endpoint.model!r} at {endpoint.url}/completions",
            found="404, no such model or no such path",
            to_do="Mend model.name (as the server calls it) or model.endpoint (often ends in /v1).",
        )
    if status == 429:
        return EndpointError(
            expected=f"{endpoint.host} to take requests",
            found="429, too many of them",
            to_do="Wait, or raise the limit there.",
        )
    if status >= 500:
        return EndpointError(
            expected=f"{endpoint.host} to answer",
            found=f"{status}, a fault of its own",
            to_do="Look into that server's log.",
        )
    return EndpointError(
        expected=f"{endpoint.host} to take a completions request",
        found=f"{status}",
        to_do="Check that it is an OpenAI-compatible completions server for this model; where "
        "it does not take `suffix`, state model.fim_family; mend model.endpoint_parameters.",
    )


def no_answer(endpoint: Endpoint, why: str) -> EndpointError:
    """The error for a server that is not there, or falls silent."""
    return EndpointError(
        expected=f"a server that answers at {endpoint.host}",
        found=why,
        to_do="Start it, or mend model.endpoint.",
    )


def malformed(endpoint: Endpoint, what: str) -> EndpointError:
    """The error for an answer in another form."""
    return EndpointError(
        expected=f"a stream of completions from {endpoint.host}",
        found=what,
        to_do="Check that model.endpoint names an OpenAI-compatible server.",
    )
