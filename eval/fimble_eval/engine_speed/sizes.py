"""What a size of model costs a typist: random weights in candidate shapes through the real engine.

Owns the shapes and the measuring. Each size is measured in a process of its own, so that its
memory is its own; the keys typed, and so the prompts, are the same for all.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fimble_eval.engine_speed.random_model import BASE_SHAPE, write_random_model
from fimble_eval.engine_speed.recorded_prompts import RecordedKey, own_sources, record_keys
from fimble_eval.engine_speed.rows import median, percentile
from fimble_eval.resident import read_resident
from fimble_model.engine.protocol import Engine, Prompt, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_model.loading import load
from fimble_model.network.config import NetworkConfig
from fimble_model.training.forms import path_beside, write_form
from fimble_model.training.recipes import find_recipe

__all__ = ["SIZE_SHAPES", "SizeCost", "measure_sizes"]

_RECIPE = find_recipe("fimble-base").network
SIZE_SHAPES: dict[str, NetworkConfig] = {
    "512 x 7": replace(_RECIPE, n_layers=7),
    "512 x 10": replace(_RECIPE, n_layers=10),
    "640 x 12": BASE_SHAPE,
}
_N_FILES, _N_SPOTS, _N_CHARS = 2, 1, 40
# A line of code, about: with random weights the model never ends it by itself.
_N_NEW_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCost:
    """Milliseconds a key: `cold` after a jump to another place, `warm` while typing on.

    `resident_mb` is the process's at its most, Python and torch counted.
    """

    shape: str
    n_parameters: int
    float16_mb: float
    int8_mb: float
    int8_whole_mb: float
    n_keys: int
    tokens_a_key: float
    cold_ms: float
    warm_p50_ms: float
    warm_p90_ms: float
    resident_mb: float


def measure_sizes(work: Path, names: Sequence[str], *, n_threads: int) -> list[SizeCost]:
    """Measure the shapes named, one after the other; their folders are kept in `work`."""
    costs = []
    for name in names:
        folder = work / name.replace(" ", "")
        if not (folder / "tokenizer.json").is_file():
            write_random_model(folder, config=SIZE_SHAPES[name])
        for form in ("int8", "int8-whole"):
            write_form(folder, form, path_beside(folder, form))
        command = [sys.executable, "-m", __name__, str(path_beside(folder, "int8")), str(n_threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        measured = json.loads(done.stdout.splitlines()[-1])
        costs.append(
            SizeCost(
                shape=name,
                n_parameters=SIZE_SHAPES[name].n_parameters,
                float16_mb=_weights_mb(folder),
                int8_mb=_weights_mb(path_beside(folder, "int8")),
                int8_whole_mb=_weights_mb(path_beside(folder, "int8-whole")),
                **measured,
            )
        )
    return costs


def to_rows(costs: Sequence[SizeCost]) -> list[dict[str, object]]:
    """The costs as plain values."""
    return [asdict(cost) for cost in costs]


def _weights_mb(folder: Path) -> float:
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return round(n_bytes / 1e6, 1)


def _type_through(folder: Path, n_threads: int) -> dict[str, float]:
    """What `SizeCost` says of typing, by an engine in this process."""
    engine = load(folder, dtype="int8", n_threads=n_threads)
    spots = record_keys(engine, own_sources(_N_FILES), n_spots=_N_SPOTS, n_chars=_N_CHARS)
    cold_ms, warm_ms, n_written, numbers = [], [], [], itertools.count()
    for keys in spots:
        answers = [_answer(engine, key, numbers) for key in keys]
        spent_ms = [spent for spent, _ in answers]
        n_written += [n_tokens for _, n_tokens in answers]
        cold_ms += spent_ms[:1]
        warm_ms += spent_ms[1:]
    # Not `ru_maxrss`: that would be the parent's, which has written the weights, where it is more.
    peak_mib = read_resident(os.getpid()).peak_mib or 0.0
    return {
        "n_keys": len(n_written),
        "tokens_a_key": round(sum(n_written) / len(n_written), 1),
        "cold_ms": round(median(cold_ms), 1),
        "warm_p50_ms": round(median(warm_ms), 1),
        "warm_p90_ms": round(percentile(warm_ms, 90), 1),
        "resident_mb": round(peak_mib * 2**20 / 1e6, 0),
    }


def _answer(engine: Engine, key: RecordedKey, numbers: Iterator[int]) -> tuple[float, int]:
    """Milliseconds until a key is answered, and how many tokens that were."""
    # The prompt alone: what the product asks for beside it ends an answer early, and random
    # weights would be let off with a token or two.
    request = Request(
        request_id=RequestId(str(next(numbers))),
        prompt=Prompt(token_ids=key.request.prompt.token_ids),
        max_new_tokens=_N_NEW_TOKENS,
        stop=NeverStop(),
    )
    started_s, n_tokens = time.perf_counter(), 0
    engine.add(request)
    while engine.has_work:
        for delta in engine.step():
            n_tokens += len(delta.finish.tokens) if delta.finish else 0
    return (time.perf_counter() - started_s) * 1000, n_tokens


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.stdout.write(json.dumps(_type_through(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
