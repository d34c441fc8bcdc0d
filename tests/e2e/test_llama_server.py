"""A real server of others, llama.cpp's, over our own model's export: it fills as we do.

Skipped where llama-cpp-python and what its server needs are not installed (`fimble[compare]` and
`llama-cpp-python[server]`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import fimble_model
from fimble_model.backends.endpoint import Endpoint
from fimble_model.backends.endpoint_engine import EndpointEngine
from fimble_model.backends.endpoint_loading import load_endpoint
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import FinishReason, Prompt, RequestId
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.text.fim_format import Hole
from fimble_testing.tiny_engines import build_request, run_all, run_alone

_NEEDED = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context")
_LACKS = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(_LACKS), reason=f"needs llama-cpp-python[server]: no {', '.join(_LACKS)}"
)
# Nothing is indented: llama.cpp has no splitting of text like our tokenizer's, which keeps a line
# end and the blanks behind it together, and the same tokens are what is compared. Nor is anything
# said twice: this server makes it less likely (`repeat_penalty` 1.1) unless told not to.
PREFIX = "total = left +"
SUFFIX = "\nprint(total)\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EndpointEngine]:
    from fimble_model.shipped import find_model_folder
    from fimble_model.training.export_gguf import export_gguf

    path = tmp_path_factory.mktemp("gguf") / "nano.gguf"
    export_gguf(find_model_folder("fimble-nano"), path, "f32")
    with _serve(path) as url:
        endpoint = Endpoint(url=url, model="nano", fim_family="fimble", timeout_s=60)
        engine = load_endpoint(endpoint)
        yield engine
        engine.close()


def test_it_fills_a_hole_as_our_own_engine_does(engine: EndpointEngine) -> None:
    """Greedy, from the same prompt: for neither is the word at the cursor taken back."""
    prompt = engine.codec.encode_fim(prefix=PREFIX, suffix=SUFFIX)
    theirs = run_alone(engine, build_request("a", prompt, max_new_tokens=24, stop=StopAtLineEnd()))
    assert theirs.reason in (FinishReason.STOP_RULE, FinishReason.END_TOKEN)
    own = fimble_model.load("fimble-nano", device="cpu", dtype="float32", n_threads=1)
    assert isinstance(own, NativeEngine)
    tokenizer, token_ids = own.codec.tokenizer, []
    for part in own.codec.fim_format.layout:
        if isinstance(part, str):
            token_ids.append(tokenizer.control_ids[part])
        else:
            token_ids += tokenizer.encode(PREFIX if part is Hole.PREFIX else SUFFIX)
    request = build_request(
        "b", Prompt(token_ids=tuple(token_ids)), max_new_tokens=24, stop=StopAtLineEnd()
    )
    assert theirs.text.strip()
    assert run_alone(own, request).text == theirs.text


def test_a_row_that_is_cancelled_leaves_the_server_free_for_the_next(
    engine: EndpointEngine,
) -> None:
    prompt = engine.codec.encode_fim(prefix="import ", suffix="")
    engine.add(build_request("long", prompt, max_new_tokens=400))
    while not engine.step():
        pass
    engine.cancel(RequestId("long"))
    (delta,) = run_all(engine)["long"][-1:]
    assert delta.finish is not None
    assert delta.finish.reason is FinishReason.CANCELLED
    again = run_alone(engine, build_request("next", prompt, max_new_tokens=4))
    assert again.reason is not FinishReason.FAILED


@contextlib.contextmanager
def _serve(path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(path)]
    command += ["--model_alias", "nano", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--n_ctx", "1024", "--n_threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait_for(url + "/models", process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
    raise AssertionError("llama.cpp's server ended before it answered")
