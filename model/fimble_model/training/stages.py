"""The stages from sources to a model folder, each resumable, tied together by files.

Owns the working folder's layout and nothing else:

    WORK/corpus/     downloads, raw/NAME.jsonl, fetch.json, train.jsonl, held-out.jsonl, clean.json
    WORK/MODEL/      data/, tokenizer.json, checkpoints/, rescue/, progress.jsonl, export/
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
from tokenizers import Tokenizer

from fimble_model.engine.protocol import Clock
from fimble_model.network.transformer import Transformer
from fimble_model.training.card import CardFacts, build_card, draw_curve, load_progress
from fimble_model.training.cleaning import clean_documents
from fimble_model.training.corpus import FetchedSource, fetch_corpus, load_fetch_report
from fimble_model.training.documents import (
    Document,
    load_documents,
    load_packed,
    pack_documents,
    write_documents,
)
from fimble_model.training.export import export_model
from fimble_model.training.faults import TrainingError
from fimble_model.training.mix import choose_documents
from fimble_model.training.optimiser import OptimiserSettings
from fimble_model.training.pretraining import (
    Progress,
    Trainer,
    TrainingSettings,
    load_kept_weights,
    train,
)
from fimble_model.training.recipes import Recipe
from fimble_model.training.reports import CleanReport, load_clean_report, write_clean_report
from fimble_model.training.row_workers import RowWorkers
from fimble_model.training.rows import RowStream
from fimble_model.training.samples import SampleMaker
from fimble_model.training.scoring import LanguageScore, score_languages, score_network
from fimble_model.training.scrub import load_scrub
from fimble_model.training.sources import Source
from fimble_model.training.storage import write_text_whole
from fimble_model.training.tokenizer import load_tokenizer, train_tokenizer
from fimble_model.training.warm_start import load_float_network, load_starting_weights

__all__ = ["Workshop"]

_TOKENIZER_CHARS = 12_000_000
# What of the corpus folder is read after packing.
_MEASURED_WITH = ("held-out.jsonl", "fetch.json", "clean.json")
# Small enough for hosts and copying that refuse large files.
_PART_BYTES = 15_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The working folder of one recipe; each method is a stage that leaves files there."""

    folder: Path
    recipe: Recipe

    @property
    def corpus_folder(self) -> Path:
        """Shared by all recipes."""
        return self.folder / "corpus"

    @property
    def model_folder(self) -> Path:
        """This recipe's own."""
        return self.folder / self.recipe.name

    @property
    def data_folder(self) -> Path:
        """The packed documents of this recipe."""
        return self.model_folder / "data"

    def fetch(
        self, sources: tuple[Source, ...], *, on_source: Callable[[Source], None]
    ) -> tuple[FetchedSource, ...]:
        """Download the sources whose licence permits it."""
        self.corpus_folder.mkdir(parents=True, exist_ok=True)
        return fetch_corpus(sources, self.corpus_folder, on_source=on_source)

    def clean(
        self,
        benchmark_folders: tuple[Path, ...],
        *,
        package_chars: int,
        on_document: Callable[[], None],
    ) -> CleanReport:
        """Filter what was fetched into `train.jsonl` and `held-out.jsonl`."""
        accepted = [each for each in load_fetch_report(self.corpus_folder) if not each.refused]
        if not accepted:
            raise TrainingError(
                expected=f"fetched sources in {self.corpus_folder}",
                found="none",
                to_do="Run `fimble-train corpus` first.",
            )
        scrub = load_scrub(benchmark_folders)
        # Trained packages come first: a held-out file that nearly repeats one of theirs is the
        # one to go, or the measurement would be of memory.
        accepted.sort(key=lambda fetched: fetched.held_out)
        documents = (d for fetched in accepted for d in self._raw_documents(fetched))
        cleaned = clean_documents(
            documents, scrub=scrub, package_chars=package_chars, on_document=on_document
        )
        held_out_names = {fetched.name for fetched in accepted if fetched.held_out}
        train_set = [d for d in cleaned.documents if d.package not in held_out_names]
        held_out = [d for d in cleaned.documents if d.package in held_out_names]
        write_documents(train_set, self.corpus_folder / "train.jsonl")
        write_documents(held_out, self.corpus_folder / "held-out.jsonl")
        by_package: Counter[str] = Counter()
        for document in cleaned.documents:
            by_package[document.package] += len(document.text)
        report = CleanReport(
            n_train_files=len(train_set),
            n_train_chars=_n_chars(train_set),
            n_held_out_files=len(held_out),
            n_held_out_chars=_n_chars(held_out),
            n_benchmark_grams=scrub.n_grams,
            removed=cleaned.removed,
            changed=cleaned.changed,
            package_chars=dict(by_package),
        )
        write_clean_report(report, self.corpus_folder)
        return report

    def take_tokenizer(self, model_folder: Path) -> Tokenizer:
        """Keep the vocabulary of a model that exists, so that nothing of it is learned twice."""
        tokenizer = load_tokenizer(model_folder / "tokenizer.json")
        self.model_folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(self.model_folder / "tokenizer.json"))
        return tokenizer

    def make_tokenizer(self, *, show_progress: bool, size: int | None = None) -> Tokenizer:
        """Learn a vocabulary, of the recipe's size, from a sample of the training documents."""
        tokenizer = self.learn_vocabulary(
            size or self.recipe.network.vocabulary_size, show_progress=show_progress
        )
        self.model_folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(self.model_folder / "tokenizer.json"))
        return tokenizer

    def learn_vocabulary(self, size: int, *, show_progress: bool = False) -> Tokenizer:
        """A vocabulary of a size, from the same sample for every size; nothing is written."""
        texts = _sample_texts(self.train_texts(), _TOKENIZER_CHARS)
        return train_tokenizer(texts, vocabulary_size=size, show_progress=show_progress)

    def chars_per_token(self, tokenizer: Tokenizer) -> dict[str, float]:
        """What a token of a vocabulary says on held-out text, by language."""
        texts: dict[str, list[str]] = {}
        for document in self.held_out_documents():
            texts.setdefault(document.language, []).append(document.text)
        return {name: _chars_per_token(texts[name], tokenizer) for name in sorted(texts)}

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that was made."""
        return load_tokenizer(self.model_folder / "tokenizer.json")

    def train_texts(self) -> list[str]:
        """The texts to train on."""
        return [each.text for each in self.train_documents()]

    def pack(self, n_chars: int | None = None) -> dict[str, int]:
        """Choose this recipe's mix and pack it in parts; returns characters by language.

        `n_chars` in all, where the sources hold too little for the recipe's mix to keep its
        shares.
        """
        clean = load_documents(self.corpus_folder / "train.jsonl")
        mix = self.recipe.mix
        chosen = choose_documents(clean, mix if n_chars is None else replace(mix, n_chars=n_chars))
        # A packing that is cut short is not taken for a whole one.
        unfinished = self.model_folder / "data-unfinished"
        # What is alike lies together: packed it is smaller, and training shuffles anyway.
        chosen.sort(key=lambda each: (each.language, each.package, each.path))
        pack_documents(chosen, unfinished, part_bytes=_PART_BYTES)
        shutil.rmtree(self.data_folder, ignore_errors=True)
        unfinished.replace(self.data_folder)
        return _count_chars(chosen)

    def data_files(self) -> list[Path]:
        """What training, measuring and the card need on another machine."""
        corpus = [self.corpus_folder / name for name in _MEASURED_WITH]
        files = [*sorted(self.data_folder.glob("*.xz")), self.model_folder / "tokenizer.json"]
        return [*files, *corpus]

    def run_files(self) -> list[Path]:
        """What goes on elsewhere from where a run stands: its weights and its reports."""
        rescued = sorted((self.model_folder / "rescue").glob("*"))
        return [*rescued, self.model_folder / "progress.jsonl"]

    def train_documents(self) -> list[Document]:
        """What this recipe trains on."""
        return list(load_packed(self.data_folder))

    def small_mix(self, n_chars: int) -> list[Document]:
        """A part of what this recipe trains on, in the same shares."""
        mix = replace(self.recipe.mix, n_chars=n_chars, package_chars=n_chars // 40)
        return choose_documents(load_packed(self.data_folder), mix)

    def held_out_documents(self) -> list[Document]:
        """The documents to measure on."""
        return list(load_documents(self.corpus_folder / "held-out.jsonl"))

    def trainer(
        self,
        *,
        time_s: float,
        seed: int,
        compiled: bool,
        start_from: Path | None = None,
        rate_scale: float = 1.0,
        device: str = "cpu",
        n_workers: int = 0,
        n_rows: int | None = None,
    ) -> Trainer:
        """A trainer at the start of its run, from nothing or from a model that exists."""
        _require_device(device)
        tokenizer = self.tokenizer()
        settings = TrainingSettings(
            network=self.recipe.network,
            optimiser=OptimiserSettings().scaled(rate_scale),
            time_s=time_s,
            n_rows=n_rows or self.recipe.n_rows,
            row_tokens=self.recipe.row_tokens,
            seed=seed,
            started_from=None if start_from is None else start_from.name,
            bfloat16=device != "cpu",
        )
        stream = RowStream(
            self.train_documents(),
            SampleMaker(tokenizer),
            n_tokens=self.recipe.row_tokens,
            seed=seed,
        )
        weights = None
        if start_from is not None:
            weights = load_starting_weights(start_from, self.recipe.network, tokenizer)
        return Trainer(
            settings,
            RowWorkers(stream, n_workers=n_workers) if n_workers else stream,
            compiled=compiled,
            device=device,
            starting_weights=weights,
        )

    def train(
        self,
        trainer: Trainer,
        *,
        clock: Clock,
        checkpoint_every_s: float,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train for the run's time, going on from where an earlier call was stopped."""
        train(
            trainer,
            self.model_folder,
            clock=clock,
            checkpoint_every_s=checkpoint_every_s,
            on_progress=on_progress,
            should_stop=should_stop,
        )

    def export(
        self,
        folder: Path,
        *,
        made_on: date,
        n_cases: int,
        compared_with: Path | None = None,
        device: str = "cpu",
    ) -> CardFacts:
        """Measure the newest checkpoint on `device` and write it to `folder` with its card.

        `compared_with` is a model folder that is measured on the same text.
        """
        kept = load_kept_weights(self.model_folder / "checkpoints")
        network = Transformer(self.recipe.network)
        for name, parameter in network.named_parameters():
            parameter.data.copy_(kept.weights[name])
        _require_device(device)
        network.requires_grad_(False).to(device)
        tokenizer = self.tokenizer()
        documents = self.held_out_documents()
        texts = [d.text for d in documents if d.language == "python"] or [d.text for d in documents]
        reports = load_progress(self.model_folder / "progress.jsonl")
        facts = CardFacts(
            recipe=self.recipe,
            n_parameters=sum(parameter.numel() for parameter in network.parameters()),
            made_on=made_on,
            planned_s=kept.planned_s,
            chars_per_token=_chars_per_token(texts, tokenizer),
            sources=load_fetch_report(self.corpus_folder),
            clean=load_clean_report(self.corpus_folder),
            progress=max((r for r in reports if r.n_steps <= kept.n_steps), key=_steps),
            score=score_network(network, tokenizer, texts, n_cases=n_cases),
            languages=score_languages(network, tokenizer, documents),
            train_chars=_count_chars(self.train_documents()),
            baseline_name=None if compared_with is None else compared_with.name,
            baseline=None if compared_with is None else self.score(compared_with),
            started_from=kept.started_from,
            on_gpu=kept.bfloat16,
        )
        export_model(
            kept.weights,
            self.recipe.network,
            tokenizer,
            folder,
            repository_context=self.recipe.states_repository_context,
        )
        draw_curve([r for r in reports if r.n_steps <= kept.n_steps], folder)
        write_text_whole(folder / "MODEL_CARD.md", build_card(facts))
        return facts

    def score(self, model_folder: Path) -> dict[str, LanguageScore]:
        """Bits per character of a model folder on the held-out packages, by language."""
        network = load_float_network(model_folder)
        tokenizer = load_tokenizer(model_folder / "tokenizer.json")
        return score_languages(network, tokenizer, self.held_out_documents())

    def _raw_documents(self, fetched: FetchedSource) -> Iterator[Document]:
        """A package's files in an order of no meaning, so that its share is a fair sample."""
        documents = load_documents(self.corpus_folder / "raw" / f"{fetched.name}.jsonl")
        yield from sorted(documents, key=lambda d: hashlib.sha256(d.path.encode()).digest())


def _require_device(device: str) -> None:
    if device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available()):
        return
    raise TrainingError(
        expected="cpu, or cuda on a machine with a GPU that torch can use",
        found=f"{device!r}",
        to_do="Leave --device out to train on the CPU.",
    )


def _steps(report: Progress) -> int:
    return report.n_steps


def _chars_per_token(texts: list[str], tokenizer: Tokenizer) -> float:
    n_tokens = sum(len(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts)
    return sum(map(len, texts)) / n_tokens


def _count_chars(documents: list[Document]) -> dict[str, int]:
    """Characters by language, the most first."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts[document.language] += len(document.text)
    return dict(counts.most_common())


def _n_chars(documents: list[Document]) -> int:
    return sum(len(document.text) for document in documents)


def _sample_texts(texts: list[str], n_chars: int) -> list[str]:
    """Random texts of about `n_chars` in all, the same ones every time."""
    random.Random(0).shuffle(texts)
    n_taken, sample = 0, []
    for text in texts:
        if n_taken >= n_chars:
            break
        sample.append(text)
        n_taken += len(text)
    return sample
