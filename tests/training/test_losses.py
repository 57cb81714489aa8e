import pytest
import torch

from training.losses import coverage_loss, dice_loss, mask_cross_entropy, scale_gradient, token_loss


def logit(probability: float) -> float:
    return float(torch.logit(torch.tensor(probability, dtype=torch.float64)))


def test_dice_equals_the_hand_computed_value() -> None:
    logits = torch.tensor([[[logit(0.8), logit(0.4)], [logit(0.1), logit(0.3)]]])
    masks = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert dice_loss(logits, masks).item() == pytest.approx(1 - (2 * 1.1 + 1) / (1.6 + 2 + 1), abs=1e-6)


def test_mask_cross_entropy_equals_the_hand_computed_value() -> None:
    logits = torch.tensor([[[logit(0.8), logit(0.5)]]])
    masks = torch.tensor([[[1.0, 0.0]]])
    expected = -(torch.log(torch.tensor(0.8)) + torch.log(torch.tensor(0.5))) / 2
    assert mask_cross_entropy(logits, masks).item() == pytest.approx(expected.item(), abs=1e-6)


def test_an_empty_target_is_finite_and_prefers_the_emptier_prediction() -> None:
    empty = torch.zeros(1, 4, 4)
    losses = [dice_loss(torch.full((1, 4, 4), level), empty).item() for level in (-20.0, -2.0, 2.0)]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses == sorted(losses)
    assert losses[2] < 1


def test_token_loss_is_the_mean_over_tokens() -> None:
    logits = torch.tensor([[0.0, 0.0], [torch.log(torch.tensor(3.0)), 0.0]])
    expected = (torch.log(torch.tensor(2.0)) + torch.log(torch.tensor(4.0))) / 2
    assert token_loss(logits, torch.tensor([0, 1])).item() == pytest.approx(expected.item(), abs=1e-6)


def test_coverage_loss_sums_over_parts() -> None:
    logits = torch.zeros(5, 3)
    assert coverage_loss(logits, torch.rand(5, 3), torch.ones(3)).item() == pytest.approx(3 * 0.693147, abs=1e-5)


def test_nothing_is_learned_of_where_a_part_is_that_nobody_looked_for() -> None:
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = coverage_loss(logits, torch.tensor([[1.0, torch.nan], [0.0, torch.nan]]), torch.ones(2))
    loss.backward()
    assert loss.item() == pytest.approx(0.693147, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad[:, 1].tolist() == [0, 0]


def test_coverage_loss_weighs_where_a_rare_part_is() -> None:
    coverage = torch.tensor([[1.0], [0.0]])
    assert coverage_loss(torch.zeros(2, 1), coverage, torch.tensor([8.0])).item() == pytest.approx(4.5 * 0.693147, abs=1e-5)


@pytest.mark.parametrize("factor", [0.0, 0.001, 1.0])
def test_scaled_gradient_keeps_the_value(factor: float) -> None:
    value = torch.tensor([2.0, 3.0], requires_grad=True)
    result = scale_gradient(value, factor)
    assert torch.equal(result, value)
    (result * torch.tensor([5.0, 7.0])).sum().backward()
    assert value.grad is not None
    assert torch.allclose(value.grad, torch.tensor([5.0, 7.0]) * factor)
