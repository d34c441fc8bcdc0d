"""Which texts hold what looks like a secret: such a suggestion is not shown.

Owns the forms. Pure. It knows the forms of keys that services hand out, and else asks for both:
a name that says secret, and a value that no person would type.
"""

from __future__ import annotations

import math
import re
from collections import Counter

__all__ = ["find_secret"]

# Each is the form that its issuer documents.
_FORMS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{50})"),
    "a GitLab token": re.compile(r"\bglpat-[0-9A-Za-z_-]{20}"),
    "a Slack token": re.compile(r"\bxox[abposr]-[0-9A-Za-z-]{10}"),
    "a Google key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}"),
    "a Stripe key": re.compile(r"\b[sr]k_live_[0-9A-Za-z]{16}"),
    "an API key": re.compile(r"\bsk-(?:[a-z]+-)*[0-9A-Za-z_-]{32}"),
    "a package index token": re.compile(r"\b(?:pypi-[0-9A-Za-z_-]{40}|npm_[0-9A-Za-z]{36})"),
    "a signed token": re.compile(
        r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10}"
    ),
    "a password in an address": re.compile(
        r"\b[a-z][a-z0-9+.-]*://[^\s:/@]+:(?!\$|\{|<|%)[^\s:/@]{6,}@"
    ),
}
_NAMED = re.compile(
    r"(?i:secret|passw(?:or)?d|passphrase|api_?key|auth_?token|access_?key|private_?key)"
    r"\w*[\"']?\s*(?::\s*\w+\s*)?(?::=|=>|[=:])\s*[\"'](?P<value>[0-9A-Za-z+/=_\-.!@#%^&*]{12,})[\"']"
)
# Words reach 3 bits a character, and random letters and digits of this length more than 3.5.
_LEAST_BITS_PER_CHARACTER = 3.4


def find_secret(text: str) -> str | None:
    """What looks like a secret in a text, in words for its user; None where nothing does.

    >>> find_secret("key = 'AKIA" + "IOSFODNN7REALKEY'")
    'an AWS key'
    >>> find_secret('db_password = "correct_password_here"')
    >>> find_secret('db_password = "x7Gq9!Lw2pRt5Vz"')
    'a value that looks like a secret'
    """
    for name, form in _FORMS.items():
        if form.search(text):
            return name
    for match in _NAMED.finditer(text):
        if _looks_random(match["value"]):
            return "a value that looks like a secret"
    return None


def _looks_random(value: str) -> bool:
    """Letters and digits mixed, and few of them twice."""
    if not (any(map(str.isdigit, value)) and any(map(str.isalpha, value))):
        return False
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares) >= _LEAST_BITS_PER_CHARACTER
