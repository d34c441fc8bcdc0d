"""`fimble-train`: from a list of packages to a model folder, one verb a stage.

Owns the verbs, their options and what they show. Every decision is made elsewhere.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.text import Text

from fimble_model.engine.clock import SystemClock
from fimble_model.errors import FimbleError
from fimble_model.shipped import find_model_folder
from fimble_model.training.bars import console, reporter, stage_bar
from fimble_model.training.carrying_verbs import carry, take
from fimble_model.training.comparing_verbs import ablate, vocabularies
from fimble_model.training.corpus_report import report_corpus
from fimble_model.training.displays import show_chars_per_token, show_dry_run, show_scores
from fimble_model.training.documents import load_packed
from fimble_model.training.dry_run import measure_steps
from fimble_model.training.forms import FORMS, path_beside, write_form
from fimble_model.training.interrupts import told_to_stop
from fimble_model.training.neighbours import Neighbours
from fimble_model.training.options import (
    AlsoOption,
    BenchmarksOption,
    CasesOption,
    CharsOption,
    CompareOption,
    CompileOption,
    DeviceOption,
    DryRunOption,
    FromOption,
    MinutesOption,
    OutOption,
    PackageCharsOption,
    RateScaleOption,
    RecipeOption,
    RowsOption,
    SeedOption,
    SourcesOption,
    StopAfterOption,
    ThreadsOption,
    WorkersOption,
    WorkOption,
)
from fimble_model.training.own_code import read_own_code
from fimble_model.training.planning_verb import plan
from fimble_model.training.recipes import find_recipe
from fimble_model.training.samples import Layout, SampleMaker
from fimble_model.training.sources import SHIPPED_SOURCES, load_sources
from fimble_model.training.stages import Workshop
from fimble_model.training.tokenizer import load_tokenizer
from fimble_model.training.tuning import tune

__all__ = ["main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Make a Fimble model: corpus, clean, tokenizer, train, export.",
)

_DEFAULT_WORK = Path("runs")
_DEFAULT_RECIPE = "fimble-nano"
_CHECKPOINT_EVERY_S = 120.0


def main() -> None:
    """Run the command line; a fault of the user's is one line and exit status 1."""
    try:
        app(standalone_mode=True)
    except FimbleError as error:
        Console(stderr=True).print(f"[red]{error}[/red]")
        raise SystemExit(1) from error


@app.command()
def corpus(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    sources: SourcesOption = SHIPPED_SOURCES,
) -> None:
    """Fetch the packages, licence first."""
    listed = load_sources(sources)
    with stage_bar() as bar:
        task = bar.add_task("corpus", total=len(listed))
        fetched = _workshop(work, model).fetch(listed, on_source=lambda _: bar.advance(task))
    for each in fetched:
        if each.refused:
            console.print(f"[yellow]refused[/yellow] {each.name}: {each.refused}")
    n_chars = sum(each.n_chars for each in fetched)
    console.print(f"{sum(not each.refused for each in fetched)} packages, {n_chars:,} characters")


@app.command()
def clean(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    benchmarks: BenchmarksOption = None,
    package_chars: PackageCharsOption = 8_000_000,
) -> None:
    """Filter the corpus and say what each filter removed."""
    with stage_bar() as bar:
        task = bar.add_task("clean", total=None)
        report = _workshop(work, model).clean(
            tuple(benchmarks or ()),
            package_chars=package_chars,
            on_document=lambda: bar.advance(task),
        )
    for reason, n_files in sorted(report.removed.items(), key=lambda item: -item[1]):
        console.print(f"{n_files:>7,} files removed: {reason}")
    for change, n_files in sorted(report.changed.items(), key=lambda item: -item[1]):
        console.print(f"{n_files:>7,} files changed: {change}")
    console.print(f"{report.n_train_files:,} files, {report.n_train_chars:,} characters are left")


@app.command()
def pack(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    n_chars: CharsOption = None,
) -> None:
    """Choose the model's mix of languages and pack it in parts of at most 15 MB."""
    counts = _workshop(work, model).pack(n_chars)
    n_chars = sum(counts.values())
    for language, n_language in counts.items():
        console.print(f"{n_language:>13,} characters {n_language / n_chars:>6.1%} {language}")


