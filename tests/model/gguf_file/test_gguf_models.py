"""Laws of a model in one GGUF file: it loads as its folder does, or is refused with what to do."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from fimble_model.engine.protocol import BackEnd, Engine, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_model.errors import CheckpointError
from fimble_model.gguf_file.header import read_header
from fimble_model.loading import Stated, load
from fimble_model.text.tokenizer import load_tokenizer
from fimble_model.training.export_gguf import export_gguf
from fimble_testing.checkpoints import make_tiny_checkpoint
from fimble_testing.gguf_files import write_gguf
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint
from fimble_testing.tiny_tokenizers import TRAINING_TEXT, build_tokenizer_json

UNTRAINED: dict[str, object] = {"fimble.untrained": True}


def _words(engine: Engine) -> str:
    """What an engine writes at one place."""
    prompt = engine.codec.encode_fim(prefix="class Account:\n    def ", suffix="\n")
    engine.add(
        Request(request_id=RequestId("one"), prompt=prompt, max_new_tokens=12, stop=NeverStop())
    )
    text = ""
    while True:
        for delta in engine.step():
            text += delta.text
            if delta.finish is not None:
                return text


def test_our_own_export_loads_and_writes_what_its_folder_writes(tmp_path: Path) -> None:
    """Its format, its tokenizer and its weights all come out of the one file."""
    from fimble_model.shipped import find_model_folder

    folder = find_model_folder("fimble-nano")
    export_gguf(folder, tmp_path / "nano.gguf", "f32")
    ours, read = load(folder, n_threads=1), load(tmp_path / "nano.gguf", n_threads=1)
    assert read.model.back_end is BackEnd.NATIVE
    assert (read.model.name, read.model.fim_orders) == ("nano", ours.model.fim_orders)
    assert _words(read) == _words(ours)


def test_a_file_of_another_maker_loads_natively_with_the_format_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="qwen2")
    says = UNTRAINED | {"general.base_model.0.repo_url": "https://hub/Qwen/Qwen2.5-Coder-0.5B"}
    path = write_gguf(folder, tmp_path / "tiny.gguf", says=says)
    engine = load(path, n_threads=1)
    assert engine.model.back_end is BackEnd.NATIVE
    assert (engine.model.dtype, engine.model.fim_family) == ("int8", "qwen2.5-coder")


def test_a_kind_that_is_not_ours_runs_through_transformers(tmp_path: Path) -> None:
    """And its logits are those of the network that was written."""
    import torch
    from transformers import AutoModelForCausalLM, Phi3Config

    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        pad_token_id=0,
        sliding_window=512,
    )
    source = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # no annotations
    source.train(False).save_pretrained(tmp_path / "folder")
    (tmp_path / "folder" / "tokenizer.json").write_text(build_tokenizer_json("qwen"))
    says: dict[str, object] = {
        "phi3.attention.sliding_window": 512,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
    }
    path = write_gguf(tmp_path / "folder", tmp_path / "phi.gguf", says=says | UNTRAINED)
    engine = load(path, n_threads=1, stated=Stated(fim_family="qwen2.5-coder"))
    assert engine.model.back_end is BackEnd.TRANSFORMERS
    from fimble_model.backends.transformers_loading import load_causal_lm
    from fimble_model.network.device import Dtype, Placement

    placement = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
    network = load_causal_lm(path, placement, runs_code=False)
    token_ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        difference = network(token_ids).logits - source(token_ids).logits
    assert difference.abs().max().item() < 1e-4


@pytest.mark.parametrize("style", ["qwen", "llama"])
def test_the_tokenizer_of_a_file_splits_as_the_folders_does(style: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="llama", tokenizer=False)
    (folder / "tokenizer.json").write_text(build_tokenizer_json(style), encoding="utf-8")
    path = write_gguf(folder, tmp_path / "tiny.gguf")
    ours, read = load_tokenizer(folder), load_tokenizer(path)
    assert read.control_ids == ours.control_ids
    assert read.token_bytes == ours.token_bytes
    for text in (TRAINING_TEXT, "x = '<|fim_prefix|>'\r\n\t\tif 漢字 😀:  2048\n\n", "   "):
        assert read.encode(text) == ours.encode(text)


def test_our_exports_splitting_by_name_differs_where_lines_are_indented_alone() -> None:
    """What llama.cpp sees of our text: the same tokens but beside line ends and underscores."""
    import tokenizers

    from fimble_model.gguf_file.splittings import SPLITTINGS
    from fimble_model.shipped import find_model_folder

    written = (find_model_folder("fimble-nano") / "tokenizer.json").read_text(encoding="utf-8")
    parsed = json.loads(written)
    ours = tokenizers.Tokenizer.from_str(written)
    parsed["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = SPLITTINGS["qwen2"][0]
    theirs = tokenizers.Tokenizer.from_str(json.dumps(parsed))
    flat = "total = price * count + 12\n"
    assert ours.encode(flat).ids == theirs.encode(flat).ids
    indented = "if total:\n        return total\n"
    assert ours.encode(indented).ids != theirs.encode(indented).ids


def _damage(path: Path, at_byte: int, new: bytes) -> None:
    written = bytearray(path.read_bytes())
    written[at_byte : at_byte + len(new)] = new
    path.write_bytes(bytes(written))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="llama")
    return write_gguf(folder, tmp_path / "tiny.gguf")


def test_a_file_that_is_cut_off_is_refused(whole: Path) -> None:
    """Among the numbers, and at every kind of place in the header."""
    written = whole.read_bytes()
    for n_bytes in (len(written) - 100, len(written) // 8, 200, 30, 9):
        whole.write_bytes(written[:n_bytes])
        with pytest.raises(CheckpointError, match=r"Fetch the file again"):
            load(whole)


@pytest.mark.parametrize(
    ("at_byte", "new", "words"),
    [
        (0, b"GGML", "a file of another kind"),
        (4, struct.pack("<I", 1), "version 1"),
        (4, struct.pack(">I", 3), "a big-endian machine"),
        (8, struct.pack("<Q", 2**60), "cut off or damaged"),
    ],
)
def test_a_damaged_header_is_refused(whole: Path, at_byte: int, new: bytes, words: str) -> None:
    _damage(whole, at_byte, new)
    with pytest.raises(CheckpointError, match=words):
        load(whole)


def test_a_quantisation_that_nobody_knows_is_refused(whole: Path) -> None:
    written = whole.read_bytes()
    name = b"blk.1.ffn_up.weight"
    at_byte = written.index(name) + len(name) + 4 + 2 * 8
    _damage(whole, at_byte, struct.pack("<I", 250))
    with pytest.raises(CheckpointError, match=r"kind 250 of blk\.1\.ffn_up\.weight.*Q8_0"):
        load(whole)


def test_numbers_that_the_library_cannot_widen_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="llama", hidden_size=96, intermediate_size=160)
    kind = gguf.GGMLQuantizationType.Q8_1
    rows = np.zeros((160, 3 * gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    blocks = {"blk.1.ffn_up.weight": (kind, rows)}
    path = write_gguf(folder, tmp_path / "tiny.gguf", blocks=blocks)
    with pytest.raises(CheckpointError, match=r"Q8_1 in blk\.1\.ffn_up\.weight.*another quant"):
        load(path, stated=Stated(fim_family="qwen2.5-coder"))


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ({"tokenizer.ggml.model": None}, "a tokenizer in the GGUF file.*found none"),
        ({"tokenizer.ggml.model": "bert"}, "one of kind 'bert'"),
        ({"tokenizer.ggml.pre": None}, "tokenizer.ggml.pre to name a splitting.*found none"),
        ({"tokenizer.ggml.pre": "unheard-of"}, "found 'unheard-of'.*safetensors"),
        ({"tokenizer.ggml.merges": None}, "the merges of a BPE"),
        ({"llama.block_count": None}, r"llama\.block_count in the GGUF file.*found none"),
        ({"tokenizer.ggml.fim_pre_token_id": 4}, r"it fills in the middle with <\|repo_name"),
    ],
)
def test_metadata_that_is_not_enough_is_refused_by_its_name(
    says: dict[str, object], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="llama")
    path = write_gguf(folder, tmp_path / "tiny.gguf", says=says)
    with pytest.raises(CheckpointError, match=words):
        load(path, stated=Stated(fim_family="qwen2.5-coder"))


def test_an_architecture_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    folder = tmp_path / "folder"
    make_tiny_checkpoint(folder, family="qwen2")
    write_gguf(folder, path, says={"general.architecture": "unheard-of"})
    with pytest.raises(CheckpointError, match=r"transformers can load.*Choose another model"):
        load(path, stated=Stated(fim_family="qwen2.5-coder"))


def test_a_format_that_nothing_speaks_for_is_asked_for(whole: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.fim_family"):
        load(whole)


def test_what_a_header_says_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Against the gguf library's own reader, value for value."""
    export_gguf(write_tiny_checkpoint(tmp_path / "folder"), tmp_path / "tiny.gguf", "q8_0")
    header = read_header(tmp_path / "tiny.gguf")
    theirs = gguf.GGUFReader(tmp_path / "tiny.gguf")
    names = [name for name in theirs.fields if not name.startswith("GGUF.")]
    assert list(header.metadata) == names
    for name in names:
        found = theirs.fields[name].contents()
        assert header.metadata[name] == found, name
    for tensor in theirs.tensors:
        place = header.tensors[tensor.name]
        assert place.start_byte == tensor.data_offset
        assert place.n_bytes == tensor.n_bytes
        assert place.shape == tuple(reversed(tensor.shape.tolist()))


def test_a_header_is_read_once_for_a_file_and_anew_where_the_file_changed(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    export_gguf(write_tiny_checkpoint(tmp_path / "folder"), path, "q8_0")
    first = read_header(path)
    assert read_header(path) is first
    load(path)
    assert read_header(path) is not first  # Nothing keeps it once the model is loaded.
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError):
        read_header(path)
