"""What looks like a secret is found; code that only speaks of secrets is not."""

from __future__ import annotations

import asyncio
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_server.completion.completer import Completer
from fimble_server.completion.plan import Limits
from fimble_server.context.secret_strings import find_secret
from fimble_testing.clocks import ManualClock
from fimble_testing.fake_engine import FakeEngine, FakePort
from fimble_testing.marked_text import snapshot_of

_LETTERS = string.ascii_letters + string.digits


def _random(n_chars: int, letters: str = _LETTERS) -> str:
    return "".join(random.Random(n_chars).choices(letters, k=n_chars))


@pytest.mark.parametrize(
    "text",
    [
        f"key = 'AKIA{_random(16, string.ascii_uppercase + string.digits)}'",
        f"TOKEN = ghp_{_random(36)}",
        f"xoxb-{_random(24)}",
        f'"AIza{_random(35)}"',
        f"Authorization: Bearer sk-proj-{_random(40)}",
        "-----BEGIN RSA PRIVATE KEY-----\nMII",
        f"postgres://shop:{_random(12)}@db/shop",
        f'password = "{_random(20)}"',
        f"const apiKey: string = '{_random(32)}'",
        f'{{"client_secret": "{_random(32)}"}}',
        f"😀 secret_key := '{_random(24)}'",
    ],
)
def test_secrets_are_found(text: str) -> None:
    assert find_secret(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        'password = getpass.getpass("Password: ")',
        'password = "correct_horse_battery"',
        'api_key = os.environ["API_KEY_2"]',
        "def check_password(password: str, hashed: str) -> bool:",
        'secret = "${SECRET_KEY_BASE_64}"',
        'url = f"postgres://{user}:{password}@{host}/shop"',
        'commit = "3f786850e387550fdab836ed7e6dc881de23001b"',
        'token_type = "Bearer"',
        "risk-assessment-of-the-whole-long-project-name",
    ],
)
def test_code_about_secrets_is_not_one(text: str) -> None:
    assert find_secret(text) is None


@given(st.text(alphabet="abcdefghij_ =.()\n😀", max_size=300))
def test_plain_words_are_never_secrets(text: str) -> None:
    assert find_secret(text) is None


def test_a_suggestion_that_completes_a_secret_is_hidden() -> None:
    """Also where its name or its beginning is typed already."""

    completer = Completer(
        port=FakePort(FakeEngine(lambda _: f"{_random(24)}'")), clock=ManualClock()
    )
    snapshot = snapshot_of("db_password = '<|>\n")
    answer = asyncio.run(completer.complete(snapshot, Limits(eagerness=1.0)))
    assert answer is not None
    assert answer.suggestions == ()
    assert answer.hidden[0].reason == "holds a value that looks like a secret"
