"""The families whose fill-in-the-middle format we know: one entry each, and where it is written.

Owns these facts. A family is here only where its publisher documents the order: several share
StarCoder's tokens and were trained in another order, so the tokens say nothing of it.
"""

from __future__ import annotations

from fimble_model.text.fim_format import FilesLayout, FimFormat, FimOrder, Hole, Layout, Text

__all__ = ["FAMILIES"]


def _prefix_first(prefix: str, suffix: str, middle: str) -> Layout:
    return (prefix, Hole.PREFIX, suffix, Hole.SUFFIX, middle)


def _suffix_first(prefix: str, suffix: str, middle: str) -> Layout:
    """The layout in which prefix and middle touch (Bavarian et al. 2022, section 3)."""
    return (prefix, suffix, Hole.SUFFIX, middle, Hole.PREFIX)


_LINE_END = Text("\n")
_QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
_STARCODER = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_AIXCODER = ("▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>")
_FALCON_H1 = ("<|prefix|>", "<|suffix|>", "<|middle|>")
_SANTACODER = ("<fim-prefix>", "<fim-suffix>", "<fim-middle>")
# The bars are U+FF5C, the underscores U+2581.
_DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")  # noqa: RUF001

_QWEN_FILES = FilesLayout(
    opening=("<|repo_name|>", Hole.REPOSITORY, _LINE_END),
    file=("<|file_sep|>", Hole.PATH, _LINE_END, Hole.CODE),
    own=("<|file_sep|>", Hole.PATH, _LINE_END),
)