@app.command()
def tokenizer(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    start_from: FromOption = None,
    size: Annotated[
        int | None, typer.Option("--size", min=300, help="Tokens; the recipe's number if absent.")
    ] = None,
    compare: CompareOption = None,
) -> None:
    """Learn the vocabulary, or keep that of a model; show what its tokens say, by language."""
    workshop = _workshop(work, model)
    if start_from is not None:
        made = workshop.take_tokenizer(start_from)
    else:
        made = workshop.make_tokenizer(show_progress=console.is_terminal, size=size)
    console.print(f"{made.get_vocab_size():,} tokens")
    measured = {"made": workshop.chars_per_token(made)}
    if compare is not None:
        other = load_tokenizer(compare / "tokenizer.json")
        measured[compare.name] = workshop.chars_per_token(other)
    show_chars_per_token(measured, console)


@app.command()
def samples(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    count: Annotated[int, typer.Option("--count", min=1, help="How many to show.")] = 5,
    seed: SeedOption = 0,
) -> None:
    """Show a few training samples: prefix, middle, suffix. (Training makes its own.)"""
    workshop = _workshop(work, model)
    documents, made = workshop.train_documents(), workshop.tokenizer()
    maker, neighbours = SampleMaker(made), Neighbours(documents)
    rng = random.Random(seed)
    for _ in range(count):
        index = rng.randrange(len(documents))
        sample = maker.make_in_repository(neighbours, index, rng, n_tokens=512)
        console.rule(f"{sample.layout.value}, {len(sample.token_ids)} tokens")
        style = "default" if sample.layout is Layout.PLAIN else "reverse"
        head = made.decode(
            sample.token_ids[: sample.n_repository_tokens], skip_special_tokens=False
        )
        shown = Text.assemble(
            (head, "dim"), sample.prefix, (sample.middle, style), (sample.suffix, "dim")
        )
        console.print(shown, soft_wrap=True)


@app.command()
def train(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    minutes: MinutesOption = None,
    threads: ThreadsOption = 2,
    seed: SeedOption = 0,
    compiled: CompileOption = True,
    start_from: FromOption = None,
    rate_scale: RateScaleOption = 1.0,
    device: DeviceOption = "cpu",
    workers: WorkersOption = 0,
    rows: RowsOption = None,
    dry_run: DryRunOption = 0,
    stop_after: StopAfterOption = None,
) -> bool:
    """Train; interrupt it and run it again to go on, for longer too (--minutes).

    On a machine that does other work too, one thread loses less than two that wait for each
    other, and OMP_WAIT_POLICY=PASSIVE keeps the waiting cheap.
    """
    torch.set_num_threads(threads)
    workshop = _workshop(work, model)
    time_s = workshop.recipe.time_s if minutes is None else minutes * 60
    trainer = workshop.trainer(
        time_s=time_s,
        seed=seed,
        compiled=compiled,
        start_from=start_from,
        rate_scale=rate_scale,
        device=device,
        n_workers=workers,
        n_rows=rows,
    )
    if dry_run:
        show_dry_run(measure_steps(trainer, SystemClock(), n_steps=dry_run), console)
        return False
    after_s = None if stop_after is None else stop_after * 60
    with stage_bar() as bar, told_to_stop(SystemClock(), after_s=after_s) as should_stop:
        task = bar.add_task("train", total=time_s)
        workshop.train(
            trainer,
            clock=SystemClock(),
            checkpoint_every_s=_CHECKPOINT_EVERY_S,
            on_progress=reporter(bar, lambda elapsed_s: bar.update(task, completed=elapsed_s)),
            should_stop=should_stop,
        )
    if trainer.share < 1.0:
        console.print(f"stopped at {trainer.share:.1%}; run the same command again to go on")
    return trainer.share >= 1.0


