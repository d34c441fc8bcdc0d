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
        "csharp": ("tree_sitter_c_sharp", "language"),
        "ruby": ("tree_sitter_ruby", "language"),
        "php": ("tree_sitter_php", "language_php"),
        "bash": ("tree_sitter_bash", "language"),
        "lua": ("tree_sitter_lua", "language"),
        "html": ("tree_sitter_html", "language"),
        "css": ("tree_sitter_css", "language"),
        "json": ("tree_sitter_json", "language"),
        "yaml": ("tree_sitter_yaml", "language"),
        "toml": ("tree_sitter_toml", "language"),
        "sql": ("tree_sitter_sql", "language"),
        "markdown": ("tree_sitter_markdown", "language"),
    }
)

_NODES: Mapping[BlockKind, str] = {
    BlockKind.FUNCTION: """function_definition function_declaration function_expression
        generator_function generator_function_declaration arrow_function method_definition
        method_declaration constructor_declaration compact_constructor_declaration func_literal
        function_item closure_expression lambda_expression anonymous_function method
        singleton_method lambda destructor_declaration operator_declaration
        local_function_statement anonymous_method_expression accessor_declaration""",
    BlockKind.NAMESPACE: """namespace_definition namespace_declaration internal_module
        linkage_specification module mod_item foreign_mod_item""",
    BlockKind.CLASS: """
        class_definition class_declaration class_body class abstract_class_declaration
        interface_declaration interface_body enum_declaration enum_body enum_body_declarations
        module_declaration struct_type interface_type struct_item enum_item
        trait_item impl_item field_declaration_list enum_variant_list enumerator_list
        class_specifier struct_specifier union_specifier enum_specifier singleton_class
        record_declaration annotation_type_body struct_declaration trait_declaration
        enum_member_declaration_list enum_declaration_list anonymous_class""",
    BlockKind.IF: """if_statement if_expression elif_clause else_clause else_if_clause
        elseif_statement else_statement if unless""",
    BlockKind.LOOP: """for_statement for_in_statement while_statement do_statement
        enhanced_for_statement for_range_loop for_expression while_expression loop_expression
        foreach_statement c_style_for_statement do_group repeat_statement while until for""",
    BlockKind.TRY: """try_statement try_with_resources_statement except_clause catch_clause
        finally_clause seh_try_statement try_block begin rescue ensure""",
    BlockKind.WITH: """with_statement synchronized_statement unsafe_block using_statement
        lock_statement unsafe_statement checked_statement fixed_statement""",
    BlockKind.SWITCH: """match_statement switch_statement switch_expression switch_body
        switch_block match_block expression_switch_statement type_switch_statement
        select_statement match_expression case_match""",
    BlockKind.CASE: """case_clause switch_case switch_default switch_rule
        switch_block_statement_group case_statement default_statement match_arm expression_case
        default_case type_case communication_case switch_section switch_expression_arm
        match_conditional_expression match_default_expression case_item when in_clause""",
}

NODE_KINDS: Mapping[str, BlockKind] = MappingProxyType(
    {node_type: kind for kind, names in _NODES.items() for node_type in names.split()}
)

_BRACKETS = """object object_pattern object_type named_imports export_clause template_substitution
    jsx_expression literal_value initializer_list field_initializer_list struct_pattern use_list
    scoped_use_list array_initializer element_value_array_initializer token_tree dictionary set
    interpolation initializer_expression anonymous_object_creation_expression
    property_pattern_clause with_initializer hash hash_pattern table_constructor inline_table
    namespace_use_group expansion flow_mapping"""
BRACKET_NODES = frozenset(_BRACKETS.split())

_TEXTS = """string string_content comment line_comment block_comment template_string string_fragment
    raw_string_literal raw_string_literal_content interpreted_string_literal string_literal
    raw_string_content multiline_string_fragment string_literal_content
    verbatim_string_literal interpolated_string_expression encapsed_string heredoc heredoc_body
    heredoc_content nowdoc nowdoc_body nowdoc_string raw_string ansi_c_string string_array
    symbol_array comment_content block_scalar double_quote_scalar single_quote_scalar
    string_value raw_text marginalia dollar_quote fenced_code_block indented_code_block
    html_block"""
TEXT_NODES = frozenset(_TEXTS.split())


@functools.cache
def try_load_grammar(grammar_id: str) -> Grammar | None:
    """The grammar of that name, or None where its wheel is missing or does not fit."""
    module_name, function_name = _WHEELS[grammar_id]
    try:
        return Grammar(getattr(importlib.import_module(module_name), function_name)())
    except (ImportError, AttributeError, ValueError) as error:
        log.warning("no grammar for %s: %s", grammar_id, type(error).__name__)
        return None
