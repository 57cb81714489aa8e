"""Citrus-V's published layout, in full shape without numbers and tiny with random ones."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import EIGHT_B, TINY, MemoryConfig, ModelConfig
from ai_engine.model.language import Language
from ai_engine.model.published import model_config, published_config, published_names, qwen_names, sam2_names
from ai_engine.model.tensors import collected
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import assemble, empty_model, export_published, load_qwen, load_sam2, load_weights, save_weights
from radiology.errors import EngineError
from tests.ai_engine.conftest import chest

SHARD_BYTES = 1_400_000
"""A third of the random model below."""
SAM2 = "grounding_encoder.sam2_model."
RANDOM = ModelConfig.model_validate(
    TINY.model_dump()
    | {"text": TINY.text.model_dump() | {"tie_word_embeddings": False}}
    | {
        "segmenter": TINY.segmenter.model_dump()
        | {"feature_size": 64, "memory": MemoryConfig(layers=1, intermediate_size=64, masks=3, pointers=4)}
    }
)
"""Everything that Citrus-V-8B has, tiny: an own head, and SAM 2 with its memory."""


@pytest.fixture(scope="module")
def model(tiny_language: Language) -> UnifiedModel:
    torch.manual_seed(1)
    return UnifiedModel(RANDOM, tiny_language).eval()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, model: UnifiedModel, tiny_language: Language) -> Path:
    folder = tmp_path_factory.mktemp("published")
    export_published(folder, model, tiny_language, SHARD_BYTES)
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "published"))


@pytest.fixture(scope="module")
def eight_b(tiny_language: Language) -> UnifiedModel:
    return empty_model(EIGHT_B, tiny_language)


def hash_of(names: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestFullShape:
    """Citrus-V-8B on the meta device: names and shapes, no numbers."""

    @pytest.fixture
    def names(self, eight_b: UnifiedModel) -> dict[str, tuple[int, ...]]:
        return {there: tuple(tensor.shape) for here, tensor in eight_b.state_dict().items() for there in published_names(here)}

    def test_the_language_model_has_the_authors_729_names(self, names: dict[str, tuple[int, ...]]) -> None:
        mllm = {name for name in names if name.startswith("mllm.")}
        assert len(mllm) == 729
        assert hash_of(mllm) == "8dcce40d51521de727c3f3f9caa1fecc214886062e04a65e199a49c35114676f"  # of projects/vlm_7B_params.json
        assert names["mllm.lm_head.weight"] == names["mllm.model.language_model.embed_tokens.weight"] == (152064, 3584)
        assert names["mllm.model.language_model.layers.27.self_attn.k_proj.bias"] == (512,)
        assert names["mllm.model.visual.blocks.31.mlp.gate_proj.weight"] == (3420, 1280)
        assert names["mllm.model.visual.merger.mlp.2.weight"] == (3584, 5120)

    def test_sam_2_has_the_900_names_of_its_package(self, names: dict[str, tuple[int, ...]]) -> None:
        sam2 = {name.removeprefix(SAM2) for name in names if name.startswith(SAM2)}
        assert len(sam2) == 900
        assert hash_of(sam2) == "53558cb056a0ae5290ff969c9dfe21322e39d17a37f3332006d3caf799e97b01"  # of sam2 1.1.0's own sam2_hiera_l
        assert names[SAM2 + "image_encoder.trunk.blocks.47.attn.qkv.weight"] == (3456, 1152)
        assert names[SAM2 + "memory_encoder.mask_downsampler.encoder.12.weight"] == (256, 256, 1, 1)
        assert names[SAM2 + "maskmem_tpos_enc"] == (7, 1, 1, 64)

    def test_the_projector_leads_from_one_to_the_other(self, names: dict[str, tuple[int, ...]]) -> None:
        projector = {name: shape for name, shape in names.items() if name.startswith("seg_projector.")}
        assert projector == {
            "seg_projector.0.weight": (3584, 3584),
            "seg_projector.0.bias": (3584,),
            "seg_projector.2.weight": (256, 3584),
            "seg_projector.2.bias": (256,),
        }
        assert len(names) == 729 + 4 + 900

    def test_it_has_eight_billion_parameters_that_take_no_memory(self, eight_b: UnifiedModel) -> None:
        assert sum(parameter.numel() for parameter in eight_b.mllm.parameters()) == 8_292_166_656  # Qwen2.5-VL-7B
        assert sum(parameter.numel() for parameter in eight_b.grounding_encoder.parameters()) == 224_430_130  # SAM 2 Hiera-L
        assert all(parameter.is_meta for parameter in eight_b.parameters())


class TestRoundTrip:
    def test_a_model_survives_export_and_loading_bit_by_bit(
        self, folder: Path, model: UnifiedModel, tiny_language: Language, tmp_path: Path
    ) -> None:
        files = {path.name for path in folder.iterdir()}
        assert {"config.json", "tokenizer.json", "model.safetensors.index.json", "model-00001-of-00003.safetensors"} <= files
        again, language, digest = load_weights(folder)
        assert again.config == RANDOM
        assert language.special_ids == tiny_language.special_ids
        assert same(collected(again, published_names), collected(model, published_names))
        assert export_published(tmp_path / "again", again, language, SHARD_BYTES) == digest
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
        }

    def test_the_loaded_model_computes_the_same(self, folder: Path, model: UnifiedModel) -> None:
        again, _, _ = load_weights(folder)
        pixels, prompts = torch.randn(1, 3, 64, 64), torch.randn(2, 64)
        ids = torch.arange(300, 308)
        with torch.no_grad():
            for one, other in zip(
                (*model.decode_masks(model.encode_image(pixels), prompts), model(ids[None], model.positions(ids)[:, None]).hidden),
                (*again.decode_masks(again.encode_image(pixels), prompts), again(ids[None], again.positions(ids)[:, None]).hidden),
                strict=True,
            ):
                assert torch.equal(one, other)

    def test_a_small_model_is_one_file_without_index(self, tmp_path: Path, model: UnifiedModel, tiny_language: Language) -> None:
        for shard_bytes in (SHARD_BYTES, 10**9):  # the second time, what is left of the first must not be read
            digest = export_published(tmp_path, model, tiny_language, shard_bytes)
        assert not (tmp_path / "model.safetensors.index.json").exists()
        assert digest == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest() == load_weights(tmp_path)[2]

    def test_the_precision_is_a_choice(self, folder: Path, model: UnifiedModel) -> None:
        half, _, _ = load_weights(folder, dtype=torch.bfloat16)
        assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
        assert same(collected(half, published_names), {name: value.bfloat16() for name, value in collected(model, published_names).items()})

    def test_an_assistant_reads_the_same_from_it_in_half_precision(self, tmp_path: Path, taught_assistant: Assistant) -> None:
        digest = export_published(tmp_path, taught_assistant.model, taught_assistant.language)
        half, language, _ = load_weights(tmp_path, dtype=torch.bfloat16)
        before = taught_assistant.read(chest(112, 112), "projection")
        after = Assistant(half, language, 300, digest).read(chest(112, 112), "projection")
        assert after.raw_text == before.raw_text
        masks = [[place.mask.pixels for line in reading.sentences for place in line.places if place.mask] for reading in (before, after)]
        assert len(masks[0]) == 2
        assert all((one == other).mean() > 0.98 for one, other in zip(*masks, strict=True))

    def test_a_tied_head_is_published_once_and_stays_tied(self, tmp_path: Path, tiny_model: UnifiedModel, tiny_language: Language) -> None:
        export_published(tmp_path, tiny_model, tiny_language)
        assert "mllm.lm_head.weight" not in load_file(tmp_path / "model.safetensors")
        again, _, _ = load_weights(tmp_path)
        assert again.mllm.lm_head.weight is again.mllm.model.language_model.embed_tokens.weight
        assert same(collected(again, published_names), collected(tiny_model, published_names))


def rewrite(change: Callable[[dict[str, torch.Tensor]], Any], shard: str = "model-00001-of-00003.safetensors") -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / shard)
        change(tensors)
        save_file(tensors, folder / shard)

    return apply


def restate(**values: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return apply


def reindex(change: Callable[[dict[str, str]], Any]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        change(index["weight_map"])
        path.write_text(json.dumps(index))

    return apply


def lose_a_tensor_everywhere(folder: Path) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    rewrite(lambda tensors: tensors.pop("seg_projector.2.bias"), index["seg_projector.2.bias"])(folder)
    reindex(lambda names: names.pop("seg_projector.2.bias"))(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_tensor_everywhere, r"seg_projector\.2\.bias is missing \(1 in all\)"),
        (rewrite(lambda tensors: tensors.pop(SAM2 + "no_mem_embed")), r"no_mem_embed is missing from model-00001"),
        (rewrite(lambda tensors: tensors.update(stray=torch.zeros(1))), "stray is in model-00001"),
        (reindex(lambda names: names.update(stray="model-00001-of-00003.safetensors")), "stray is missing from model-00001"),
        (reindex(lambda names: names.update(stray="model-00009-of-00009.safetensors")), "has no model-00009"),
        (reindex(lambda names: names.update(stray="../elsewhere.safetensors")), "has no elsewhere"),
        (
            rewrite(lambda tensors: tensors.update({SAM2 + "no_mem_embed": torch.zeros(1, 1, 3)})),
            r"no_mem_embed is \(1, 1, 3\), not \(1, 1, 64\)",
        ),
        (lambda folder: (folder / "model-00002-of-00003.safetensors").write_bytes(b"{"), "model-00002-of-00003.safetensors cannot be read"),
        (lambda folder: (folder / "model-00003-of-00003.safetensors").unlink(), "has no model-00003-of-00003.safetensors"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("[]"), "index.json cannot be read"),
        (restate(seg_token_idx=5), "seg_token_idx 5, where this model has"),
        (restate(vision_config={"patch_size": 16}), r"vision_config\.patch_size 16, where this model has 14"),
        (restate(use_res_seg_projector=True), "use_res_seg_projector True"),
        (restate(sightline={"name": "?"}), "is not valid"),
        (lambda folder: (folder / "config.json").write_text("[]"), "not valid"),
    ],
)
def test_a_damaged_folder_is_refused_and_the_damage_named(folder: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(folder)
    with pytest.raises(EngineError, match=message):
        load_weights(folder)


@pytest.mark.slow
def test_loading_takes_the_memory_of_one_copy_and_one_shard(tmp_path: Path, tiny_language: Language) -> None:
    text = TINY.text.model_dump() | {"hidden_size": 768, "layers": 12, "heads": 8, "intermediate_size": 3072, "mrope_section": (16, 16, 16)}
    config = ModelConfig.model_validate(TINY.model_dump() | {"text": text, "dtype": "bfloat16"})
    export_published(tmp_path, UnifiedModel(config, tiny_language).bfloat16(), tiny_language, 20_000_000)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.safetensors"))
    assert size > 150_000_000
    script = """
