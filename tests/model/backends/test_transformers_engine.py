"""Networks that only transformers runs, behind our engine: the same tokens, and the same laws."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch

import fimble_model
from fimble_model import Stated
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import (
    BackEnd,
    Engine,
    FinishReason,
    Prompt,
    RequestId,
    Sampling,
    TokenId,
)
from fimble_model.engine.stopping import StopAfterLines
from fimble_model.errors import CheckpointError, DeviceError
from fimble_testing.foreign_checkpoints import FOREIGN_FAMILIES, write_foreign_checkpoint
from fimble_testing.tiny_engines import build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

CROPPED = tuple(family for family in FOREIGN_FAMILIES if family != "falcon_mamba")


@cache
def _checkpoint(family: str) -> tuple[Path, Any]:
    folder = Path(mkdtemp(prefix="fimble-test-")) / family
    return folder, write_foreign_checkpoint(folder, family)


def _load(family: str, *, speculates: bool = True) -> NativeEngine:
    engine = fimble_model.load(
        _checkpoint(family)[0], device="cpu", n_threads=1, speculates=speculates
    )
    assert isinstance(engine, NativeEngine)
    return engine


def _prompt(engine: Engine, n_chars: int) -> Prompt:
    return engine.codec.encode_fim(prefix=TRAINING_TEXT[100:n_chars], suffix=TRAINING_TEXT[600:660])


def _plain(engine: Engine, n_chars: int) -> Prompt:
    """A prompt whose word at the cursor is left as it is, as transformers would have it."""
    return Prompt(token_ids=_prompt(engine, n_chars).token_ids)


@pytest.mark.parametrize("family", FOREIGN_FAMILIES)
def test_greedy_tokens_are_those_of_transformers_own_generate(family: str) -> None:
    engine, network = _load(family), _checkpoint(family)[1]
    for n_chars in (200, 420):
        prompt = _plain(engine, n_chars)
        finish = run_alone(engine, build_request(f"at {n_chars}", prompt, max_new_tokens=64))
        with torch.inference_mode():
            ids_BT = network.generate(
                torch.tensor([prompt.token_ids]), do_sample=False, max_new_tokens=64
            )
        theirs = ids_BT[0, len(prompt.token_ids) :].tolist()
        assert [token.token_id for token in finish.tokens] == theirs
        assert len(theirs) == 64


@pytest.mark.parametrize("family", CROPPED)
def test_a_cropped_cache_says_what_a_fresh_one_does(family: str) -> None:
    """Typed on, gone back, typed elsewhere: the tokens are those of an engine without a past."""
    warm = _load(family)
    for index, n_chars in enumerate((300, 301, 304, 290, 302, 500, 303)):
        request = build_request(f"{index}", _prompt(warm, n_chars), max_new_tokens=12)
        found = run_alone(warm, request)
        fresh = run_alone(_load(family), request)
        assert [each.token_id for each in found.tokens] == [each.token_id for each in fresh.tokens]
        for mine, theirs in zip(found.tokens, fresh.tokens, strict=True):
            assert mine.logprob == pytest.approx(theirs.logprob, abs=2e-3)
        # All but the word at the cursor, unless everything before it is new.
        assert index == 0 or found.n_reused_tokens >= 50
    assert warm.n_rows_in_use == 0


def test_a_network_whose_state_cannot_be_cropped_computes_anew() -> None:
    engine = _load("falcon_mamba")
    for name, n_chars in (("a", 300), ("b", 301)):
        finish = run_alone(engine, build_request(name, _prompt(engine, n_chars)))
        assert finish.n_reused_tokens == 0
        assert finish.tokens
    assert engine.holdings.cache_bytes == 0


@pytest.mark.parametrize("speculates", [True, False])
def test_many_rows_say_what_each_says_alone(speculates: bool) -> None:
    engine = _load("gpt_neox", speculates=speculates)
    sampled = Sampling(temperature=0.8, top_p=0.95, seed=3)
    requests = [
        build_request(f"{n_chars} {kind}", _prompt(engine, n_chars), sampling=sampling)
        for n_chars in (120, 121, 400)
        for kind, sampling in (("greedy", Sampling()), ("sampled", sampled))
    ]
    together = run_all(engine, requests)
    for request in requests:
        alone = run_alone(_load("gpt_neox", speculates=False), request)
        finish = last_of(together[request.request_id])
        assert finish is not None
        assert finish.text == alone.text
        assert "".join(delta.text for delta in together[request.request_id]) == finish.text


def test_a_cancelled_row_is_gone_after_one_step_and_the_others_go_on() -> None:
    engine = _load("gpt_neox")
    for name in ("stays", "goes"):
        engine.add(build_request(name, _prompt(engine, 300), max_new_tokens=40))
    engine.step()
    engine.cancel(RequestId("goes"))
    deltas = engine.step()
    ended = [delta.request_id for delta in deltas if delta.finish]
    assert ended == ["goes"]
    assert engine.holdings.n_rows + engine.holdings.n_waiting == 1
    assert last_of(run_all(engine)["stays"]) is not None
    assert engine.n_rows_in_use == 0


def test_the_stop_rule_ends_a_row_inside_the_loop() -> None:
    engine = _load("opt")
    free = run_alone(engine, build_request("free", _prompt(engine, 300), max_new_tokens=40))
    request = build_request(
        "stopped", _prompt(engine, 300), max_new_tokens=40, stop=StopAfterLines(1)
    )
    stopped = run_alone(engine, request)
    assert free.text.startswith(stopped.text)
    if stopped.reason is FinishReason.STOP_RULE:
        assert len(stopped.tokens) <= len(free.tokens)


def test_the_model_says_whose_network_it_is() -> None:
    model = _load("codegen").model
    assert model.back_end is BackEnd.TRANSFORMERS
    assert (model.kernels, model.dtype, model.sends_text_to) == ("transformers", "float32", None)
    assert model.context_tokens == 512


def test_int8_is_refused_where_it_was_asked_for() -> None:
    with pytest.raises(DeviceError, match=r"model\.dtype"):
        fimble_model.load(_checkpoint("opt")[0], device="cpu", dtype="int8", n_threads=1)


def test_a_format_that_nothing_tells_is_refused_by_the_setting_and_taken_from_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "neox"
    write_foreign_checkpoint(folder, states_format=False)
    with pytest.raises(CheckpointError, match=r"model\.fim_family"):
        fimble_model.load(folder, device="cpu", n_threads=1)
    engine = fimble_model.load(
        folder,
        device="cpu",
        n_threads=1,
        stated=Stated(fim_family="fimble", fim_order="psm"),
    )
    assert (engine.model.fim_family, engine.model.fim_orders) == ("fimble", ("psm",))
    with pytest.raises(CheckpointError, match=r"model\.fim_order"):
        fimble_model.load(
            folder,
            device="cpu",
            n_threads=1,
            stated=Stated(fim_family="qwen2.5-coder", fim_order="spm"),
        )


def _bring_code(folder: Path, code: str) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values |= {"model_type": "made-up", "auto_map": {"AutoConfig": code + "made_up.MadeUp"}}
    path.write_text(json.dumps(values), encoding="utf-8")
    (folder / "made_up.py").write_text(
        f"open({str(folder / 'was-run')!r}, 'w').close()\n", encoding="utf-8"
    )


def test_a_models_own_code_runs_for_the_named_model_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    folder = tmp_path / "neox"
    mine = Stated(runs_code_of=(str(folder),))
    write_foreign_checkpoint(folder)
    _bring_code(folder, "")
    for named in ((), ("someone/else",)):
        with pytest.raises(CheckpointError, match=r"model\.remote_code"):
            fimble_model.load(folder, device="cpu", n_threads=1, stated=Stated(runs_code_of=named))
    assert not (folder / "was-run").exists()
    # The code is run, and has no such class: so much is the makers' fault, and said so.
    with pytest.raises(CheckpointError):
        fimble_model.load(folder, device="cpu", n_threads=1, stated=mine)
    assert (folder / "was-run").exists()
    assert "running Python code" in caplog.text


def test_code_of_yet_another_repository_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "neox"
    mine = Stated(runs_code_of=(str(folder),))
    write_foreign_checkpoint(folder)
    _bring_code(folder, "someone/else--")
    with pytest.raises(CheckpointError, match="another repository"):
        fimble_model.load(folder, device="cpu", n_threads=1, stated=mine)


def test_a_missing_weight_is_refused_where_transformers_would_invent_it(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "neox"
    write_foreign_checkpoint(folder)
    weights = load_file(folder / "model.safetensors")
    weights.pop(sorted(weights)[-1])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="missing keys"):
        fimble_model.load(folder, device="cpu", n_threads=1)


def test_an_id_beyond_the_vocabulary_is_refused() -> None:
    engine = _load("opt")
    with pytest.raises(Exception, match="token ids"):
        engine.add(build_request("a", Prompt(token_ids=(TokenId(9999),))))
