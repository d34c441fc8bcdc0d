"""Laws of the licence check: it is refused unless it is known to be permissive."""

import pytest

from fimble_model.training.licences import judge_licence


def _metadata(*lines: str) -> str:
    return "\n".join(["Metadata-Version: 2.4", "Name: thing", "Version: 1.0", *lines, "", "Text."])


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: MIT"],
        ["License-Expression: BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0"],
        ["License-Expression: Apache-2.0 OR GPL-2.0-or-later"],
        ["License-Expression: (MIT OR GPL-3.0-only) AND Apache-2.0"],
        ["Classifier: License :: OSI Approved :: Apache Software License"],
        ["Classifier: License :: OSI Approved", "License: BSD 3-Clause License"],
        ["License: The MIT License"],
        ["License: Apache License, Version 2.0"],
        ["License: MIT License", "        ", "        Copyright (c) someone"],
    ],
)
def test_a_permissive_licence_is_accepted(lines: list[str]) -> None:
    assert judge_licence(_metadata(*lines)).is_permissive


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["License-Expression: GPL-3.0-only"],
        ["License-Expression: MIT AND LGPL-2.1-or-later"],
        ["License-Expression: MIT AND (MPL-2.0 OR GPL-3.0-only)"],
        ["License-Expression: Apache-2.0 WITH LLVM-exception"],
        ["License-Expression: LicenseRef-Proprietary"],
        ["License-Expression: (("],
        ["Classifier: License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"],
        [
            "Classifier: License :: OSI Approved :: MIT License",
            "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        ],
        ["Classifier: License :: OSI Approved"],
        ["License: UNKNOWN"],
        ["License: see LICENSE"],
        ["License: GPL", "License-File: MIT"],
    ],
)
def test_whatever_is_not_known_to_be_permissive_is_refused(lines: list[str]) -> None:
    assert not judge_licence(_metadata(*lines)).is_permissive


def test_the_expression_counts_for_more_than_the_classifiers() -> None:
    verdict = judge_licence(
        _metadata(
            "License-Expression: GPL-3.0-only",
            "Classifier: License :: OSI Approved :: MIT License",
        )
    )
    assert (verdict.is_permissive, verdict.stated_in) == (False, "License-Expression")


def test_licence_words_in_the_description_do_not_count() -> None:
    assert not judge_licence(_metadata() + "\nLicense-Expression: MIT\n").is_permissive
