"""The model card: what a model is, what it learned from, how good it is, and what it is not.

Owns the card's words and the picture of the loss. Facts come in as values; nothing is measured
here and nothing is left out that was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fimble_model.training.corpus import FetchedSource
from fimble_model.training.pretraining import Progress
from fimble_model.training.recipes import Recipe
from fimble_model.training.reports import CleanReport
from fimble_model.training.scoring import LanguageScore, Score

__all__ = ["CardFacts", "build_card", "draw_curve", "load_progress"]

_CURVE_FILE = "loss.png"
_TINY = 15_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """Everything the card says that is not the same for every model."""

    recipe: Recipe
    n_parameters: int
    made_on: date
    planned_s: float
    chars_per_token: float
    sources: tuple[FetchedSource, ...]
    clean: CleanReport
    progress: Progress
    score: Score
    languages: dict[str, LanguageScore]
    train_chars: dict[str, int]
    baseline_name: str | None = None
    baseline: dict[str, LanguageScore] | None = None
    started_from: str | None = None
    on_gpu: bool = False


def load_progress(path: Path) -> list[Progress]:
    """The reports that training left. Where a run was resumed the later report counts.

    Lines that a killed run or a full disk has cut short are passed over.
    """
    rows = [row for line in path.read_text("utf-8").splitlines() if (row := _try_progress(line))]
    return [by_step[1] for by_step in sorted({row.n_steps: row for row in rows}.items())]


def _try_progress(line: str) -> Progress | None:
    try:
        return Progress(**json.loads(line))
    except (ValueError, TypeError):
        return None


def draw_curve(progress: Sequence[Progress], folder: Path) -> None:
    """Write the loss over the tokens seen as a small picture beside the card."""
    figure = Figure(figsize=(6, 3), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([p.n_tokens / 1e6 for p in progress], [p.loss for p in progress], linewidth=0.8)
    axes.set_xlabel("million tokens")
    axes.set_ylabel("training loss (nats a token)")
    axes.grid(alpha=0.3)
    figure.savefig(folder / _CURVE_FILE, metadata={"Software": None})


def build_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    return (
        "\n\n".join(
            [
                f"# {facts.recipe.name}",
                _summary(facts),
                "## Scores",
                _scores(facts),
                "## How it was trained",
                _training(facts),
                "## What it learned from",
                _sources(facts),
                "## What was filtered",
                _filters(facts.clean),
                "## Weaknesses",
                _weaknesses(facts),
            ]
        ).replace("\n\n\n", "\n\n")
        + "\n"
    )


def _summary(facts: CardFacts) -> str:
    network = facts.recipe.network
    return (
        f"The small code-completion model that ships with Fimble: {facts.n_parameters:,} "
        f"parameters, for one job: to fill in the middle.\n\n"
        f"- Shape: Qwen3 ({network.n_layers} layers, width {network.width}, "
        f"{network.n_query_heads} query and {network.n_key_heads} key heads of "
        f"{network.head_size}, feed-forward {network.feed_forward_width}, tied embeddings, "
        f"vocabulary {network.vocabulary_size:,}); stored as float16.\n"
        f"- Context: {facts.recipe.row_tokens:,} tokens, trained at full length; about "
        f"{facts.chars_per_token:.2f} characters a token on held-out code.\n"
        f"- Format: the Qwen strings. Preferred order SPM, "
        "`<|fim_prefix|><|fim_suffix|>S<|fim_middle|>P`, then the middle and `<|endoftext|>`; "
        "PSM, `<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>`, was trained too.\n"
        f"- Licence: Apache-2.0. Made on {facts.made_on.isoformat()} with `fimble-train`."
    )


def _scores(facts: CardFacts) -> str:
    score = facts.score
    held_out = ", ".join(s.name for s in facts.sources if s.held_out and not s.refused)
    of_what = " of Python" if "python" in facts.train_chars else ""
    return (
        f"Measured on {facts.made_on.isoformat()}, in float32, the network alone: no project "
        "memory, no token healing. Held-out packages, "
        f"never trained on: {held_out}.\n\n"
        "| measure | value |\n|---|---|\n"
        f"| bits per character, left to right ({score.n_chars:,} characters{of_what}) | "
        f"{score.bits_per_char:.3f} |\n"
        f"| the same text packed by `xz -9`, for scale | {score.xz_bits_per_char:.3f} |\n"
        f"| cursor to end of line, greedy, exact ({score.n_cases} cases) | "
        f"{score.line_end_share:.1%} |\n"
        f"| whole line, greedy, exact ({score.n_cases} cases) | {score.whole_line_share:.1%} |"
        "\n\n" + _languages(facts)
    )


def _languages(facts: CardFacts) -> str:
    """Bits per character by language, beside those of the model it is compared with."""
    baseline = facts.baseline or {}
    head = "| language | held-out characters | bits per character |"
    rule = "|---|---|---|"
    if baseline:
        head, rule = f"{head} {facts.baseline_name} on the same text |", f"{rule}---|"
    rows = []
    for language, score in facts.languages.items():
        row = f"| {language} | {score.n_chars:,} | {score.bits_per_char:.3f} |"
        if baseline:
            other = baseline.get(language)
            row += f" {other.bits_per_char:.3f} |" if other else " |"
        rows.append(row)
    return "\n".join([head, rule, *rows])


def _training(facts: CardFacts) -> str:
    progress = facts.progress
    finished = progress.elapsed_s >= facts.planned_s * 0.99
    state = "" if finished else " **This is a snapshot of a run that was still going on.**"
    if facts.started_from is not None:
        state += (
            f" **It did not start from nothing:** the weights of an earlier {facts.started_from} "
            "were taken over, and what that one had learned from counts too; the figures here are "
            "of this run alone."
        )
    where = (
        "on one GPU, products in bfloat16 and all else in float32"
        if facts.on_gpu
        else "on CPU cores that did other work too, in float32"
    )
    return (
        f"{progress.n_tokens / 1e6:.1f} million tokens in {progress.n_steps:,} steps of "
        f"{progress.n_tokens // progress.n_steps:,}, {progress.elapsed_s / 60:.0f} minutes "
        f"{where}.{state} Last training loss "
        f"{progress.loss:.3f} nats a token. Muon for the layers' matrices, AdamW for embeddings "
        "and norms; warm-up 1 %, then constant, the last 40 % of the time linearly to zero; the "
        "weights of the last tenth averaged. Samples: 20 % plain text, 80 % fill-in-the-middle "
        "(70 % of them SPM); half of the middles are syntax nodes, a fifth run from the cursor to "
        f"the end of the line, the rest are random spans.\n\n![training loss]({_CURVE_FILE})"
    )


def _sources(facts: CardFacts) -> str:
    used = [source for source in facts.sources if facts.clean.package_chars.get(source.name)]
    lines = [
        f"| {s.name} | {s.version} | {s.licence} | "
        f"{facts.clean.package_chars[s.name] / 1000:,.0f} | "
        f"{'held out' if s.held_out else 'trained on'} |"
        for s in used
    ]
    n_chars = sum(facts.train_chars.values())
    languages = ", ".join(
        f"{language} {count / n_chars:.1%}" for language, count in facts.train_chars.items()
    )
    return (
        f"{n_chars / 1e6:.1f} million characters were chosen for this model: {languages}.\n\n"
        f"They come from a corpus of {len(used)} packages, {facts.clean.n_train_files:,} files and "
        f"{facts.clean.n_train_chars / 1e6:.1f} million characters. Each licence is "
        "the one in the package's own metadata, checked before any file was read; of Debian's "
        "packages only the files that their copyright file puts under a permissive licence. "
        "Vendored folders are left out, and no package gives more than a fixed share.\n\n"
        "| package | version | licence | thousand characters | use |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
    )


def _filters(clean: CleanReport) -> str:
    removed = sorted(clean.removed.items(), key=lambda item: -item[1])
    changed = sorted(clean.changed.items(), key=lambda item: -item[1])
    scrub = (
        f"Contamination check: every file that shares 13 words in a row with a benchmark file "
        f"({clean.n_benchmark_grams:,} different 13-grams) was removed, from both sets."
        if clean.n_benchmark_grams
        else "Contamination check: none; no benchmark files were given."
    )
    rows = [f"| removed: {reason} | {n_files:,} |" for reason, n_files in removed]
    rows += [f"| changed: {change} | {n_files:,} |" for change, n_files in changed]
    return "| filter | files |\n|---|---|\n" + "\n".join(rows) + f"\n\n{scrub}"


def _weaknesses(facts: CardFacts) -> str:
    return (
        f"- It is {'tiny' if facts.n_parameters < _TINY else 'small'} and saw little: it knows "
        "the languages' shapes and common idioms, not their libraries. It is often wrong, so its "
        "confidence must be heeded.\n"
        "- It is better in the languages that it saw most of; see the shares above. In those it "
        "never saw it guesses from punctuation and indentation.\n"
        f"- Beyond {facts.recipe.row_tokens:,} tokens it was never trained.\n"
        "- What other files in the prompt are worth to it was not measured.\n"
        "- It may repeat short pieces of its training packages word for word."
    )