FAMILIES = (
    FimFormat(
        family="fimble",
        layouts={FimOrder.SPM: _suffix_first(*_QWEN), FimOrder.PSM: _prefix_first(*_QWEN)},
        end_tokens=("<|endoftext|>",),
        files=_QWEN_FILES,
        source="our own training samples",
    ),
    FimFormat(
        family="qwen2.5-coder",
        layouts={FimOrder.PSM: _prefix_first(*_QWEN)},
        end_tokens=("<|endoftext|>",),
        model_types=("qwen2",),
        tell_tale=_QWEN,
        repositories=("qwen/qwen2.5-coder", "qwen/qwen3-coder"),
        files=_QWEN_FILES,
        source="README of QwenLM/Qwen2.5-Coder, file- and repository-level completion",
    ),
    FimFormat(
        family="codeqwen1.5",
        layouts={FimOrder.PSM: _prefix_first(*_STARCODER)},
        end_tokens=("<|endoftext|>",),
        model_types=("qwen2",),
        tell_tale=_STARCODER,
        repositories=("qwen/codeqwen1.5",),
        source="README of QwenLM/CodeQwen1.5, file-level completion",
    ),
    FimFormat(
        family="santacoder",
        layouts={FimOrder.PSM: _prefix_first(*_SANTACODER)},
        end_tokens=("<|endoftext|>",),
        model_types=("gpt_bigcode", "gpt2"),
        tell_tale=_SANTACODER,
        repositories=("bigcode/santacoder", "bigcode/gpt_bigcode-santacoder"),
        source="model card of bigcode/santacoder",
    ),
    FimFormat(
        family="starcoder",
        layouts={
            FimOrder.PSM: _prefix_first(*_STARCODER),
            FimOrder.SPM: _suffix_first(*_STARCODER),
        },
        end_tokens=("<|endoftext|>",),
        model_types=("gpt_bigcode",),
        tell_tale=_STARCODER,
        repositories=("bigcode/starcoderbase", "bigcode/tiny_starcoder", "bigcode/starcoder"),
        source="model card of bigcode/starcoderbase; StarCoder paper, section 3.3",
    ),
    FimFormat(
        family="starcoder2",
        layouts={
            FimOrder.PSM: _prefix_first(*_STARCODER),
            FimOrder.SPM: _suffix_first(*_STARCODER),
        },
        end_tokens=("<|endoftext|>", "<file_sep>"),
        model_types=("starcoder2",),
        tell_tale=_STARCODER,
        files=FilesLayout(
            opening=("<repo_name>", Hole.REPOSITORY),
            file=("<file_sep>", Hole.PATH, _LINE_END, Hole.CODE),
            own=("<file_sep>",),
            prefix_opening=(Hole.PATH, _LINE_END),
        ),
        source="StarCoder2 paper, section 5.2, repository-context FIM",
    ),
    FimFormat(
        family="codellama",
        layouts={
            FimOrder.SPM: _suffix_first("▁<PRE>", "▁<SUF>", "▁<MID>"),
            FimOrder.PSM: _prefix_first("▁<PRE>", "▁<SUF>", "▁<MID>"),
        },
        begin_token="<s>",
        end_tokens=("▁<EOT>", "</s>"),
        model_types=("llama",),
        tell_tale=("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
        prefix_blank=True,
        source="Code Llama paper, section 2.3; infilling_prompt_tokens in its published code",
    ),
    FimFormat(
        family="deepseek-coder",
        layouts={FimOrder.PSM: _prefix_first(*_DEEPSEEK)},
        begin_token="<｜begin▁of▁sentence｜>",  # noqa: RUF001
        end_tokens=("<｜end▁of▁sentence｜>",),  # noqa: RUF001
        model_types=("llama", "deepseek_v2"),
        tell_tale=_DEEPSEEK,
        files=FilesLayout(
            file=(Text("#"), Hole.PATH, _LINE_END, Hole.CODE),
            own=(Text("#"), Hole.PATH, _LINE_END),
            inside_prefix=True,
        ),
        source="README of deepseek-ai/DeepSeek-Coder, code insertion and repository level",
    ),
    FimFormat(
        family="codegemma",
        layouts={FimOrder.PSM: _prefix_first(*_QWEN)},
        begin_token="<bos>",
        end_tokens=("<|file_separator|>", "<eos>"),
        model_types=("gemma",),
        tell_tale=(*_QWEN, "<|file_separator|>"),
        files=FilesLayout(file=(Hole.CODE, "<|file_separator|>")),
        source="model card of google/codegemma-2b",
    ),
    FimFormat(
        family="codestral",
        layouts={FimOrder.SPM: ("[SUFFIX]", Hole.SUFFIX, "[PREFIX]", Hole.PREFIX)},
        begin_token="<s>",
        end_tokens=("</s>",),
        model_types=("mistral",),
        tell_tale=("[SUFFIX]", "[PREFIX]", "[MIDDLE]"),
        files=FilesLayout(
            file=(Text("+++++ "), Hole.PATH, _LINE_END, Hole.CODE, _LINE_END),
            own=(Text("+++++ "), Hole.PATH, _LINE_END),
            inside_prefix=True,
        ),
        source="encode_fim of mistral-common",
    ),
    FimFormat(
        family="mellum",
        layouts={
            FimOrder.SPM: (
                *("<fim_suffix>", Hole.SUFFIX),
                *("<fim_prefix>", Hole.PREFIX, "<fim_middle>"),
            )
        },
        end_tokens=("<|endoftext|>",),
        repositories=("jetbrains/mellum",),
        files=FilesLayout(
            file=("<filename>", Hole.PATH, _LINE_END, Hole.CODE),
            own=("<filename>", Hole.PATH, _LINE_END),
        ),
        source="model card of JetBrains/Mellum-4b-base",
    ),
    FimFormat(
        family="seed-coder",
        layouts={
            FimOrder.SPM: (
                *("<[fim-suffix]>", Hole.SUFFIX),
                *("<[fim-prefix]>", Hole.PREFIX, "<[fim-middle]>"),
            )
        },
        begin_token="<[begin▁of▁sentence]>",
        end_tokens=("<[end▁of▁sentence]>",),
        model_types=("llama",),
        tell_tale=("<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),
        source="model card of ByteDance-Seed/Seed-Coder-8B-Base",
    ),
    FimFormat(
        family="granite-code",
        layouts={FimOrder.PSM: _prefix_first(*_STARCODER)},
        end_tokens=("<|endoftext|>",),
        repositories=("ibm-granite/granite-3b-code", "ibm-granite/granite-8b-code"),
        source="Granite Code Models paper, section 4.1: PSM and SPM with StarCoder's tokens",
    ),
    FimFormat(
        family="stable-code",
        layouts={FimOrder.PSM: _prefix_first(*_STARCODER)},
        end_tokens=("<|endoftext|>",),
        model_types=("stablelm",),
        tell_tale=_STARCODER,
        repositories=("stabilityai/stable-code",),
        source="model card of stabilityai/stable-code-3b",
    ),
    FimFormat(
        family="refact",
        # Suffix first is what its makers' own server sends; the model card shows the other.
        layouts={
            FimOrder.SPM: (
                *("<fim_suffix>", Hole.SUFFIX),
                *("<fim_prefix>", Hole.PREFIX, "<fim_middle>"),
            ),
            FimOrder.PSM: _prefix_first(*_STARCODER),
        },
        end_tokens=("<|endoftext|>",),
        model_types=("gpt_refact",),
        tell_tale=_STARCODER,
        repositories=("smallcloudai/refact",),
        source="completion_single_file_fim of smallcloudai/refact-lsp; Refact-1_6B-fim's card",
    ),
    FimFormat(
        family="incoder",
        # The second mask stands for the end of the file; the first, said again, asks for its text.
        layouts={
            FimOrder.PSM: (
                *(Hole.PREFIX, "<|mask:0|>", Hole.SUFFIX),
                *("<|mask:1|>", "<|mask:0|>"),
            )
        },
        begin_token="<|endoftext|>",
        end_tokens=("<|endofmask|>",),
        model_types=("xglm",),
        tell_tale=("<|mask:0|>", "<|mask:1|>", "<|endofmask|>"),
        repositories=("facebook/incoder",),
        source="example_usage.py of dpfried/incoder; InCoder paper, section 2.2",
    ),
    FimFormat(
        family="aixcoder",
        # Its path comment is written in each language's own way, and is left out.
        layouts={FimOrder.SPM: _suffix_first(*_AIXCODER), FimOrder.PSM: _prefix_first(*_AIXCODER)},
        begin_token="<s>",
        end_tokens=("</s>",),
        model_types=("llama",),
        tell_tale=_AIXCODER,
        repositories=("aixcoder/aixcoder-7b",),
        source="README of aixcoder-plugin/aiXcoder-7B, pre-training tasks; its hf_mini/utils.py",
    ),
    FimFormat(
        family="codeshell",
        layouts={FimOrder.PSM: _prefix_first(*_STARCODER)},
        end_tokens=("<|endoftext|>",),
        model_types=("codeshell",),
        tell_tale=_STARCODER,
        repositories=("wisdomshell/codeshell",),
        source="README of WisdomShell/codeshell, fill in the middle",
    ),
    FimFormat(
        family="falcon-h1-tiny-coder",
        layouts={FimOrder.PSM: _prefix_first(*_FALCON_H1)},
        # Which token ends a middle is not documented; as everywhere, any control token does.
        end_tokens=(),
        model_types=("falcon_h1",),
        tell_tale=_FALCON_H1,
        repositories=("tiiuae/falcon-h1-tiny-coder",),
        source="Falcon-H1-Tiny's report, FIM format, as ggml-org/llama.cpp#19249 names it",
    ),
)
