"""`fimble check`: looks at everything a completion needs and says what to do where it is wrong.

Owns the list of checks. A check never raises for the user's faults: it reports them. No text
of the user's is read; the one completion it asks for is of its own small file.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from fimble_model.engine.protocol import (
    BackEnd,
    Engine,
    FinishReason,
    ModelInfo,
    Request,
    RequestId,
)
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.self_test import TestedItem
from fimble_server import __version__
from fimble_server.errors import DeviceError, FimbleError
from fimble_server.model_engine import build_engine
from fimble_server.model_words import describe_privacy
from fimble_server.settings import ModelSettings

__all__ = ["Finding", "examine"]

_OLDEST_PYTHON = (3, 11)
_SLOW_COMPLETION_MS = 1000.0
_CONTROL_STRING = "<|fim_middle|>"
_NOTHING = "Nothing to do."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report, with what to do next."""

    name: str
    ok: bool
    found: str
    to_do: str = _NOTHING

    def to_dict(self) -> dict[str, str | bool]:
        """The finding as JSON keys."""
        return asdict(self)


def examine(settings: ModelSettings) -> Iterator[Finding]:
    """Every finding in turn, as soon as it is known. What needs the model ends at its failure."""
    yield _examine_python()
    yield _examine_package("torch", "Install it: pip install torch")
    yield _examine_package("tokenizers", "Install it: pip install tokenizers")
    started_s = time.perf_counter()
    tested: list[TestedItem] = []
    try:
        engine = build_engine(settings, on_tested=tested.append)
    except FimbleError as error:
        name = "device" if isinstance(error, DeviceError) else "model"
        found = f"{error.found}; expected {error.expected}"
        # The last item is the one that the model was refused for.
        yield from map(_describe_tested, tested[:-1])
        yield Finding(name=name, ok=False, found=found, to_do=error.to_do)
        return
    yield _describe_device(engine)
    yield _describe_privacy(engine)
    yield _describe_model(engine, load_s=time.perf_counter() - started_s)
    yield from map(_describe_tested, tested)
    yield _examine_fim(engine)
    yield _examine_completion(engine)


def _examine_python() -> Finding:
    ok = sys.version_info >= _OLDEST_PYTHON
    return Finding(
        name="python",
        ok=ok,
        found=f"{platform.python_version()} at {sys.executable}, Fimble {__version__}",
        to_do=_NOTHING if ok else "Install Fimble under Python 3.11 or newer.",
    )


def _examine_package(name: str, to_do: str) -> Finding:
    try:
        return Finding(name=name, ok=True, found=version(name))
    except PackageNotFoundError:
        return Finding(name=name, ok=False, found="not installed", to_do=to_do)


def _describe_device(engine: Engine) -> Finding:
    """Where the model runs; a processor is fine for the models that ship."""
    model = engine.model
    is_cpu = model.device == "cpu"
    return Finding(
        name="device",
        ok=True,
        found=f"{model.device}, {model.dtype}, {model.kernels} kernels"
        + (f", {os.cpu_count()} cores" if is_cpu else ""),
        to_do="Nothing to do; a large model wants a GPU." if is_cpu else _NOTHING,
    )


def _describe_privacy(engine: Engine) -> Finding:
    """Where text goes."""
    sends_text_to = engine.model.sends_text_to
    return Finding(
        name="privacy",
        ok=True,
        found=describe_privacy(engine.model),
        to_do=_NOTHING if sends_text_to is None else "Take model.endpoint out to keep it here.",
    )


def _describe_model(engine: Engine, *, load_s: float) -> Finding:
    model = engine.model
    return Finding(
        name="model",
        ok=True,
        found=f"{_model_words(model)}, context {model.context_tokens} tokens, "
        f"{'answered' if model.sends_text_to else 'loaded'} in {load_s:.1f} s",
        to_do="Nothing to do; `--model` tries another one, `fimble models` lists them.",
    )


def _model_words(model: ModelInfo) -> str:
    match model.back_end:
        case BackEnd.ENDPOINT:
            return f"{model.name} at {model.sends_text_to}"
        case BackEnd.TRANSFORMERS:
            words = "through transformers: slower than a model that Fimble runs itself"
            return f"{model.name}, {model.n_parameters / 1e6:.1f}M parameters, {words}"
        case BackEnd.NATIVE:
            return f"{model.name}, {model.n_parameters / 1e6:.1f}M parameters"


def _describe_tested(item: TestedItem) -> Finding:
    return Finding(
        name=item.name,
        ok=item.ok,
        found=item.found,
        to_do=_NOTHING if item.ok else item.to_do,
    )


def _examine_fim(engine: Engine) -> Finding:
    """The format's control tokens are there, and typed by a user they stay plain text."""
    codec, model = engine.codec, engine.model
    n_control = len(codec.encode_fim(prefix="", suffix="").token_ids)
    typed = codec.encode(_CONTROL_STRING)
    ok = n_control > 0 and len(typed) > 1 and codec.decode(typed) == _CONTROL_STRING
    return Finding(
        name="fill-in-the-middle",
        ok=ok,
        found=(
            f"format {model.fim_family!r}, order {model.fim_orders[0]}, {n_control} control tokens"
        ),
        to_do=_NOTHING
        if ok
        else "This tokenizer mistakes text for control tokens: use another model.",
    )


def _examine_completion(engine: Engine) -> Finding:
    """One short completion, timed."""
    request = Request(
        request_id=RequestId("check"),
        prompt=engine.codec.encode_fim(
            prefix='def main():\n    print("Hello")\n\n\nif __name__ == ', suffix="\n    main()\n"
        ),
        max_new_tokens=12,
        stop=StopAtLineEnd(),
    )
    started_s = time.perf_counter()
    engine.add(request)
    finish = None
    while finish is None:
        finish = next((delta.finish for delta in engine.step() if delta.finish), None)
    elapsed_ms = (time.perf_counter() - started_s) * 1000
    failed = finish.reason is FinishReason.FAILED
    slow = elapsed_ms > _SLOW_COMPLETION_MS
    return Finding(
        name="completion",
        ok=not failed,
        found=(
            "the network failed"
            if failed
            else f"'if __name__ == ' was completed with {finish.text!r} in {elapsed_ms:.0f} ms"
        ),
        to_do=_completion_advice(failed=failed, slow=slow),
    )


def _completion_advice(*, failed: bool, slow: bool) -> str:
    if failed:
        return "Run `fimble check` in a terminal and report what it logs above."
    if slow:
        return "This is slow for typing: choose a smaller model, or a GPU."
    return "Start `fimble serve` from your editor, or try `fimble complete FILE:LINE:COLUMN`."
