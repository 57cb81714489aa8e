from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ai_engine.model.language import Language
from radiology.errors import EngineError
from training.assemble import main


def test_a_language_model_of_another_size_is_refused_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(Language.train(["The lungs are clear."], 300).to_json())
    save_file({"lm_head.weight": torch.zeros(300, 64)}, tmp_path / "model.safetensors")
    with pytest.raises(EngineError, match=r"lm_head\.weight is \(300, 64\), not \(152064, 3584\)|\(729 in all\)"):
        main(qwen=tmp_path, sam2=tmp_path / "sam2_hiera_large.pt", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
