"""Tree-sitter grammars: which wheel holds which, and what their nodes mean to us.

Owns loading (lazily, once) and the node types of blocks, literals, strings and comments. Node
types are one table for all grammars, because the grammars agree where they share a name. A
wheel that is missing or does not fit counts as no grammar: the text alone then has to do.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Mapping
from types import MappingProxyType

from tree_sitter import Language as Grammar

from fimble_server.document.languages import BlockKind

__all__ = ["BRACKET_NODES", "NODE_KINDS", "TEXT_NODES", "try_load_grammar"]

log = logging.getLogger(__name__)

_WHEELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "python": ("tree_sitter_python", "language"),
        "javascript": ("tree_sitter_javascript", "language"),
        "typescript": ("tree_sitter_typescript", "language_typescript"),
        "tsx": ("tree_sitter_typescript", "language_tsx"),
        "go": ("tree_sitter_go", "language"),
        "rust": ("tree_sitter_rust", "language"),
        "java": ("tree_sitter_java", "language"),
        "c": ("tree_sitter_c", "language"),
        "cpp": ("tree_sitter_cpp", "language"),
    }
)

_NODES: Mapping[BlockKind, str] = {
    BlockKind.FUNCTION: """function_definition function_declaration function_expression
        generator_function generator_function_declaration arrow_function method_definition
        method_declaration constructor_declaration compact_constructor_declaration func_literal
        function_item closure_expression lambda_expression""",
    BlockKind.CLASS: """
        class_definition class_declaration class_body class abstract_class_declaration
        interface_declaration interface_body enum_declaration enum_body enum_body_declarations
        internal_module module_declaration struct_type interface_type struct_item enum_item
        trait_item impl_item mod_item field_declaration_list enum_variant_list enumerator_list
        class_specifier struct_specifier union_specifier enum_specifier namespace_definition
        record_declaration annotation_type_body""",
    BlockKind.IF: "if_statement if_expression elif_clause else_clause",
    BlockKind.LOOP: """for_statement for_in_statement while_statement do_statement
        enhanced_for_statement for_range_loop for_expression while_expression loop_expression""",
    BlockKind.TRY: """try_statement try_with_resources_statement except_clause catch_clause
        finally_clause seh_try_statement try_block""",
    BlockKind.WITH: "with_statement synchronized_statement unsafe_block",
    BlockKind.SWITCH: """match_statement switch_statement switch_expression switch_body
        switch_block match_block expression_switch_statement type_switch_statement
        select_statement""",
    BlockKind.CASE: """case_clause switch_case switch_default switch_rule
        switch_block_statement_group case_statement match_arm expression_case default_case
        type_case communication_case""",
}

NODE_KINDS: Mapping[str, BlockKind] = MappingProxyType(
    {node_type: kind for kind, names in _NODES.items() for node_type in names.split()}
)

BRACKET_NODES = frozenset(
    {
        "object",
        "object_pattern",
        "object_type",
        "named_imports",
        "export_clause",
        "template_substitution",
        "jsx_expression",
        "literal_value",
        "initializer_list",
        "field_initializer_list",
        "struct_pattern",
        "use_list",
        "scoped_use_list",
        "array_initializer",
        "element_value_array_initializer",
        "token_tree",
        "dictionary",
        "set",
        "interpolation",
    }
)

TEXT_NODES = frozenset(
    {
        "string",
        "string_content",
        "comment",
        "line_comment",
        "block_comment",
        "template_string",
        "string_fragment",
        "raw_string_literal",
        "raw_string_literal_content",
        "interpreted_string_literal",
        "string_literal",
        "raw_string_content",
        "multiline_string_fragment",
    }
)


@functools.cache
def try_load_grammar(grammar_id: str) -> Grammar | None:
    """The grammar of that name, or None where its wheel is missing or does not fit."""
    module_name, function_name = _WHEELS[grammar_id]
    try:
        return Grammar(getattr(importlib.import_module(module_name), function_name)())
    except (ImportError, AttributeError, ValueError) as error:
        log.warning("no grammar for %s: %s", grammar_id, type(error).__name__)
        return None
