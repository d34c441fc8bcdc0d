"""Which licences let us learn from a package, judged by the package's own metadata.

Owns the permissive list and the reading of `License-Expression`, classifiers and the old
`License` field. Pure: text in, verdict out. Anything it cannot read is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import HeaderParser

__all__ = ["LicenceVerdict", "judge_expression", "judge_licence", "names_copyleft"]

_PERMISSIVE_IDS = frozenset(
    {
        "0bsd", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "isc", "mit",
        "mit-0", "mit-cmu", "psf-2.0", "python-2.0", "python-2.0.1", "unlicense", "zlib", "hpnd",
        "cnri-python", "zpl-2.1", "blueoak-1.0.0",
        # As Debian's copyright files and older package.json files write them.
        "expat", "public-domain", "apache-2", "apache2", "asl-2.0", "bsd-2", "bsd-3", "bsd2",
        "bsd3", "bsd", "boost-1.0", "boost", "x11", "mit/x", "bsl-1", "bsd-0-clause", "mit-style",
        "cc0",
    }
)  # fmt: skip

# The last part of "License :: OSI Approved :: ..." and the free text of the old License field,
# lower case, with "license", "licence", "the" and punctuation taken out.
_PERMISSIVE_NAMES = frozenset(
    {
        "mit", "expat", "bsd", "new bsd", "modified bsd", "simplified bsd", "bsd 2 clause",
        "bsd 3 clause", "2 clause bsd", "3 clause bsd", "bsd 3", "bsd 2", "0bsd", "apache",
        "apache 2", "apache 2 0", "apache software", "apache software 2 0", "apache v2",
        "apache v2 0", "apache version 2 0", "apache 2 0 software", "isc", "isc iscl", "iscl",
        "psf", "psf 2 0", "python software foundation", "python software foundation psf", "zlib",
        "zlib libpng", "public domain", "unlicense", "unlicense unlicense", "cc0",
        "cc0 1 0 universal", "cc0 1 0 universal cc0 1 0 public domain dedication",
        "zero clause bsd 0bsd", "mit no attribution mit 0", "bsd clause",
        "historical permission notice and disclaimer hpnd",
    }
)  # fmt: skip


_COPYLEFT_TITLE = re.compile(
    r"(?i)(gnu\s+(lesser|affero|library)?\s*general\s+public|mozilla\s+public\s+licen[cs]e|"
    r"eclipse\s+public\s+licen[cs]e|creative\s+commons\s+attribution|business\s+source\s+licen[cs]e|"
    r"server\s+side\s+public\s+licen[cs]e|elastic\s+licen[cs]e)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceVerdict:
    """Whether we may learn from a package, what it says of itself, and where it says so."""

    is_permissive: bool
    licence: str
    stated_in: str


def judge_licence(metadata: str) -> LicenceVerdict:
    """Judge a package by its core metadata (the text of METADATA or PKG-INFO).

    >>> judge_licence("Name: a\\nLicense-Expression: MIT OR GPL-3.0-only\\n").is_permissive
    True
    >>> judge_licence("Name: a\\nLicense-Expression: MIT AND GPL-3.0-only\\n").is_permissive
    False
    """
    headers = HeaderParser().parsestr(metadata)
    expression = str(headers.get("License-Expression") or "").strip()
    if expression:
        return LicenceVerdict(
            is_permissive=_is_permissive_expression(expression),
            licence=expression,
            stated_in="License-Expression",
        )
    classifiers = _licence_classifiers(headers.get_all("Classifier") or [])
    if classifiers:
        return LicenceVerdict(
            is_permissive=all(_is_permissive_name(name) for name in classifiers),
            licence=", ".join(classifiers),
            stated_in="Classifier",
        )
    return _judge_free_text(str(headers.get("License") or "").strip())


def judge_expression(expression: str, *, stated_in: str) -> LicenceVerdict:
    """Judge an SPDX expression, or a name, or what Debian writes: lower case, with commas.

    >>> judge_expression("Expat or GPL-2+", stated_in="copyright").is_permissive
    True
    """
    flat = " ".join(expression.replace(",", " ").split())
    return LicenceVerdict(
        is_permissive=_is_permissive_name(flat) or _is_permissive_expression(flat),
        licence=flat[:80] or "not stated",
        stated_in=stated_in,
    )


def names_copyleft(licence_text: str) -> bool:
    """True where the top of a licence file is that of a licence that we must not learn from."""
    return _COPYLEFT_TITLE.search(licence_text[:1500]) is not None


def _judge_free_text(field: str) -> LicenceVerdict:
    """The old License field: a name, an expression, or a whole licence with its name on top."""
    name = field.splitlines()[0].strip() if field else ""
    return LicenceVerdict(
        is_permissive=_is_permissive_name(name) or _is_permissive_expression(name),
        licence=name[:80] or "not stated",
        stated_in="License",
    )


def _licence_classifiers(classifiers: list[str]) -> list[str]:
    """The last parts of the licence classifiers; "OSI Approved" alone names nothing."""
    parts = [classifier.split(" :: ") for classifier in classifiers]
    names = [part[-1] for part in parts if part[0] == "License"]
    return [name for name in names if name != "OSI Approved"]


def _is_permissive_name(name: str) -> bool:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    kept = [word for word in words if word not in {"the", "license", "licence", "licensed"}]
    return " ".join(kept) in _PERMISSIVE_NAMES


def _is_permissive_expression(expression: str) -> bool:
    """True where one branch of every OR, and every branch of every AND, is permissive.

    `WITH` is refused: an exception never makes a copyleft licence permissive.
    """
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    if not tokens or any(token.upper() == "WITH" for token in tokens):
        return False
    # AND binds more tightly than OR (SPDX specification, annex D): reduce inner parentheses
    # first, so that each pass meets a flat expression.
    flat = " ".join(token.lower() if _is_id(token) else token.upper() for token in tokens)
    while True:
        inner = re.search(r"\( ([^()]*) \)", flat)
        if inner is None:
            return _is_permissive_flat(flat)
        verdict = "mit" if _is_permissive_flat(inner[1]) else "refused"
        flat = flat[: inner.start()] + verdict + flat[inner.end() :]


def _is_id(token: str) -> bool:
    return token.upper() not in {"AND", "OR", "(", ")"}


def _is_permissive_flat(expression: str) -> bool:
    return any(
        all(licence.strip() in _PERMISSIVE_IDS for licence in branch.split(" AND "))
        for branch in expression.split(" OR ")
    )