import re, sys
from pathlib import Path
from ai_engine.model.language import Language
from ai_engine.model.config import TINY
from ai_engine.model.weights import empty_model, load_weights
empty_model(TINY, Language.load(Path(sys.argv[1]) / "tokenizer.json"))  # imports everything
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
model, _, _ = load_weights(Path(sys.argv[1]))
print(peak() - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True).stdout)
    print(f"{size / 1e6:.0f} MB in files, {grown / 1e6:.0f} MB in memory")
    assert 0.5 * size < grown < 1.3 * size


class TestConfiguration:
    """``config.json`` as the authors' repository has it for Citrus-V-8B, without what is only about training."""

    AUTHORS: dict[str, Any] = {  # noqa: RUF012
        **{"model_type": "citrus_v", "bos_token_id": 151643, "eos_token_id": 151645, "image_token_id": 151655, "seg_token_idx": 151665},
        **{"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4},
        **{"max_position_embeddings": 128000, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": False},
        **{"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vocab_size": 152064, "torch_dtype": "bfloat16"},
        "vision_config": {
            **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584, "patch_size": 14},
            **{"spatial_merge_size": 2, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "temporal_patch_size": 2},
        },
        "grounding_encoder_config": {"apply_postprocessing": False, "cfg_path": "/somewhere/sam2_configs/sam2_hiera_l.yaml"},
    }

    def test_the_authors_configuration_is_our_preset(self) -> None:
        assert model_config(self.AUTHORS) == EIGHT_B

    def test_our_export_of_the_preset_states_what_the_authors_do(self, tiny_language: Language) -> None:
        ours = published_config(EIGHT_B, tiny_language)
        for key in self.AUTHORS.keys() - {"vision_config", "grounding_encoder_config"}:
            assert key.endswith(("_id", "_idx")) or ours[key] == self.AUTHORS[key], key
        assert ours["vision_config"].items() >= self.AUTHORS["vision_config"].items()

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"grounding_encoder_config": {"cfg_path": "sam2_hiera_x.yaml"}}, "sam2_hiera_x"), ({"num_attention_heads": 27}, "not valid")],
    )
    def test_a_model_of_unknown_shape_is_refused(self, change: dict[str, Any], message: str) -> None:
        with pytest.raises(EngineError, match=message):
            model_config(self.AUTHORS | change)

    def test_a_tokenizer_without_the_seg_token_gets_it_as_the_next_id(self, folder: Path) -> None:
        tokens = json.loads((folder / "tokenizer.json").read_text())
        # As Qwen2.5-VL's: its marks are added tokens behind the vocabulary, [SEG] is not among them, <think> is ordinary text.
        marks = [mark["content"] for mark in tokens["added_tokens"] if mark["content"].startswith("<|")]
        words = [word for word in tokens["model"]["vocab"] if word not in {mark["content"] for mark in tokens["added_tokens"]}]
        tokens["model"]["vocab"] = {word: index for index, word in enumerate(words)}
        tokens["added_tokens"] = []
        bare = Tokenizer.from_str(json.dumps(tokens))
        bare.add_special_tokens(marks)
        bare.save(str(folder / "tokenizer.json"))
        first = len(words) + len(marks)
        stated = json.loads((folder / "config.json").read_text())
        ids = {key: value for key, value in stated.items() if not key.endswith(("_token_id", "_token_idx"))}
        (folder / "config.json").write_text(json.dumps(ids | {"seg_token_idx": first}))
        _, language, _ = load_weights(folder)
        assert language.seg == first
        assert len(language) == first + 3
        assert language.seg not in language.encode("a mask [SEG]")


