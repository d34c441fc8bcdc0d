"""Real servers of others over our own model's export: they fill as we do.

llama.cpp's own server always (a wheel brings it). llama-cpp-python's where it is installed with
what its server needs: it comes as source alone, and to compile llama.cpp for it takes a quarter of
an hour on two cores, which is most of what the whole check may take.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import fimble_model
from fimble_model.backends.endpoint import Endpoint
from fimble_model.backends.endpoint_engine import EndpointEngine
from fimble_model.backends.endpoint_loading import load_endpoint
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import FinishReason, Prompt, RequestId
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.errors import EndpointError
from fimble_model.self_test import TestedItem
from fimble_model.shipped import find_model_folder
from fimble_model.text.fim_format import Hole
from fimble_model.training.export_gguf import export_gguf
from fimble_testing.tiny_engines import build_request, run_all, run_alone

_NEEDED = ("llama_cpp", "fastapi", "uvicorn", "sse_starlette", "starlette_context")
_LACKS = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
_SERVERS = (
    "llama.cpp",
    pytest.param(
        "llama-cpp-python",
        marks=pytest.mark.skipif(
            bool(_LACKS),
            reason=f"llama-cpp-python[server] compiles for a quarter of an hour: "
            f"no {', '.join(_LACKS)}",
        ),
    ),
)
_SERVE = Path(__file__).parents[1] / "fimble_testing" / "llama_cpp_server.py"
# Nothing is indented: llama.cpp has no splitting of text like our tokenizer's, which keeps a line
# end and the blanks behind it together, and the same tokens are what is compared.
PREFIX = "total = left +"
SUFFIX = "\nprint(total)\n"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model that ships, in llama.cpp's form."""
    path = tmp_path_factory.mktemp("gguf") / "nano.gguf"
    export_gguf(find_model_folder("fimble-nano"), path, "f32")
    return path


@pytest.fixture(scope="module", params=_SERVERS)
def served(request: pytest.FixtureRequest, model_file: Path) -> Iterator[Endpoint]:
    serve = _serve_llama_cpp if request.param == "llama.cpp" else _serve_llama_cpp_python
    with serve(model_file) as (url, name):
        yield Endpoint(url=url, model=name, fim_family="fimble", timeout_s=60)


@pytest.fixture(scope="module")
def engine(served: Endpoint) -> Iterator[EndpointEngine]:
    loaded = load_endpoint(served)
    yield loaded
    loaded.close()


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
    ours = run_alone(own, request)
    assert theirs.text.strip()
    assert ours.text == theirs.text
    # So what the server is unsure of is held back as with our own.
    first = ours.tokens[0]
    assert theirs.tokens[0].logprob == pytest.approx(first.logprob, abs=0.02)


def test_the_self_test_fills_more_holes_there_than_in_another_format(served: Endpoint) -> None:
    """How many is the small model's affair, which fills about as many as are asked of it."""
    found = []
    for endpoint in (served, replace(served, fim_family="starcoder")):
        items: list[TestedItem] = []
        load_endpoint(endpoint, on_tested=items.append).close()
        (item,) = items
        found.append(item.found)
    assert not item.ok
    assert found[1] == "none filled" != found[0]


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


def test_a_model_that_it_has_not_is_refused_by_name(served: Endpoint) -> None:
    with pytest.raises(EndpointError, match=r"model\.name"):
        load_endpoint(replace(served, model="no-such-model"))


@contextlib.contextmanager
def _serve_llama_cpp(path: Path) -> Iterator[tuple[str, str]]:
    process = subprocess.Popen(
        [sys.executable, str(_SERVE), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "llama.cpp's server ended before it answered"
            yield f"{address}/v1", str(path)
        finally:
            process.stdin.close()
            process.terminate()


@contextlib.contextmanager
def _serve_llama_cpp_python(path: Path) -> Iterator[tuple[str, str]]:
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
        yield url, "nano"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
    raise AssertionError("llama.cpp's server ended before it answered")
