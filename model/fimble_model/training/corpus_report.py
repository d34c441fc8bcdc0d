"""What a packed corpus holds: packages, characters and tokens by language, and what was filtered.

Owns the counting and the table. Tokens are counted on a sample of each language, for the whole
would take minutes and say the same.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from tokenizers import Tokenizer

from fimble_model.training.bars import console
from fimble_model.training.corpus import FetchedSource, load_fetch_report
from fimble_model.training.documents import Document, load_packed
from fimble_model.training.options import RecipeOption, WorkOption
from fimble_model.training.recipes import find_recipe
from fimble_model.training.reports import CleanReport, load_clean_report
from fimble_model.training.stages import Workshop
from fimble_model.training.storage import write_text_whole

__all__ = ["LanguageCount", "count_languages", "report_corpus"]

_SAMPLE_CHARS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageCount:
    """One language of the mix. `n_tokens` is scaled up from a sample."""

    language: str
    n_packages: int
    n_files: int
    n_chars: int
    n_tokens: int


def count_languages(documents: list[Document], tokenizer: Tokenizer) -> list[LanguageCount]:
    """Every language, the one with the most characters first."""
    by_language: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        by_language[document.language].append(document)
    counts = []
    for language, own in by_language.items():
        n_chars = sum(len(each.text) for each in own)
        share = max(n_chars // _SAMPLE_CHARS, 1)
        sample = [each.text for each in own[::share]]
        encoded = tokenizer.encode_batch(sample, add_special_tokens=False)
        n_tokens = sum(len(each.ids) for each in encoded)
        counts.append(
            LanguageCount(
                language=language,
                n_packages=len({each.package for each in own}),
                n_files=len(own),
                n_chars=n_chars,
                n_tokens=round(n_tokens * n_chars / sum(map(len, sample))),
            )
        )
    return sorted(counts, key=lambda count: -count.n_chars)


def report_corpus(
    out: Annotated[Path, typer.Argument(help="JSON file to write; a .md is written beside it.")],
    work: WorkOption = Path("runs"),
    model: RecipeOption = "fimble-base",
) -> None:
    """Say what the packed corpus holds: tokens by language, licences, what filters removed."""
    workshop = Workshop(folder=work, recipe=find_recipe(model))
    documents = list(load_packed(workshop.data_folder))
    counts = count_languages(documents, workshop.tokenizer())
    fetched = load_fetch_report(workshop.corpus_folder)
    clean = load_clean_report(workshop.corpus_folder)
    used = {document.package for document in documents}
    licences = Counter(each.licence for each in fetched if each.name in used)
    packed = sum(path.stat().st_size for path in workshop.data_folder.iterdir())
    facts = {
        "recipe": model,
        "n_tokens": sum(count.n_tokens for count in counts),
        "n_chars": sum(count.n_chars for count in counts),
        "n_packages": len(used),
        "packed_bytes": packed,
        "languages": [asdict(count) for count in counts],
        "licences": dict(licences.most_common()),
        "refused": {each.name: each.licence for each in fetched if each.refused},
        "clean": {k: v for k, v in asdict(clean).items() if k != "package_chars"},
        "held_out": [each.name for each in fetched if each.held_out],
    }
    write_text_whole(out, json.dumps(facts, indent=1) + "\n")
    table = _table(counts, clean, fetched, packed_bytes=packed, n_packages=len(used))
    write_text_whole(out.with_suffix(".md"), table)
    console.print(table, markup=False)


def _table(
    counts: list[LanguageCount],
    clean: CleanReport,
    fetched: tuple[FetchedSource, ...],
    *,
    packed_bytes: int,
    n_packages: int,
) -> str:
    n_tokens, n_chars = sum(c.n_tokens for c in counts), sum(c.n_chars for c in counts)
    lines = [
        f"{n_tokens / 1e6:.1f} million tokens, {n_chars / 1e6:.1f} million characters of "
        f"{n_packages} packages, {packed_bytes / 1e6:.1f} MB packed. "
        f"{len(fetched)} packages are listed, {sum(1 for f in fetched if f.refused)} of them were "
        "refused for their licence.",
        "",
        "| language | packages | files | million characters | million tokens | share of tokens |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c.language} | {c.n_packages} | {c.n_files:,} | {c.n_chars / 1e6:.1f} | "
        f"{c.n_tokens / 1e6:.1f} | {c.n_tokens / n_tokens:.1%} |"
        for c in counts
    ]
    lines += ["", "| filter | files |", "|---|---|"]
    lines += [f"| removed: {k} | {v:,} |" for k, v in Counter(clean.removed).most_common()]
    lines += [f"| changed: {k} | {v:,} |" for k, v in Counter(clean.changed).most_common()]
    lines += [
        "",
        f"Clean are {clean.n_train_files:,} files, {clean.n_train_chars / 1e6:.1f} million "
        f"characters; held out {clean.n_held_out_files:,} files, "
        f"{clean.n_held_out_chars / 1e6:.1f} million. {clean.n_benchmark_grams:,} 13-grams of "
        "benchmarks were kept out of both.",
    ]
    return "\n".join(lines) + "\n"
