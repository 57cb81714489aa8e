"""What Meta's ``sam2`` package makes of a checkpoint: run by test_sam2_parity.py in an environment that has the package.

Usage: python sam2_package.py JOB.json, which names a configuration of the package, sizes to change in it, and the files.
"""

import json
import sys
from pathlib import Path

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

GONE = -1024.0
"""The package's logit for every cell of an object that is not on the image."""


def build(job):
    config = OmegaConf.load(Path(sam2.__file__).parent / "configs" / job["configuration"]).model
    config.image_encoder.trunk = {**config.image_encoder.trunk, **job["trunk"]}
    config.image_encoder.neck.backbone_channel_list = [job["trunk"]["embed_dim"] * scale for scale in (8, 4, 2, 1)]
    config.image_size = job["image_size"]
    for attention in (config.memory_attention.layer.self_attention, config.memory_attention.layer.cross_attention):
        attention.feat_sizes = [job["image_size"] // 16] * 2
    return instantiate(config, _recursive_=True).eval()


def randomise(model):
    """Every tensor its own numbers, so that two of them exchanged would show."""
    torch.manual_seed(3)
    for tensor in model.state_dict().values():
        tensor += 0.03 * torch.randn_like(tensor)


def read_export(folder):
    prefix = "grounding_encoder.sam2_model."
    tensors = {name: value for path in Path(folder).glob("*.safetensors") for name, value in load_file(path).items()}
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def decode(model, image, finer, prompts, multimask):
    """As Citrus-V: an empty point, which the package pads with another, then the prompt."""
    count = len(prompts)
    sparse, dense = model.sam_prompt_encoder(points=(torch.zeros(count, 1, 2), -torch.ones(count, 1)), boxes=None, masks=None)
    return model.sam_mask_decoder(
        image_embeddings=image,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=torch.cat([sparse, prompts[:, None]], 1),
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=False,
        high_res_features=finer,
    )


def best(logits, iou, tokens):
    rows, choice = torch.arange(len(iou)), iou.argmax(-1)
    return logits[rows, choice], tokens[rows, choice] if tokens.shape[1] > 1 else tokens[:, 0]


@torch.no_grad()
def run(model, images, prompts):
    count = len(prompts)
    slices = []
    for image in images:
        seen = model.forward_image(image[None])
        each = {name: [level.expand(count, -1, -1, -1) for level in seen[name]] for name in ("backbone_fpn", "vision_pos_enc")}
        slices.append(model._prepare_backbone_features(each))
    result = {}
    memories = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    for index, (seen, flat, places, sizes) in enumerate(slices):
        finer = seen["backbone_fpn"][:2]
        image = model._prepare_memory_conditioned_features(index, index == 0, flat[-1:], places[-1:], sizes[-1:], memories, 100)
        if index == 0:
            result |= {"features.0": finer[0][:1], "features.1": finer[1][:1], "features.2": image[:1]}
            result["single"], result["single_iou"], *_ = decode(model, image, finer, prompts, False)
        logits, iou, tokens, presence = decode(model, image, finer, prompts, True)
        masks, token = best(logits, iou, tokens)
        result |= {f"masks.{index}": masks, f"iou.{index}": iou.max(-1).values, f"presence.{index}": presence[:, 0]}
        whole = torch.nn.functional.interpolate(masks[:, None], scale_factor=4.0, mode="bilinear", align_corners=False)
        there = torch.ones_like(presence) if index == 0 else (presence > 0).float()
        # The key slice is remembered as a sure mask; the others as likely as they are.
        whole = (whole > 0).float() * 2e4 - 1e4 if index == 0 else torch.where(there[..., None, None] > 0, whole, GONE)
        kept, kept_places = model._encode_new_memory(flat, sizes, whole, there * 2 - 1, False)
        pointer = there * model.obj_ptr_proj(token) + (1 - there) * model.no_obj_ptr
        kind = "cond_frame_outputs" if index == 0 else "non_cond_frame_outputs"
        memories[kind][index] = {"maskmem_features": kept, "maskmem_pos_enc": kept_places, "obj_ptr": pointer}
    return result


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    model = build(job)
    if "export" in job:
        model.load_state_dict(read_export(job["export"]), strict=True)
    else:
        randomise(model)
        torch.save({"model": model.state_dict()}, job["checkpoint"])
    inputs = load_file(job["inputs"])
    result = run(model, inputs["images"], inputs["prompts"])
    save_file({name: value.contiguous().clone() for name, value in result.items()}, job["result"])


main()
