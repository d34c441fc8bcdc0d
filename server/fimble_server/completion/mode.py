"""The mode heuristic: from the facts at the cursor and the user's last move to one decision.

Owns the ordered table of rules. Every rule is a small predicate with a name that `--explain`
shows; the first one that holds decides. Knows nothing of models, tokens or time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fimble_server.completion.boundary import Extent
from fimble_server.completion.plan import Mode, Trigger
from fimble_server.completion.signals import LastEdit, LastVerdict, Rhythm, Signals
from fimble_server.document.languages import BlockKind
from fimble_server.document.syntax import Above, SyntaxFacts

__all__ = ["Decision", "LastEdit", "Signals", "decide"]

_CALLABLE = (BlockKind.FUNCTION, BlockKind.CLASS)
_TOP_LEVEL = (BlockKind.MODULE, BlockKind.NAMESPACE)
# Guessed; measure. Between two keys of a burst there is no time to read what comes late.
_BURST_DEADLINE_SHARE = 0.5
# Guessed; measure. Who has just thrown a suggestion away wants no other one that is half sure.
_CAUTION_AFTER_REJECTION = 1.5
# In a comment or docstring a guess is right less often and shorter where it is: 45 % of it was kept
# in an hour of typing, 2 characters for each that was shown, against 61 % and 5 in code.
_CAUTION_IN_PROSE = 1.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The mode, the name of the rule that chose it, and how far a middle may reach.

    `deadline_share` of the usual deadline is left for it; the confidence it takes to be shown is
    `caution` times the usual one.
    """

    mode: Mode
    rule: str
    wanted: bool
    extent: Extent
    deadline_share: float = 1.0
    caution: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    name: str
    holds: Callable[[Signals], bool]
    mode: Mode = Mode.ACCELERATION
    extent: Extent | None = None
    wanted: bool = True
    caution: float = 1.0


def decide(signals: Signals) -> Decision:
    """The first rule that holds. The last one always does."""
    rule = next(rule for rule in _RULES if rule.holds(signals))
    is_hasty = signals.rhythm is Rhythm.BURST and rule.mode is Mode.ACCELERATION
    is_refused = signals.last_verdict is LastVerdict.REJECTED
    return Decision(
        mode=rule.mode,
        rule=rule.name,
        wanted=rule.wanted,
        extent=rule.extent or _whole_extent(signals.facts),
        deadline_share=_BURST_DEADLINE_SHARE if is_hasty else 1.0,
        caution=rule.caution * (_CAUTION_AFTER_REJECTION if is_refused else 1.0),
    )


def _whole_extent(facts: SyntaxFacts) -> Extent:
    """As far as the syntax at the cursor allows."""
    if facts.inside or facts.line_right.strip(" \t)]};,"):
        return Extent.LINE
    if facts.block.is_opened_here:
        return Extent.BLOCK
    if facts.line_right.strip():
        return Extent.LINE
    is_top_level = facts.block.kind in _TOP_LEVEL
    return Extent.STATEMENT if facts.is_header or is_top_level else Extent.BLOCK


def _is_invoked(signals: Signals) -> bool:
    return signals.trigger is Trigger.INVOKED


def _is_mid_word(signals: Signals) -> bool:
    return signals.facts.is_word_cut


def _is_mid_mark(signals: Signals) -> bool:
    return signals.facts.is_mark_cut


def _is_selected(signals: Signals) -> bool:
    return signals.has_selection


def _is_after_accept(signals: Signals) -> bool:
    facts = signals.facts
    is_line_end = not facts.is_at_line_start and not facts.line_right.strip()
    is_just_taken = signals.last_verdict is LastVerdict.ACCEPTED
    return is_just_taken and is_line_end and facts.inside is None and not facts.open_brackets


def _is_after_deletion(signals: Signals) -> bool:
    return signals.last_edit in (LastEdit.DELETE, LastEdit.UNDO)


def _is_after_jump(signals: Signals) -> bool:
    return signals.facts.is_after_jump


def _is_in_comment(signals: Signals) -> bool:
    return signals.facts.inside is not None and signals.facts.inside.is_comment


def _is_in_docstring(signals: Signals) -> bool:
    return signals.facts.is_docstring


def _is_in_string(signals: Signals) -> bool:
    return signals.facts.inside is not None


def _is_before_text(signals: Signals) -> bool:
    facts = signals.facts
    return facts.is_at_line_start and bool(facts.line_right.strip(" \t)]};,"))


def _is_below_docstring(signals: Signals) -> bool:
    facts = signals.facts
    return facts.block.is_empty_but_docstring and facts.above is Above.DOCSTRING


