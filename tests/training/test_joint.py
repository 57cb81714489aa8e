from collections.abc import Callable

import pytest
import torch

from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from training.joint import Learner, Scaffold, cached, compared, total
from training.packing import Sample, join
from training.stages import Config as TrainingConfig
from training.stages import Stage, Weights, freeze, optimizer, part_of

SPOKEN = {"language": 1e-3, "vision": 1e-3, "aligner": 1e-3}
MASKED = {"projector": 1e-3, "segmenter": 1e-3}
MIXED = ("No nodule.", "There is a nodule [SEG] in the left lung.", "The right lung [SEG] is clear.\nThe left lung [SEG] is clear.")


def stage(rates: dict[str, float] | None = None, **changes: object) -> Stage:
    weights = Weights(token=1, dice=2, mask_cross_entropy=1, coverage=0.5)
    return Stage.model_validate({"name": "test", "steps": 4, "learning_rates": rates or SPOKEN | MASKED, "weights": weights} | changes)


@pytest.fixture
def learner(model: UnifiedModel) -> Learner:
    return Learner(model, Scaffold(model.config))


def test_packed_and_single_samples_give_the_same_losses_and_masks(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    samples = [make_sample(text, seed) for seed, text in enumerate(MIXED)]
    packed = learner(join(samples, language.seg), stage())
    single = [learner(join([sample], language.seg), stage()) for sample in samples]
    tokens = [int((sample.labels != -100).sum()) for sample in samples]
    masks = [text.count("[SEG]") for text in MIXED]
    for name, counts in (("token", tokens), ("dice", masks), ("mask_cross_entropy", masks)):
        mean = sum(losses[name].detach() * count for losses, count in zip(single, counts, strict=True) if count) / sum(counts)
        assert packed[name].item() == pytest.approx(mean.item(), abs=1e-4), name


def test_a_mixed_row_gives_every_mask_to_its_own_seg_token(
    model: UnifiedModel, language: Language, make_sample: Callable[..., Sample]
) -> None:
    samples = [make_sample(MIXED[0], 1), make_sample(MIXED[1], 2), make_sample("No nodule.", 3, image=False), make_sample(MIXED[2], 4)]
    row = join(samples, language.seg)
    targets = cached(model, row)
    alone = [cached(model, join([sample], language.seg)) for sample in (samples[1], samples[3])]
    assert torch.equal(targets.mask_images, torch.tensor([0, 1, 1]))
    assert torch.allclose(targets.states, torch.cat([single.states for single in alone]), atol=0.05)
    assert torch.equal(targets.masks, torch.cat([single.masks for single in alone]))
    assert torch.equal(targets.segmenter_pixels, torch.cat([single.segmenter_pixels for single in alone]))


def spoken_gradient(model: UnifiedModel, losses_of: Callable[[Stage], dict[str, torch.Tensor]], wanted: Stage) -> torch.Tensor:
    freeze(model, wanted)
    total(losses_of(wanted), wanted.weights).backward()
    found = [
        parameter.grad.flatten() for name, parameter in model.named_parameters() if name.startswith("mllm.") and parameter.grad is not None
    ]
    return torch.cat(found).clone()


def test_the_mask_gradient_into_the_language_model_is_scaled(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    row = join([make_sample(MIXED[2])], language.seg)

    def gradient(weights: Weights, factor: float, at: str = "seg_state") -> torch.Tensor:
        wanted = stage(SPOKEN, weights=weights, mask_gradient_scale=factor, mask_gradient_at=at)
        return spoken_gradient(model, lambda chosen: learner(row, chosen), wanted)

    token_only = gradient(Weights(token=1, dice=0, mask_cross_entropy=0), 1.0)
    both = Weights(token=1, dice=2, mask_cross_entropy=1)
    off, full = gradient(both, 0.0), gradient(both, 1.0)
    assert torch.allclose(off, token_only, atol=1e-7)
    distances = [(gradient(both, factor) - off).norm() for factor in (0.001, 0.1)]
    whole = (full - off).norm()
    assert whole > 1e-3
    assert distances[0] == pytest.approx(whole.item() * 0.001, rel=0.05)
    assert distances[0] < distances[1] < whole
    assert torch.allclose(gradient(both, 0.1, "projector_out") - off, (full - off) * 0.1, atol=1e-5)


def test_the_projector_and_the_segmenter_learn_at_full_size_while_the_gradient_is_scaled(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    row = join([make_sample(MIXED[1])], language.seg)
    norms = []
    for factor in (1.0, 0.001):
        wanted = stage(mask_gradient_scale=factor)
        groups = freeze(model, wanted)
        total(learner(row, wanted), wanted.weights).backward()
        norms.append(
            [torch.stack([p.grad.norm() for p in groups[part] if p.grad is not None]).norm() for part in ("projector", "segmenter")]
        )
    assert torch.allclose(torch.stack(norms[0]), torch.stack(norms[1]), rtol=1e-4)


@pytest.mark.parametrize(
    ("parts", "cached_rows"),
    [
        (("aligner",), 0),
        (("vision", "aligner", "language"), 0),
        (("vision", "aligner", "language", "projector", "segmenter"), 0),
        (("projector", "segmenter"), 1),
    ],
)
def test_a_stage_changes_its_own_parts_and_leaves_the_others_bit_identical(
    parts: tuple[str, ...],
    cached_rows: int,
    model: UnifiedModel,
    language: Language,
    learner: Learner,
    make_sample: Callable[..., Sample],
) -> None:
    row = join([make_sample(text, seed) for seed, text in enumerate(MIXED)], language.seg)
    masks = "segmenter" in parts
    weights = Weights(token=0 if cached_rows else 1, dice=2 * masks, mask_cross_entropy=1 * masks)
    wanted = stage(dict.fromkeys(parts, 1e-3), weights=weights, cached_rows=cached_rows)
    groups = freeze(model, wanted)
    steps = optimizer(groups, [], wanted, TrainingConfig(model="tiny", stages=(wanted,)))
    for block in steps.param_groups:
        block["lr"] = 1e-3
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    losses = learner(cached(model, row) if cached_rows else row, wanted)
    total(losses, wanted.weights).backward()
    steps.step()
    changed = {part_of(name) for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == set(parts)


def test_both_gradients_at_the_seg_states_are_told_and_only_the_masks_is_scaled(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    row = join([make_sample(MIXED[2])], language.seg)
    told = {}
    for factor in (1.0, 0.001):
        model.zero_grad()
        wanted = stage(mask_gradient_scale=factor)
        total(learner(row, wanted), wanted.weights).backward()
        told[factor] = {name: norm.item() for name, norm in learner.seg_gradients.items()}
    assert told[1.0]["seg_token_gradient"] == pytest.approx(told[0.001]["seg_token_gradient"], rel=1e-5)
    assert told[0.001]["seg_mask_gradient"] == pytest.approx(0.001 * told[1.0]["seg_mask_gradient"], rel=1e-3)
    assert told[1.0]["seg_mask_gradient"] > 0


def test_gradient_checkpointing_gives_the_same_gradient(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    row = join([make_sample(text, seed) for seed, text in enumerate(MIXED)], language.seg)
    plain = spoken_gradient(model, lambda chosen: learner(row, chosen), stage())
    model.mllm.activation_checkpointing_enable()
    assert model.mllm.is_activation_checkpointing
    again = spoken_gradient(model, lambda chosen: learner(row, chosen), stage())
    assert torch.allclose(again, plain, atol=1e-6)


def test_the_weights_of_the_released_code_swap_dice_and_cross_entropy() -> None:
    losses = {"token": torch.tensor(1.0), "dice": torch.tensor(10.0), "mask_cross_entropy": torch.tensor(100.0)}
    assert total(losses, Weights()).item() == 1 + 2 * 10 + 100
    assert total(losses, Weights(as_released=True)).item() == 1 + 10 + 2 * 100


def test_of_what_is_not_there_only_that_its_mask_is_worth_nothing_is_learned() -> None:
    masks = torch.zeros(2, 8, 8)
    masks[0, :4] = 1
    logits = torch.full((2, 8, 8), 3.0)
    weights = Weights(quality=1)
    both = compared(logits, torch.tensor([0.5, 0.5]), masks, weights)
    alone = compared(logits[:1], torch.tensor([0.5]), masks[:1], weights)
    assert torch.equal(both["dice"], alone["dice"])
    assert torch.equal(both["mask_cross_entropy"], alone["mask_cross_entropy"])
    assert both["quality"] == pytest.approx(0.125)  # the IoU of the first is 0.5, as expected; that of the second 0, not 0.5
    assert set(compared(logits[1:], torch.tensor([0.5]), masks[1:], weights)) == {"quality"}


def test_a_projector_learns_the_prompts_of_the_labels_without_a_mask(
    model: UnifiedModel, language: Language, learner: Learner, make_sample: Callable[..., Sample]
) -> None:
    known = cached(model, join([make_sample(text, seed) for seed, text in enumerate(MIXED)], language.seg))
    wanted = stage({"projector": 1e-2}, weights=Weights(token=0, dice=0, mask_cross_entropy=0, prompt=1))
    descent = torch.optim.Adam(model.seg_projector.parameters(), 1e-2)
    told = []
    for _ in range(60):
        losses = learner(known, wanted)
        assert set(losses) == {"prompt"}
        told.append(losses["prompt"].item())
        descent.zero_grad()
        losses["prompt"].backward()
        descent.step()
    assert told[-1] < 0.1 * told[0]
    assert learner.scaffold.prompts.weight.grad is None
