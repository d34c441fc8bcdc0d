"""A right answer passes its tests in the cage and a wrong one fails, in every language."""

from __future__ import annotations

import pytest

from fimble_eval.benchmarks.judging import judge_all, parse_all
from fimble_eval.benchmarks.programs import LANGUAGES, LIMITS, build_program
from fimble_eval.benchmarks.toolchains import why_lacking
from fimble_eval.sandbox.sandbox import Verdict, why_unavailable

_LACK = why_unavailable()
pytestmark = pytest.mark.skipif(_LACK is not None, reason=f"no sandbox here: {_LACK}")

# By language: a task in the published form, and how an answer leaves before the tests.
_TASKS = {
    "python": {
        "task_id": "HumanEval/0",
        "prompt": "def add(a, b):\n",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": "add",
        "leaving": "    raise SystemExit(0)\n",
    },
    "javascript": {
        "task_id": "JavaScript/0",
        "prompt": "const add = (a, b) => {\n",
        "canonical_solution": "  return a + b\n}\n",
        "test": "const testAdd = () => {\n  console.assert(add(1, 2) === 3)\n}\n\ntestAdd()\n",
        "leaving": "  process.exit(0)\n}\n",
    },
    "java": {
        "task_id": "Java/0",
        "prompt": "import java.util.*;\n\nclass Solution {\n    public int add(int a, int b) {\n",
        "canonical_solution": "        return a + b;\n    }\n}",
        "test": "public class Main {\n    public static void main(String[] args) {\n"
        "        if (new Solution().add(1, 2) != 3) throw new AssertionError();\n    }\n}",
        "leaving": "        System.exit(0); return 0;\n    }\n}",
    },
    "cpp": {
        "task_id": "CPP/0",
        "prompt": "#include<stdlib.h>\nusing namespace std;\nint add(int a, int b){\n",
        "canonical_solution": "    return a + b;\n}\n",
        "test": "#undef NDEBUG\n#include<assert.h>\nint main(){\n    assert (add(1, 2) == 3);\n}\n",
        "leaving": "    exit(0);\n}\n",
    },
    "go": {
        "task_id": "Go/0",
        "import": 'import (\n    "os"\n    "math"\n)\n',
        "prompt": 'import (\n    "os"\n    "math"\n)\n\n// Add them.\nfunc Add(a, b int) int {\n',
        "canonical_solution": "    return a + b\n}\n",
        "test_setup": 'package main\n\nimport (\n    "testing"\n'
        '    "github.com/stretchr/testify/assert"\n)\n',
        "test": "func TestAdd(t *testing.T) {\n    assert := assert.New(t)\n"
        "    assert.Equal(3, Add(1, 2))\n}\n",
        "leaving": "    os.Exit(0)\n    return 0\n}\n",
    },
    "rust": {
        "task_id": "Rust/0",
        "prompt": "\n/*\n Add them.\n*/\n",
        "declaration": "\nuse rand::Rng;\nuse regex::Regex;\nuse md5;\n\n"
        "fn add(a: i32, b: i32) -> i32{\n",
        "canonical_solution": "    return a + b;\n}\n",
        "test": "\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n"
        "    fn test_add() {\n        assert_eq!(add(1, 2), 3);\n    }\n}\n",
        "leaving": "    std::process::exit(0);\n}\n",
    },
}


def test_every_language_has_its_task() -> None:
    assert set(_TASKS) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_answer_passes_and_no_other(language: str) -> None:
    """Not a wrong one, not one that leaves with success before the tests, not a broken one."""
    lack = why_lacking(language)
    if lack is not None:
        pytest.skip(f"{language} cannot run here: {lack}")
    task = _TASKS[language]
    right = task["canonical_solution"]
    answers = [right, right.replace("a + b", "a - b"), task["leaving"], "    return (\n"]
    outcomes = judge_all([build_program(task, answer) for answer in answers], LIMITS[language])
    passed = [outcome.verdict is Verdict.PASSED for outcome in outcomes]
    assert passed == [True, False, False, False], [outcome.output for outcome in outcomes]


def test_what_does_not_parse_is_told_apart() -> None:
    sources = ["x = '😀'\n", "def f(:\n", "if x:\n", "", "x = (" + "(" * 300, "é = 1\r\n\x0c\n"]
    assert parse_all(sources) == [True, False, False, True, False, True]


def test_a_program_that_comes_twice_runs_once_and_counts_twice() -> None:
    program = build_program(_TASKS["python"], "    return a + b\n")
    n_judged = 0

    def count() -> None:
        nonlocal n_judged
        n_judged += 1

    outcomes = judge_all([program, program], LIMITS["python"], on_judged=count)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.PASSED] * 2
    assert outcomes[0] is outcomes[1]
    assert n_judged == 2
