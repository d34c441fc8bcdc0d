"""Laws of warm starts, tuning and planning."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from typer.testing import CliRunner

from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.cli import app
from fimble_model.training.documents import Document
from fimble_model.training.export import export_model
from fimble_model.training.faults import TrainingError
from fimble_model.training.own_code import read_own_code
from fimble_model.training.planning import (
    SIZES,
    Hardware,
    optimal_parameters,
    plan_size,
    plan_sizes,
)
from fimble_model.training.pretraining import Progress
from fimble_model.training.scoring import score_languages
from fimble_model.training.tokenizer import train_tokenizer
from fimble_model.training.tuning import Tuned, tune
from fimble_model.training.warm_start import load_starting_weights, transplant_embedding


@pytest.fixture
def model(tiny_config: NetworkConfig, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    network = Transformer(tiny_config)
    network.initialise(1)
    export_model(dict(network.named_parameters()), tiny_config, tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def repository(texts: list[str], tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "hook.py").write_text(texts[0])
    (folder / "secret_keys.py").write_text(texts[1])
    (folder / "broken.py").write_bytes(b"\xff\xfe\x00")
    for index, text in enumerate(texts[2:20]):
        (folder / f"module_{index}.py").write_text(text)
    (folder / "link.py").symlink_to(folder / "module_1.py")
    return folder


def test_a_vocabulary_both_have_keeps_its_rows_and_new_words_are_the_mean_of_their_pieces(
    tokenizer: Tokenizer, texts: list[str]
) -> None:
    larger = train_tokenizer([*texts, "fn main() { println!(42); }\n" * 50], vocabulary_size=372)
    generator = torch.Generator().manual_seed(0)
    old_VE = torch.randn(tokenizer.get_vocab_size(), 8, generator=generator)
    new_VE = transplant_embedding(old_VE, tokenizer, larger)
    n_new = 0
    for written, token_id in larger.get_vocab().items():
        same = tokenizer.token_to_id(written)
        if same is not None:
            assert torch.equal(new_VE[token_id], old_VE[same])
            continue
        n_new += 1
        pieces = tokenizer.encode(larger.decode([token_id])).ids
        assert torch.allclose(new_VE[token_id], old_VE[pieces].mean(dim=0))
    assert n_new > 0


def test_starting_weights_are_the_models_own(
    model: Path, tiny_config: NetworkConfig, tokenizer: Tokenizer
) -> None:
    weights = load_starting_weights(model, tiny_config, tokenizer)
    expected = Transformer(tiny_config)
    expected.initialise(1)
    for name, parameter in expected.named_parameters():
        assert torch.allclose(weights[name], parameter, atol=1e-3), name


def test_a_model_of_another_shape_is_refused_as_a_start(
    model: Path, tiny_config: NetworkConfig, tokenizer: Tokenizer
) -> None:
    with pytest.raises(TrainingError, match="1 layers"):
        load_starting_weights(model, replace(tiny_config, n_layers=1), tokenizer)


def test_own_code_is_cleaned_and_the_same_files_are_held_out_each_time(repository: Path) -> None:
    own = read_own_code(repository)
    paths = {each.path for each in (*own.train, *own.held_out)}
    assert len(own.held_out) == 2
    assert own.removed == {"not UTF-8": 1}
    assert paths == {f"module_{index}.py" for index in range(18)}
    assert read_own_code(repository) == own


@pytest.mark.parametrize("missing", [True, False])
def test_too_little_code_is_a_clear_error(missing: bool, tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        read_own_code(tmp_path / "nowhere" if missing else tmp_path)


class _StepClock:
    """Each reading is a second later."""

    def __init__(self) -> None:
        self._now_ms = 0.0

    def now_ms(self) -> float:
        self._now_ms += 1000.0
        return self._now_ms


def test_tuning_lowers_the_bits_on_held_out_files_and_goes_on_where_it_was_stopped(
    model: Path, repository: Path, tmp_path: Path
) -> None:
    own, reports = read_own_code(repository), list[Progress]()

    def run(out: str, work: str) -> Tuned:
        return tune(
            model,
            own,
            own.train,
            tmp_path / work,
            tmp_path / out,
            time_s=30.0,
            clock=_StepClock(),
            on_progress=reports.append,
        )

    tuned = run("one", "work")
    assert tuned.after["python"].bits_per_char < tuned.before["python"].bits_per_char - 0.05
    assert 0 < tuned.n_general_chars <= 0.25 * tuned.n_chars
    n_reports = len(reports)
    # All was done: a second call only measures again.
    assert run("two", "work") == tuned
    assert len(reports) == n_reports
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    statements = [
        json.loads((folder / "config.json").read_text())["fimble"].get("repository_context")
        for folder in (model, tmp_path / "one")
    ]
    assert statements[0] == statements[1]


def test_tune_shows_before_and_after(model: Path, repository: Path, tmp_path: Path) -> None:
    options = ["--base", str(model), "--work", str(tmp_path / "work"), "--threads", "1"]
    command = ["tune", str(repository), *options, "--minutes", "0.01"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for word in ("before", "after", "python", "export"):
        assert word in result.output


def test_languages_are_scored_apart_and_too_little_text_is_not_scored(
    tiny_config: NetworkConfig, tokenizer: Tokenizer, texts: list[str]
) -> None:
    network = Transformer(tiny_config)
    network.initialise(2)
    network.requires_grad_(False)
    documents = [
        *(Document(package="a", path=f"{i}.py", text=text) for i, text in enumerate(texts)),
        *(Document(package="a", path=f"{i}.go", text=text[:900]) for i, text in enumerate(texts)),
        Document(package="a", path="a.rs", text="fn f() {}"),
    ]
    scores = score_languages(network, tokenizer, documents, n_chars=5000)
    assert set(scores) == {"python", "go"}
    assert scores["python"].n_chars == 5000
    assert score_languages(network, tokenizer, documents, n_chars=5000) == scores


MACHINE = Hardware(
    training_flops=1e11, serving_flops=2e11, serving_bytes_per_s=1e10, serving_bytes=1e8
)


def test_the_optimal_size_uses_the_whole_time_at_twenty_tokens_a_parameter() -> None:
    n_parameters = optimal_parameters(1e11, 3600)
    assert 6 * n_parameters * 20 * n_parameters == pytest.approx(1e11 * 3600)


def test_a_larger_size_sees_fewer_tokens_and_costs_more_to_serve() -> None:
    plans = plan_sizes(MACHINE, 3600)
    for small, large in itertools.pairwise(plans):
        assert small.n_parameters < large.n_parameters
        assert small.train_tokens > large.train_tokens
        assert small.decode_ms_per_token < large.decode_ms_per_token
        assert small.serving_bytes["int8"] < large.serving_bytes["int8"]
        assert small.training_bytes < large.training_bytes
    assert plans[0].fits
    assert not plans[-1].fits


def test_ten_times_the_time_is_ten_times_the_share_of_the_optimum() -> None:
    name, network = SIZES[0]
    short, long = (plan_size(name, network, MACHINE, time_s) for time_s in (600, 6000))
    assert long.optimum_share == pytest.approx(10 * short.optimum_share)
    assert long.expected_loss < short.expected_loss


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--work", str(tmp_path), "--device", "cuda"])
    assert isinstance(result.exception, TrainingError)
    assert "GPU" in str(result.exception)


def test_plan_shows_a_table_and_leaves_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "plan.png"
    command = ["plan", "--tflops", "300", "--minutes", "20", "--picture", str(picture)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "fimble-base" in result.output
    assert "compute-optimal" in result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