class TestParts:
    def test_an_official_sam_2_checkpoint_fills_the_segmenter(self, tmp_path: Path, model: UnifiedModel, tiny_language: Language) -> None:
        torch.save({"model": collected(model.grounding_encoder.sam2_model, sam2_names)}, tmp_path / "sam2.pt")
        torch.manual_seed(2)
        other = UnifiedModel(RANDOM, tiny_language)
        load_sam2(other.grounding_encoder, tmp_path / "sam2.pt")
        assert same(collected(other.grounding_encoder.sam2_model, sam2_names), collected(model.grounding_encoder.sam2_model, sam2_names))

    @pytest.mark.parametrize("content", [{"weights": {}}, [1], {"model": 3}])
    def test_another_file_is_no_sam_2_checkpoint(self, tmp_path: Path, model: UnifiedModel, content: object) -> None:
        torch.save(content, tmp_path / "sam2.pt")
        with pytest.raises(EngineError, match=r"sam2\.pt is not a checkpoint"):
            load_sam2(model.grounding_encoder, tmp_path / "sam2.pt")

    def test_a_checkpoint_of_another_size_is_refused(self, tmp_path: Path, model: UnifiedModel, tiny_model: UnifiedModel) -> None:
        torch.save({"model": collected(tiny_model.grounding_encoder.sam2_model, sam2_names)}, tmp_path / "sam2.pt")
        with pytest.raises(EngineError, match="does not fit"):
            load_sam2(model.grounding_encoder, tmp_path / "sam2.pt")

    def test_a_published_qwen_folder_fills_the_language_model(self, tmp_path: Path, model: UnifiedModel, tiny_language: Language) -> None:
        tensors = collected(model.mllm, qwen_names)
        assert {
            "model.embed_tokens.weight",
            "model.layers.1.self_attn.q_proj.bias",
            "visual.merger.ln_q.weight",
            "lm_head.weight",
        } <= tensors.keys()
        save_file(tensors, tmp_path / "model.safetensors")
        other = UnifiedModel(RANDOM, tiny_language)
        load_qwen(other, tmp_path)
        assert same(collected(other.mllm), collected(model.mllm))

    def test_training_starts_from_both_and_a_fresh_projector(self, tmp_path: Path, model: UnifiedModel, tiny_language: Language) -> None:
        torch.save({"model": collected(model.grounding_encoder.sam2_model, sam2_names)}, tmp_path / "sam2.pt")
        save_file(collected(model.mllm, qwen_names), tmp_path / "model.safetensors")
        (tmp_path / "tokenizer.json").write_text(tiny_language.to_json())
        made, language = assemble(tmp_path, tmp_path / "sam2.pt", RANDOM.model_copy(update={"dtype": "bfloat16"}))
        before, after = collected(model, published_names), collected(made, published_names)
        assert before.keys() == after.keys()
        for name, tensor in after.items():
            assert tensor.dtype == torch.bfloat16
            assert torch.isfinite(tensor).all()
            assert torch.equal(tensor, before[name].bfloat16()) != name.startswith("seg_projector."), name
        assert save_weights(tmp_path / "0", made, language) == load_weights(tmp_path / "0")[2]
        assert {tensor.dtype for tensor in load_file(tmp_path / "0" / "model.safetensors").values()} == {torch.bfloat16}