@app.command()
def export(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    out: OutOption = None,
    threads: ThreadsOption = 2,
    cases: CasesOption = 200,
    compare: CompareOption = None,
    also: AlsoOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Measure the newest checkpoint and write the model folder and its card."""
    torch.set_num_threads(threads)
    workshop = _workshop(work, model)
    folder = workshop.model_folder / "export" if out is None else out
    targets = {form: path_beside(folder, form) for form in also or ()}
    with console.status("measuring"):
        today = datetime.now(tz=UTC).date()
        facts = workshop.export(
            folder, made_on=today, n_cases=cases, compared_with=compare, device=device
        )
        for form, target in targets.items():
            write_form(folder, form, target)
    score = facts.score
    console.print(f"{folder}: {facts.n_parameters:,} parameters")
    console.print(f"{score.bits_per_char:.3f} bits per character on held-out packages")
    console.print(f"{score.line_end_share:.1%} of line ends, {score.whole_line_share:.1%} of lines")


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="Shipped model's name, or a model folder.")],
    form: Annotated[str, typer.Argument(help=f"One of {', '.join(FORMS)}.")],
    out: OutOption = None,
) -> None:
    """Write a model in another form: int8 for Fimble, GGUF for llama.cpp."""
    folder = find_model_folder(model)
    target = path_beside(Path(folder.name), form) if out is None else out
    write_form(folder, form, target)
    console.print(f"{target}: {_n_bytes(target):,} bytes", soft_wrap=True)


@app.command()
def score(
    folders: Annotated[list[Path], typer.Argument(help="Model folders to measure.")],
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    threads: ThreadsOption = 2,
) -> None:
    """Bits per character of model folders on the held-out packages, by language."""
    torch.set_num_threads(threads)
    workshop = _workshop(work, model)
    with console.status("measuring"):
        scores = {folder.name: workshop.score(folder) for folder in folders}
    show_scores(scores, console)


@app.command(name="tune")
def tune_model(
    folder: Annotated[Path, typer.Argument(help="Your repository.")],
    base: Annotated[
        str, typer.Option("--base", help="Shipped model's name, or a model folder.")
    ] = _DEFAULT_RECIPE,
    out: OutOption = None,
    work: WorkOption = _DEFAULT_WORK,
    minutes: MinutesOption = 5.0,
    threads: ThreadsOption = 2,
) -> None:
    """Go on with a model on your own code, here; interrupt it and run it again to go on."""
    torch.set_num_threads(threads)
    own = read_own_code(folder)
    scratch = work / f"tuned-{folder.resolve().name}"
    target = scratch / "export" if out is None else out
    packed = work / base / "data"
    general = list(load_packed(packed)) if packed.is_dir() else []
    assert minutes is not None, "the option has a default"
    with stage_bar() as bar:
        task = bar.add_task("tune", total=minutes * 60)
        tuned = tune(
            find_model_folder(base),
            own,
            general,
            scratch,
            target,
            time_s=minutes * 60,
            clock=SystemClock(),
            on_progress=reporter(bar, lambda elapsed_s: bar.update(task, completed=elapsed_s)),
        )
    console.print(
        f"{len(own.train):,} files, {tuned.n_chars:,} characters of yours, "
        f"{tuned.n_general_chars:,} of the general corpus"
    )
    show_scores({"before": tuned.before, "after": tuned.after}, console)
    console.print(f"To use it, set the model's name to {target.resolve()}", soft_wrap=True)


@app.command(name="all")
def all_stages(
    work: WorkOption = _DEFAULT_WORK,
    model: RecipeOption = _DEFAULT_RECIPE,
    sources: SourcesOption = SHIPPED_SOURCES,
    benchmarks: BenchmarksOption = None,
    minutes: MinutesOption = None,
    threads: ThreadsOption = 2,
    seed: SeedOption = 0,
    compiled: CompileOption = True,
    out: OutOption = None,
    cases: CasesOption = 200,
    device: DeviceOption = "cpu",
    workers: WorkersOption = 0,
    stop_after: StopAfterOption = None,
    also: AlsoOption = None,
) -> None:
    """Every stage in turn; those that are done already are not done again.

    Where the data is packed already, as on a machine it was carried to, nothing is fetched.
    """
    workshop = _workshop(work, model)
    if not workshop.data_folder.is_dir():
        corpus(work, model, sources)
        if not (workshop.corpus_folder / "clean.json").is_file():
            clean(work, model, benchmarks)
        pack(work, model)
    if not (workshop.model_folder / "tokenizer.json").is_file():
        tokenizer(work, model)
    is_over = train(
        work, model, minutes, threads, seed, compiled,
        device=device, workers=workers, stop_after=stop_after,
    )  # fmt: skip
    if is_over:
        export(work, model, out, threads, cases, also=also, device=device)


app.command()(plan)
app.command()(ablate)
app.command()(vocabularies)
app.command("report")(report_corpus)
app.command()(carry)
app.command()(take)


def _n_bytes(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files)


def _workshop(work: Path, model: str) -> Workshop:
    return Workshop(folder=work, recipe=find_recipe(model))
