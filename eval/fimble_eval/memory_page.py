"""The page of what the project memory adds to a model.

Owns its words and tables. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from fimble_eval.memory_gain import MemoryReport, WaysReport
from fimble_eval.memory_speed import MemorySpeed
from fimble_eval.memory_ways import WAYS

__all__ = ["to_markdown"]


def to_markdown(report: MemoryReport, circumstances: Mapping[str, object]) -> str:
    """The figures as a page."""
    return f"""# What the project memory adds to {report.model}

{report.all.n_cases} cursors in held-out packages ({", ".join(report.packages)}), \
{report.all.n_chars} characters of middles
of three lines. The memory held the package's other files, what stands above the cursor's line
and what stands below the middle. The rule (`memory_mixing.py`) was fitted on five of the Python
packages; the other languages are new to it.

{_ways_table({"all": report.all, **report.by_language})}
Written by the engine itself, greedily, from the cursor to the end of its line:

| exact | network | with memory |
|---|---:|---:|
| all | {report.exact_network:.1%} | {report.exact_with_memory:.1%} |
| the surest quarter | {report.exact_network_of_surest:.1%} | \
{report.exact_with_memory_of_surest:.1%} |

## From where on it does not pay

The same texts, and a simulated network that has so many nats more for each token that is right:

| nats more | network, bits a character | with memory | change |
|---:|---:|---:|---:|
{_strengths_table(report.strengths)}
## Speed

{_speed(report.speed)}

{circumstances["processor"]}, {circumstances["n_cores"]} cores, Python \
{circumstances["python"]}, commit {circumstances["commit"]}, {circumstances["date"]}.
"""


def _ways_table(reports: Mapping[str, WaysReport]) -> str:
    """Bits a character and exact ends of lines, a row for each language and a column a way."""
    head = "| | cursors | " + " | ".join(WAYS) + " |\n|---|---:|" + "---:|" * len(WAYS) + "\n"
    bits = "".join(
        f"| {name} | {each.n_cases} | "
        + " | ".join(f"{each.bits_per_char[way]:.3f}" for way in WAYS)
        + " |\n"
        for name, each in reports.items()
    )
    exact = "".join(
        f"| {name} | {each.n_cases} | "
        + " | ".join(f"{each.exact[way]:.1%}" for way in WAYS)
        + " |\n"
        for name, each in reports.items()
    )
    return (
        f"Bits a character:\n\n{head}{bits}\n"
        "Ends of lines of which every token is the likeliest there (the cut word at the cursor"
        f" spelled):\n\n{head}{exact}"
    )


def _strengths_table(strengths: tuple[tuple[float, float, float], ...]) -> str:
    return "".join(
        f"| {nats:g} | {plain:.3f} | {mixed:.3f} | {mixed / plain - 1:+.1%} |\n"
        for nats, plain, mixed in strengths
    )


def _speed(speed: MemorySpeed) -> str:
    return (
        f"On {speed.n_files} files of Python's own library ({speed.n_chars} characters, "
        f"{speed.n_tokens} tokens): {speed.index_mib:.0f} MiB, {speed.build_s:.1f} s to read all "
        f"in,\n{speed.find_p50_us:.0f} µs (median) and {speed.find_p95_us:.0f} µs (95 %) to find, "
        f"{speed.token_p50_us:.0f} µs and {speed.token_p95_us:.0f} µs to find and mix for a "
        f"token,\n{speed.edit_p50_ms:.2f} ms and {speed.edit_p95_ms:.2f} ms an edit of one line."
    )
