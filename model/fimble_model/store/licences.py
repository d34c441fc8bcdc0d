"""What the licences of code models allow, in a few words.

Owns these words. They are advice: the licence's own text is what counts. Pure. Sources: the
licences' texts on the models' pages.
"""

from __future__ import annotations

__all__ = ["describe_licence"]

_FREE = frozenset({"apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "isc", "cc-by-4.0"})
_LIMITS = {
    "bigcode-openrail-m": "its list of forbidden uses applies",
    "bigscience-bloom-rail-1.0": "its list of forbidden uses applies",
    "openrail": "its list of forbidden uses applies",
    "deepseek": "commercial use too; its list of forbidden uses applies",
    "deepseek-license": "commercial use too; its list of forbidden uses applies",
    "llama2": "acceptable-use policy; leave needed above 700 million users a month",
    "llama3": "acceptable-use policy; leave needed above 700 million users a month",
    "llama3.1": "acceptable-use policy; leave needed above 700 million users a month",
    "gemma": "commercial use too; its prohibited-use policy applies",
    "qwen-research": "research only: no commercial use",
    "tongyi-qianwen": "leave needed above 100 million users a month",
    "tongyi-qianwen-research": "research only: no commercial use",
    "mnpl": "non-production: for testing and research, not for work",
    "mnpl-0.1": "non-production: for testing and research, not for work",
    "mrl": "research only: no commercial use",
    "stabilityai-ai-community": "commercial use below 1 million dollars a year",
    "stabilityai-nc-research-community": "research only: no commercial use",
    "cc-by-nc-4.0": "no commercial use",
    "cc-by-nc-sa-4.0": "no commercial use",
    "aixcoder-model-license": "research; leave needed for commercial use",
}


def describe_licence(licence: str | None) -> str:
    """The licence's name, and what it limits.

    >>> describe_licence("apache-2.0")
    'apache-2.0'
    >>> describe_licence("qwen-research")
    'qwen-research (research only: no commercial use)'
    >>> describe_licence("our-own")
    'our-own (unknown here: read it on its page)'
    """
    if licence is None:
        return "not stated: ask its makers before you use it"
    name = licence.lower()
    if name in _FREE:
        return licence
    return f"{licence} ({_LIMITS.get(name, 'unknown here: read it on its page')})"
