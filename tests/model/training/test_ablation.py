"""Laws of comparing recipes: equal tokens, nothing twice, and what each choice changes."""

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from typer.testing import CliRunner

from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training import ablation
from fimble_model.training.ablation import VARIANTS, Variant, ablate, find_variants, load_scores
from fimble_model.training.cli import app
from fimble_model.training.corpus_report import count_languages
from fimble_model.training.documents import Document, pack_documents, write_documents
from fimble_model.training.faults import TrainingError
from fimble_model.training.optimiser import Optimisers, OptimiserSettings
from fimble_model.training.samples import Layout, SampleMaker, SampleShares
from fimble_model.training.tokenizer import cut_vocabulary, train_tokenizer


class _Clock:
    """A clock that stands."""

    def now_ms(self) -> float:
        return 0.0


@pytest.fixture
def documents(texts: list[str]) -> list[Document]:
    return [
        Document(package=f"p{i % 3}", path=f"m{i}.py", text=text * 4)
        for i, text in enumerate(texts)
    ]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tiny_config: NetworkConfig) -> None:
    monkeypatch.setattr(ablation, "_small_network", lambda size: tiny_config)
    monkeypatch.setattr(ablation, "_ROW_TOKENS", 128)
    monkeypatch.setattr(ablation, "_N_FILLED", 20)


def test_variants_see_equal_tokens_and_what_is_measured_is_not_measured_again(
    documents: list[Document], tmp_path: Path
) -> None:
    out = tmp_path / "scores.json"
    variants = [
        Variant(name="one", vocabulary_size=352),
        Variant(name="other", vocabulary_size=352, optimiser=VARIANTS[1].optimiser),
    ]

    def run(count: int) -> list[str]:
        shown: list[str] = []
        ablate(
            variants[:count],
            documents[:30],
            documents[30:],
            out,
            n_steps=8,
            clock=_Clock(),
            on_score=lambda score: shown.append(score.name),
        )
        return shown

    assert run(1) == ["one"]
    (first,) = load_scores(out)
    assert run(2) == ["one", "other"]
    again, other = load_scores(out)
    assert again == first
    assert other.n_tokens == first.n_tokens == 8 * 4 * 128
    assert other.plain_bits != first.plain_bits
    assert min(first.plain_bits, first.spm_bits, first.psm_bits) > 0


def test_each_variant_that_ships_changes_one_choice() -> None:
    usual = find_variants(["as shipped"])[0]
    for variant in VARIANTS[1:]:
        changed = [
            name
            for name in ("optimiser", "shares", "vocabulary_size")
            if getattr(variant, name) != getattr(usual, name)
        ]
        assert len(changed) == 1, variant.name
    with pytest.raises(TrainingError, match="no such"):
        find_variants(["no such"])


def test_adam_alone_moves_every_parameter_once(tiny_config: NetworkConfig) -> None:
    network = Transformer(tiny_config)
    network.initialise(0)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimisers = Optimisers(network, OptimiserSettings(is_adam_only=True, matrix_rate=0.001))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimisers.step(rate_scale=1.0)
    for name, parameter in network.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    assert set(optimisers.state()) == {"adam"}
    optimisers.restore(optimisers.state())


def test_shares_say_how_often_samples_are_of_a_kind(texts: list[str], tokenizer: Tokenizer) -> None:
    def count(shares: SampleShares) -> dict[Layout, int]:
        maker, rng = SampleMaker(tokenizer, shares), random.Random(0)
        made = [maker.make(texts[8], rng, n_tokens=200).layout for _ in range(60)]
        return {layout: made.count(layout) for layout in Layout}

    assert count(SampleShares(plain=1.0))[Layout.PLAIN] == 60
    assert count(SampleShares(plain=0.0, spm=0.0))[Layout.SPM] == 0
    assert count(SampleShares(plain=0.0, spm=1.0))[Layout.PSM] == 0


def test_a_smaller_vocabulary_is_the_start_of_a_larger_one(texts: list[str]) -> None:
    larger = train_tokenizer(texts, vocabulary_size=352)
    smaller = train_tokenizer(texts, vocabulary_size=300)
    cut = cut_vocabulary(larger, 300)
    assert cut.get_vocab() == smaller.get_vocab()
    for text in texts[:5]:
        assert cut.encode(text).ids == smaller.encode(text).ids


def test_the_verb_writes_its_table(documents: list[Document], tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "corpus").mkdir(parents=True)
    pack_documents(documents[:30], work / "fimble-base" / "data", part_bytes=10_000)
    write_documents(documents[30:], work / "corpus" / "held-out.jsonl")
    out = tmp_path / "vocabulary.json"
    command = ["vocabularies", str(out), "--work", str(work), "--size", "300", "--size", "340"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = out.with_suffix(".md").read_text()
    assert "| language | 300 | 340 |" in table
    assert "| python |" in table
    assert "share of the head" in table


def test_the_corpus_is_counted_by_language(texts: list[str], tokenizer: Tokenizer) -> None:
    documents = [
        Document(package=f"p{i % 2}", path=f"m{i}.{'py' if i % 3 else 'go'}", text=text)
        for i, text in enumerate(texts)
    ]
    python, go = count_languages(documents, tokenizer)
    assert (python.language, go.language) == ("python", "go")
    assert python.n_files + go.n_files == len(texts)
    assert python.n_chars + go.n_chars == sum(map(len, texts))
    n_tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
    assert python.n_tokens + go.n_tokens == n_tokens
