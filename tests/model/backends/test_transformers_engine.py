"""Networks that only transformers runs, behind our engine: the same tokens, and the same laws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import torch

import fimble_model
from fimble_model import Stated
from fimble_model.backends.transformers_runner import TransformersRunner
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
from fimble_testing.clocks import ManualClock
from fimble_testing.foreign_checkpoints import (
    CARRIED,
    FOREIGN_FAMILIES,
    write_foreign_checkpoint,
)
from fimble_testing.tiny_engines import build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

CROPPED = tuple(family for family in FOREIGN_FAMILIES if family not in CARRIED)


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


@pytest.mark.parametrize("family", CARRIED)
def test_a_state_that_cannot_be_cropped_is_carried_on_or_computed_anew(family: str) -> None:
    """Typed on, gone back, accepted whole: the tokens are those of an engine without a past."""
    warm = _load(family)
    held_bytes = []
    for index, n_chars in enumerate((300, 301, 290, 302)):
        request = build_request(f"{index}", _prompt(warm, n_chars), max_new_tokens=12)
        found, fresh = run_alone(warm, request), run_alone(_load(family), request)
        assert [each.token_id for each in found.tokens] == [each.token_id for each in fresh.tokens]
        held_bytes.append(warm.holdings.cache_bytes)
    prompt = _plain(warm, 300)
    first = run_alone(warm, build_request("first", prompt, max_new_tokens=12))
    accepted = Prompt(
        token_ids=(*prompt.token_ids, *(each.token_id for each in first.tokens), TokenId(40))
    )
    request = build_request("accepted", accepted, max_new_tokens=12)
    found, fresh = run_alone(warm, request), run_alone(_load(family), request)
    assert [each.token_id for each in found.tokens] == [each.token_id for each in fresh.tokens]
    # Its last token was drawn, and not read yet.
    assert found.n_reused_tokens == len(accepted.token_ids) - 2
    assert all(0 < n_bytes <= warm.holdings.cache_limit_bytes for n_bytes in held_bytes)


@pytest.mark.parametrize("family", CARRIED)
def test_a_carried_state_reads_each_token_once(family: str) -> None:
    """Else every token of an answer would cost what the whole prompt does."""
    engine = _load(family)
    read: list[int] = []
    runner = engine._passes.runner
    assert isinstance(runner, TransformersRunner)
    call = runner._call

    def count(
        token_ids: Sequence[TokenId], past: object, n_loud: int
    ) -> tuple[torch.Tensor, object]:
        read.append(len(token_ids))
        return call(token_ids, past, n_loud)

    runner._call = count  # type: ignore[method-assign]  # it is only watched
    prompt = _plain(engine, 300)
    finish = run_alone(engine, build_request("a", prompt, max_new_tokens=20))
    assert sum(read) == len(prompt.token_ids) + len(finish.tokens) - 1


@pytest.mark.parametrize("family", ["gpt_neox", "gemma2", "falcon_h1"])
def test_two_clients_at_once_get_what_each_gets_alone(family: str) -> None:
    """Their rows share steps, stream piece by piece, and one's cancelling leaves the other's be."""
    engine = _load(family)
    requests = [
        replace(
            build_request(f"{client} {n_chars}", _prompt(engine, n_chars), max_new_tokens=16),
            client=client,
        )
        for client in ("one", "two")
        for n_chars in (200, 320)
    ]
    goes = replace(build_request("goes", _prompt(engine, 250)), client="two")
    for request in (*requests, goes):
        engine.add(request)
    deltas = engine.step()
    engine.cancel(goes.request_id)
    while engine.has_work:
        deltas += engine.step()
    for request in requests:
        of_row = [delta for delta in deltas if delta.request_id == request.request_id]
        alone = run_alone(_load(family, speculates=False), request)
        assert "".join(delta.text for delta in of_row) == alone.text
        assert len(of_row) > 1
    (gone,) = [delta.finish for delta in deltas if delta.request_id == "goes" and delta.finish]
    assert gone.reason is FinishReason.CANCELLED
    assert engine.n_rows_in_use == 0


def test_a_deadline_and_the_other_calls_of_the_protocol(tmp_path: Path) -> None:
    clock = ManualClock()
    engine = fimble_model.load(
        _checkpoint("gpt_neox")[0], device="cpu", n_threads=1, clock=clock, cache_bytes=2**20
    )
    engine.remember("scope", "key", "total = left + right\n" * 20)
    engine.take_stored("scope", [])
    engine.forget("scope", "key")
    engine.forget("scope")
    engine.cancel(RequestId("unknown"))
    assert engine.step() == []
    late = replace(
        build_request("late", _prompt(engine, 300), max_new_tokens=40),
        deadline_ms=clock.now_ms() + 50,
    )
    engine.add(late)
    while not engine.step():
        pass
    clock.advance(60)
    (delta,) = engine.step()
    assert delta.finish is not None
    assert delta.finish.reason is FinishReason.DEADLINE
    assert delta.finish.tokens
    assert engine.work.n_passes > 0
    holdings = engine.holdings
    assert holdings.weight_bytes > 0
    assert 0 < holdings.cache_bytes <= holdings.cache_limit_bytes == 2**20


@pytest.mark.parametrize(
    ("family", "n_context"), [("llama, longrope", 400), ("falcon, alibi", 512), ("gemma2", 512)]
)
def test_what_our_own_network_lacks_goes_through_transformers_by_itself(
    family: str, n_context: int
) -> None:
    """Families that are ours, with positions that are not; longrope as far as its keys hold."""
    model = _load(family).model
    assert model.back_end is BackEnd.TRANSFORMERS
    assert model.context_tokens == n_context


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
