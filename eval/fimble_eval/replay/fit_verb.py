"""The verb `fimble-eval fit-confidence`: from collected samples to weights and a picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fimble_eval.machine import describe_machine
from fimble_eval.replay.fitting import (
    Fit,
    Head,
    Operating,
    calibrate,
    fit_weights,
    heads_of,
    operate,
    pick_by_fit,
    pick_by_product,
)
from fimble_eval.replay.person import Policy
from fimble_eval.replay.samples import read_samples
from fimble_server.errors import FimbleError

__all__ = ["fit_confidence"]

_THRESHOLDS = tuple(step / 20 for step in range(1, 20))


def fit_confidence(
    samples: Annotated[list[Path], typer.Argument(help="What `replay --collect` wrote.")],
    test: Annotated[
        list[str], typer.Option("--test", help="A package to judge by, not to fit on.")
    ],
    policy: Annotated[Policy, typer.Option(help="Whose taking is learnt.")] = Policy.LINE,
    write: Annotated[Path | None, typer.Option(help="Write the weights here, as JSON.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results as files.")] = None,
) -> None:
    """Fit how likely a suggestion is kept, and compare the rule with the product's."""
    found = read_samples(samples)
    groups = [(sample.package, heads_of(sample, policy)) for sample in found]
    fitted_on = [heads for package, heads in groups if package not in test and heads]
    judged_by = [heads for package, heads in groups if package in test and heads]
    if not fitted_on or not judged_by:
        raise FimbleError(
            expected="samples of packages to fit on and of others to test on",
            found=f"{len(fitted_on)} cursors to fit on, {len(judged_by)} to test on",
            to_do="Name some, not all, of the collected packages with --test.",
        )
    fit = fit_weights(fitted_on)
    result = {
        "n_cursors_fitted": len(fitted_on),
        "n_cursors_tested": len(judged_by),
        "packages_fitted": sorted({each.package for each in found} - set(test)),
        "packages_tested": sorted(set(test)),
        "policy": policy.value,
        "by_product": _rows(operate(judged_by, pick_by_product, _THRESHOLDS)),
        "by_fit": _rows(operate(judged_by, pick_by_fit(fit), _THRESHOLDS)),
        "calibration": calibrate(judged_by, fit),
        **dataclasses.asdict(describe_machine()),
    }
    if write is not None:
        _write_weights(write, fit, result)
    if out is not None:
        _write_results(out, fit, judged_by, result)
    Console(soft_wrap=True, highlight=False).print(json.dumps(result), markup=False)


def _rows(found: Sequence[Operating]) -> list[dict[str, object]]:
    return [dataclasses.asdict(each) for each in found]


def _write_weights(path: Path, fit: Fit, result: dict[str, object]) -> None:
    """The weights with where they come from."""
    values = {
        "fitted_by": "fimble-eval replay DIR --eagerness 0.9 --without ahead --collect SAMPLES, "
        "then fimble-eval fit-confidence SAMPLES --test PACKAGE ... --write this file",
        "packages_fitted": result["packages_fitted"],
        "n_cursors_fitted": result["n_cursors_fitted"],
        "date": result["date"],
        "bias": round(fit.bias, 6),
        "weights": {name: round(weight, 6) for name, weight in fit.weights.items()},
    }
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _write_results(
    out: Path, fit: Fit, judged_by: Sequence[Sequence[Head]], result: dict[str, object]
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"confidence-{result['date']}"
    stem.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    bins = calibrate(judged_by, fit)
    left.plot([0, 1], [0, 1], color="0.7")
    left.plot([said for said, _, _ in bins], [came for _, came, _ in bins], "o-")
    left.set(xlabel="said to be kept", ylabel="was kept", title="on packages not fitted on")
    for name, choose in (("product of tokens", pick_by_product), ("fitted", pick_by_fit(fit))):
        curve = operate(judged_by, choose, _THRESHOLDS)
        right.plot(
            [each.saved_chars for each in curve],
            [each.kept_share for each in curve],
            "o-",
            markersize=3,
            label=name,
        )
    right.set(xlabel="characters saved", ylabel="kept share", title="each rule at its thresholds")
    right.legend()
    figure.savefig(stem.with_suffix(".png"), dpi=110)
    plt.close(figure)
