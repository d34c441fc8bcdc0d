"""Laws of the export: stock transformers reads the folder and computes what we trained."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import choose_placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import load_network
from fimble_model.training.export import export_model
from fimble_model.training.warm_start import load_float_network


@pytest.fixture(scope="module")
def network(tiny_config: NetworkConfig) -> Transformer:
    network = Transformer(tiny_config)
    network.initialise(3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.copy_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
            else:
                parameter.mul_(8)
            # The export keeps 16 bits: start from numbers that lose nothing by it.
            parameter.copy_(parameter.half().float())
    return network.requires_grad_(False)


@pytest.fixture(scope="module")
def folder(
    network: Transformer,
    tiny_config: NetworkConfig,
    tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export_model(dict(network.named_parameters()), tiny_config, tokenizer, folder)
    return folder


def test_transformers_computes_the_same_logits(
    folder: Path, network: Transformer, tokenizer: Tokenizer
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers deprecates parts of itself on import
        from transformers import AutoModelForCausalLM, AutoTokenizer

        reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        stock_tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "def count_total(total, path=3):\n    return total\n"
    token_ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert stock_tokenizer(text).input_ids == token_ids
    n_tokens = len(token_ids)
    hidden_NE = network(
        torch.tensor(token_ids), torch.arange(n_tokens), DenseCausal(n_rows=1, n_tokens=n_tokens)
    )
    with torch.no_grad():
        expected_NV = reference(torch.tensor([token_ids])).logits[0]
    difference = (network.logits(hidden_NE) - expected_NV).abs().max()
    assert float(expected_NV.std()) > 0.1
    assert float(difference) < 1e-4


def test_the_folder_states_its_format_and_the_context_it_was_trained_on(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["fimble"] == {"fim_family": "fimble", "fim_orders": ["spm", "psm"]}
    assert config["max_position_embeddings"] == 128
    assert config["eos_token_id"] == 0


def test_weights_are_stored_in_sixteen_bits(folder: Path, network: Transformer) -> None:
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    size_bytes = (folder / "model.safetensors").stat().st_size
    assert 2 * n_parameters <= size_bytes < 2 * n_parameters + 6000


def test_weights_beyond_a_parts_size_are_written_in_parts_that_loaders_put_together(
    network: Transformer, tiny_config: NetworkConfig, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    weights = dict(network.named_parameters())
    export_model(weights, tiny_config, tokenizer, tmp_path, part_bytes=25_000)
    parts = sorted(tmp_path.glob("model-*-of-*.safetensors"))
    assert len(parts) >= 2
    assert all(part.stat().st_size < 27_000 for part in parts)
    loaded = load_float_network(tmp_path)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, weights[name]), name
    # A smaller export into the same folder leaves no part behind.
    export_model(weights, tiny_config, tokenizer, tmp_path)
    assert not list(tmp_path.glob("model-*"))
    assert not (tmp_path / "model.safetensors.index.json").exists()
    load_float_network(tmp_path)


def test_int8_serving_stays_close_to_the_export(
    folder: Path, network: Transformer, tokenizer: Tokenizer
) -> None:
    token_ids = torch.tensor(tokenizer.encode("def count(total):\n    return total\n").ids)
    attend = DenseCausal(n_rows=1, n_tokens=len(token_ids))
    positions = torch.arange(len(token_ids))
    served = load_network(
        folder, choose_placement(device="cpu", dtype="int8", n_threads=torch.get_num_threads())
    )
    with torch.no_grad():
        exact = network.logits(network(token_ids, positions, attend))
        rounded = served.logits(served(token_ids, positions, attend))
    assert float((exact - rounded).std() / exact.std()) < 0.1
