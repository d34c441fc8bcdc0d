"""Laws of training: interrupted equals uninterrupted, and broken checkpoints are passed over."""

import errno
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from fimble_model.errors import CheckpointError
from fimble_model.network.config import NetworkConfig
from fimble_model.training.card import load_progress
from fimble_model.training.checkpoint import (
    load_checkpoint,
    load_latest_checkpoint,
    write_checkpoint,
)
from fimble_model.training.documents import Document
from fimble_model.training.dry_run import measure_steps
from fimble_model.training.faults import TrainingError
from fimble_model.training.interrupts import told_to_stop
from fimble_model.training.optimiser import orthogonalise
from fimble_model.training.pretraining import (
    Progress,
    Trainer,
    TrainingSettings,
    load_kept_weights,
    train,
)
from fimble_model.training.rescue import load_rescue
from fimble_model.training.row_workers import RowWorkers
from fimble_model.training.rows import RowStream
from fimble_model.training.samples import SampleMaker
from fimble_model.training.schedule import rate_scale_at


class _StepClock:
    """Each step takes 1 s, whatever it takes: the clock is read twice a step."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        self._now_ms += 1000.0
        return self._now_ms


class _Interrupted(Exception):
    """What stands for the power cut."""


def _trainer(
    texts: list[str], tokenizer: Tokenizer, config: NetworkConfig, *, time_s: float = 24.0
) -> Trainer:
    settings = TrainingSettings(network=config, time_s=time_s, n_rows=1, row_tokens=128, seed=7)
    return Trainer(settings, _stream(texts, tokenizer))


def _stream(texts: list[str], tokenizer: Tokenizer) -> RowStream:
    documents = [
        Document(package="thing", path=f"m{index}.py", text=text)
        for index, text in enumerate(texts)
    ]
    return RowStream(documents, SampleMaker(tokenizer), n_tokens=128, seed=7)


def _train(trainer: Trainer, folder: Path, *, stop_after: int | None = None) -> list[Progress]:
    folder.mkdir(exist_ok=True)
    reports: list[Progress] = []

    def on_progress(progress: Progress) -> None:
        reports.append(progress)
        if stop_after is not None and progress.n_steps >= stop_after:
            raise _Interrupted

    train(trainer, folder, clock=_StepClock(), checkpoint_every_s=5.0, on_progress=on_progress)
    return reports


def _weights(trainer: Trainer) -> dict[str, Tensor]:
    return dict(trainer.network.named_parameters())


def test_interrupted_and_resumed_equals_uninterrupted(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    straight = _trainer(texts, tokenizer, tiny_config)
    _train(straight, tmp_path / "straight")
    with pytest.raises(_Interrupted):
        _train(_trainer(texts, tokenizer, tiny_config), tmp_path / "cut", stop_after=20)
    resumed = _trainer(texts, tokenizer, tiny_config)
    _train(resumed, tmp_path / "cut")
    assert resumed.n_steps == straight.n_steps == 24
    for name, weight in _weights(straight).items():
        torch.testing.assert_close(_weights(resumed)[name], weight, rtol=0, atol=0)
    kept = [load_kept_weights(tmp_path / run / "checkpoints") for run in ("straight", "cut")]
    for name, weight in kept[0].weights.items():
        torch.testing.assert_close(kept[1].weights[name], weight, rtol=0, atol=0)


def test_a_checkpoint_from_before_networks_had_more_choices_is_of_the_same_run(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig
) -> None:
    trainer = _trainer(texts, tokenizer, tiny_config)
    state = trainer.state()
    settings = json.loads(str(state["settings"]))
    for name in ("activation", "experts", "full_layers"):
        del settings["network"][name]
    trainer.restore(state | {"settings": json.dumps(settings)})
    settings["network"]["rope_theta"] = 5.0
    with pytest.raises(TrainingError, match="settings"):
        trainer.restore(state | {"settings": json.dumps(settings)})


def test_training_lowers_the_loss(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    reports = _train(_trainer(texts, tokenizer, tiny_config, time_s=40.0), tmp_path)
    assert reports[-1].loss < reports[0].loss - 0.5
    assert reports[-1].n_tokens == 40 * 128


def test_the_kept_weights_are_an_average_over_the_last_tenth(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    trainer = _trainer(texts, tokenizer, tiny_config)
    _train(trainer, tmp_path)
    kept = load_kept_weights(tmp_path / "checkpoints").weights["layers.0.qkv.weight"]
    last = _weights(trainer)["layers.0.qkv.weight"].detach()
    assert 0 < float((kept - last).abs().max()) < 0.01


def test_a_truncated_checkpoint_is_a_clear_error_and_the_one_before_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = write_checkpoint({"n": 1, "t": torch.ones(99)}, tmp_path, n_steps=1)
    newer = write_checkpoint({"n": 2, "t": torch.ones(99)}, tmp_path, n_steps=2)
    newer.write_bytes(newer.read_bytes()[:300])
    with pytest.raises(CheckpointError, match="whole training checkpoint"):
        load_checkpoint(newer)
    state = load_latest_checkpoint(tmp_path)
    assert state is not None
    assert state["n"] == 1
    assert "damaged" in caplog.text
    older.write_bytes(b"")
    with pytest.raises(CheckpointError):
        load_latest_checkpoint(tmp_path)


def test_only_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for n_steps in range(1, 5):
        write_checkpoint({"n": n_steps}, tmp_path, n_steps=n_steps)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-00000003.pt",
        "step-00000004.pt",
    ]


def test_a_folder_without_checkpoints_starts_from_nothing(tmp_path: Path) -> None:
    assert load_latest_checkpoint(tmp_path) is None
    with pytest.raises(TrainingError, match="fimble-train train"):
        load_kept_weights(tmp_path)


def test_a_checkpoint_of_another_run_is_refused(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig
) -> None:
    state = _trainer(texts, tokenizer, tiny_config).state()
    other = _trainer(texts, tokenizer, tiny_config)
    other.settings = replace(other.settings, seed=8)
    with pytest.raises(TrainingError, match="settings"):
        other.restore(state)


def test_a_run_that_is_over_and_given_more_time_goes_on(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    short = _trainer(texts, tokenizer, tiny_config)
    _train(short, tmp_path)
    longer = _trainer(texts, tokenizer, tiny_config, time_s=48.0)
    state = load_latest_checkpoint(tmp_path / "checkpoints")
    assert state is not None
    longer.restore(state)
    assert longer.share == 0.5
    assert torch.equal(
        _weights(longer)["layers.0.qkv.weight"], _weights(short)["layers.0.qkv.weight"]
    )
    # The rates are up again, and what was averaged is of the past.
    assert rate_scale_at(longer.share) == 1.0
    assert longer.state()["n_averaged"] == 0
    _train(longer, tmp_path)
    assert longer.n_steps == 48
    assert longer.state()["next_row"] == 48


def test_a_run_that_is_told_to_stop_leaves_a_checkpoint_and_goes_on_where_it_stood(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    straight = _trainer(texts, tokenizer, tiny_config)
    _train(straight, tmp_path / "straight")
    cut = tmp_path / "cut"
    cut.mkdir()
    stopped = _trainer(texts, tokenizer, tiny_config)
    with told_to_stop(_StepClock()) as should_stop:

        def on_progress(progress: Progress) -> None:
            signal.raise_signal(signal.SIGTERM)

        train(
            stopped,
            cut,
            clock=_StepClock(),
            checkpoint_every_s=1e9,
            on_progress=on_progress,
            should_stop=should_stop,
        )
    assert stopped.n_steps == 20
    resumed = _trainer(texts, tokenizer, tiny_config)
    _train(resumed, cut)
    for name, weight in _weights(straight).items():
        assert torch.equal(_weights(resumed)[name], weight), name


def test_a_call_that_has_its_own_time_is_over_with_it() -> None:
    usual = signal.getsignal(signal.SIGTERM)
    with told_to_stop(_StepClock(), after_s=3.0) as should_stop:
        assert [should_stop() for _ in range(4)] == [False, False, True, True]
        assert signal.getsignal(signal.SIGTERM) is not usual
    assert signal.getsignal(signal.SIGTERM) is usual


def test_what_is_rescued_is_small_and_goes_on_at_the_same_place(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    with pytest.raises(_Interrupted):
        _train(_trainer(texts, tokenizer, tiny_config), tmp_path, stop_after=20)
    whole = load_latest_checkpoint(tmp_path / "checkpoints")
    rescued = load_rescue(tmp_path / "rescue")
    assert whole is not None
    assert rescued is not None
    assert {k: rescued[k] for k in ("n_steps", "elapsed_s", "next_row")} == {
        k: whole[k] for k in ("n_steps", "elapsed_s", "next_row")
    }
    n_bytes = [
        sum(path.stat().st_size for path in (tmp_path / name).iterdir())
        for name in ("rescue", "checkpoints")
    ]
    assert n_bytes[0] < n_bytes[1] / 3
    shutil.rmtree(tmp_path / "checkpoints")
    resumed = _trainer(texts, tokenizer, tiny_config)
    resumed.restore(rescued)
    network = whole["network"]
    assert isinstance(network, dict)
    for name, weight in _weights(resumed).items():
        torch.testing.assert_close(weight.detach(), network[name], rtol=1e-3, atol=1e-6)
    reports = _train(resumed, tmp_path)
    assert (reports[-1].n_steps, resumed.n_steps) == (24, 24)


def test_a_damaged_rescue_is_a_clear_error(tmp_path: Path) -> None:
    assert load_rescue(tmp_path) is None
    (tmp_path / "run.json").write_text('{"n_steps": ')
    with pytest.raises(CheckpointError, match="rescued run"):
        load_rescue(tmp_path)


def test_the_rates_rise_stand_and_fall_to_zero() -> None:
    scales = [rate_scale_at(share / 1000) for share in range(1001)]
    assert scales[0] == 0.0
    assert set(scales[10:600]) == {1.0}
    assert scales[600:] == sorted(scales[600:], reverse=True)
    assert scales[-1] == 0.0


def test_orthogonalise_brings_all_singular_values_near_one() -> None:
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    for stack in (matrices, matrices.mT):
        singular = torch.linalg.svdvals(orthogonalise(stack))
        assert float(singular.min()) > 0.5
        assert float(singular.max()) < 1.3


def test_bfloat16_products_give_nearly_the_same_loss(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig
) -> None:
    exact = _trainer(texts, tokenizer, tiny_config)
    rounded = Trainer(replace(exact.settings, bfloat16=True), _stream(texts, tokenizer))
    for _ in range(3):
        assert rounded.step()[0] == pytest.approx(exact.step()[0], rel=0.01)
    assert {p.dtype for p in rounded.network.parameters()} == {torch.float32}


def test_workers_make_the_rows_that_one_process_would(
    texts: list[str], tokenizer: Tokenizer
) -> None:
    expected = _stream(texts, tokenizer)
    workers = RowWorkers(_stream(texts, tokenizer), n_workers=2)
    try:
        assert [workers.next_row() for _ in range(10)] == [expected.next_row() for _ in range(10)]
        workers.next_index = expected.next_index = 3
        assert [workers.next_row() for _ in range(6)] == [expected.next_row() for _ in range(6)]
    finally:
        workers.close()


def test_a_dry_run_measures_and_reaches_as_far_as_the_time(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig
) -> None:
    dry_run = measure_steps(_trainer(texts, tokenizer, tiny_config), _StepClock(), n_steps=4)
    # Four steps of 128 tokens take 1 s by that clock; the run is planned for 24 s.
    assert dry_run.tokens_per_s == 4 * 128
    assert dry_run.planned_tokens == 24 * 4 * 128
    assert dry_run.n_parameters == tiny_config.n_parameters


def test_a_killed_run_leaves_half_a_file_and_half_a_line_and_goes_on(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    straight = _trainer(texts, tokenizer, tiny_config)
    _train(straight, tmp_path / "straight")
    cut = tmp_path / "cut"
    with pytest.raises(_Interrupted):
        _train(_trainer(texts, tokenizer, tiny_config), cut, stop_after=20)
    (cut / "checkpoints/step-00000021.pt.part").write_bytes(b"PK half")
    with (cut / "progress.jsonl").open("a") as file:
        file.write('{"n_steps": 21, "n_tok')
    resumed = _trainer(texts, tokenizer, tiny_config)
    _train(resumed, cut)
    for name, weight in _weights(straight).items():
        assert torch.equal(_weights(resumed)[name], weight), name
    whole = load_progress(tmp_path / "straight/progress.jsonl")
    # The half line and what was written behind it are one line that says nothing.
    assert [row.n_steps for row in load_progress(cut / "progress.jsonl")] == [20]
    assert [row.n_steps for row in whole] == [20, 24]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_under_the_reports_is_a_clear_error_and_nothing_is_lost(
    texts: list[str], tokenizer: Tokenizer, tiny_config: NetworkConfig, tmp_path: Path
) -> None:
    (tmp_path / "progress.jsonl").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="No space left"):
        _train(_trainer(texts, tokenizer, tiny_config), tmp_path)
    (tmp_path / "progress.jsonl").unlink()
    resumed = _trainer(texts, tokenizer, tiny_config)
    _train(resumed, tmp_path)
    assert resumed.n_steps == 24


def test_a_full_disk_leaves_the_checkpoint_before_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint({"n": 1}, tmp_path, n_steps=1)

    def fill_up(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fill_up)
    with pytest.raises(TrainingError, match="No space left"):
        write_checkpoint({"n": 2}, tmp_path, n_steps=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    state = load_latest_checkpoint(tmp_path)
    assert state is not None
    assert state["n"] == 1