def _is_below_comment_in_empty(signals: Signals) -> bool:
    facts = signals.facts
    return (
        facts.block.kind not in (*_TOP_LEVEL, BlockKind.BRACKETS)
        and facts.block.is_empty
        and facts.above is Above.COMMENT
    )


def _is_empty_here(facts: SyntaxFacts) -> bool:
    return facts.block.is_empty and (facts.is_line_blank or facts.block.is_opened_here)


def _is_described_test(signals: Signals) -> bool:
    return signals.facts.is_test and _is_empty_here(signals.facts)


def _is_empty_body(signals: Signals) -> bool:
    return signals.facts.block.kind in _CALLABLE and _is_empty_here(signals.facts)


def _is_block_header(signals: Signals) -> bool:
    return signals.facts.block.is_opened_here and signals.facts.block.is_empty


def _is_mid_line(signals: Signals) -> bool:
    return not signals.facts.is_line_blank


def _is_below_top_level_comment(signals: Signals) -> bool:
    facts = signals.facts
    is_top_level = facts.block.kind in _TOP_LEVEL
    return is_top_level and facts.above is Above.COMMENT and facts.is_below_blank


def _is_pausing_below_comment(signals: Signals) -> bool:
    return signals.rhythm is Rhythm.PAUSE and signals.facts.above is Above.COMMENT


def _is_in_brackets(signals: Signals) -> bool:
    return signals.facts.block.kind is BlockKind.BRACKETS


def _is_in_namespace(signals: Signals) -> bool:
    return signals.facts.block.kind is BlockKind.NAMESPACE


def _is_in_block(signals: Signals) -> bool:
    return signals.facts.block.kind is not BlockKind.MODULE


def _always(signals: Signals) -> bool:
    del signals
    return True


_LINE, _BLOCK, _STATEMENT = Extent.LINE, Extent.BLOCK, Extent.STATEMENT
_EXPLORE = Mode.EXPLORATION

# The first rule that holds decides. Those that want nothing come before those that do.
_RULES: tuple[_Rule, ...] = (
    _Rule(name="invoked", holds=_is_invoked, mode=_EXPLORE),
    _Rule(name="mid-word", holds=_is_mid_word, extent=_LINE, wanted=False),
    _Rule(name="after-deletion", holds=_is_after_deletion, extent=_LINE, wanted=False),
    _Rule(name="mid-mark", holds=_is_mid_mark, extent=_LINE, wanted=False),
    _Rule(name="selected-item", holds=_is_selected, extent=_LINE),
    _Rule(name="in-comment", holds=_is_in_comment, extent=_LINE, caution=_CAUTION_IN_PROSE),
    _Rule(name="in-docstring", holds=_is_in_docstring, extent=_LINE, caution=_CAUTION_IN_PROSE),
    _Rule(name="in-string", holds=_is_in_string, extent=_LINE),
    _Rule(name="after-jump", holds=_is_after_jump, extent=_LINE, wanted=False),
    _Rule(name="before-text", holds=_is_before_text, extent=_LINE, wanted=False),
    _Rule(
        name="docstring-above-empty-body",
        holds=_is_below_docstring,
        mode=_EXPLORE,
        extent=_BLOCK,
    ),
    _Rule(
        name="comment-above-empty-body",
        holds=_is_below_comment_in_empty,
        mode=_EXPLORE,
        extent=_BLOCK,
    ),
    _Rule(name="described-test", holds=_is_described_test, mode=_EXPLORE, extent=_BLOCK),
    _Rule(name="empty-body", holds=_is_empty_body, mode=_EXPLORE, extent=_BLOCK),
    _Rule(name="block-header", holds=_is_block_header, extent=_BLOCK),
    _Rule(name="after-accept", holds=_is_after_accept),
    _Rule(name="mid-line", holds=_is_mid_line, extent=_LINE),
    _Rule(
        name="comment-above",
        holds=_is_below_top_level_comment,
        mode=_EXPLORE,
        extent=_STATEMENT,
    ),
    _Rule(name="pause-below-comment", holds=_is_pausing_below_comment, mode=_EXPLORE),
    _Rule(name="inside-brackets", holds=_is_in_brackets, extent=_BLOCK),
    _Rule(name="inside-namespace", holds=_is_in_namespace, extent=_STATEMENT),
    _Rule(name="inside-block", holds=_is_in_block, extent=_BLOCK),
    _Rule(name="top-level", holds=_always, extent=_STATEMENT),
)
