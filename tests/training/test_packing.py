import pytest
import torch

from training.packing import IGNORED, Sample, best_fit, join, pack

SEG = 9


def text(length: int, name: str = "text") -> Sample:
    ids = torch.arange(100, 100 + length)
    return Sample(ids, ids.clone(), torch.arange(length).expand(3, -1), name=name)


def seen(ids: list[int], masks: int, name: str) -> Sample:
    tokens = torch.tensor(ids)
    return Sample(
        tokens,
        tokens.clone(),
        torch.arange(len(ids)).expand(3, -1),
        torch.full((4, 6), float(len(ids))),
        torch.full((3, 8, 8), float(len(ids))) if masks else None,
        torch.stack([torch.full((4, 4), 10.0 * len(ids) + index) for index in range(masks)]) if masks else torch.zeros(0, 4, 4),
        torch.zeros(1, 3),
        name,
        len(ids) + torch.arange(masks),
    )


def test_the_papers_figure_15_needs_three_rows() -> None:
    rows = best_fit([7, 4, 3], limit=5)
    assert sorted(sorted(piece.length for piece in row) for row in rows) == [[2, 3], [4], [5]]
    assert len({piece.sample for row in rows for piece in row if piece.length < [7, 4, 3][piece.sample]}) == 1


def test_every_token_is_placed_once_and_no_row_overflows() -> None:
    lengths = [int(length) for length in torch.randint(1, 40, (60,), generator=torch.Generator().manual_seed(0))]
    rows = best_fit(lengths, limit=24)
    assert all(sum(piece.length for piece in row) <= 24 for row in rows)
    placed = sorted((piece.sample, token) for row in rows for piece in row for token in range(piece.start, piece.stop))
    assert placed == [(sample, token) for sample, length in enumerate(lengths) for token in range(length)]


def test_a_sample_with_an_image_is_never_cut() -> None:
    with pytest.raises(ValueError, match="may not be cut"):
        best_fit([7, 4], limit=5, whole=[True, False])
    dropped: list[str] = []
    rows = pack([seen([1] * 7, 0, "long"), text(12), seen([1, SEG], 1, "short")], 5, SEG, dropped.append)
    assert dropped == ["long"]
    assert sorted(name for row in rows for name in row.names) == ["short", "text", "text", "text"]


def test_a_cut_text_restarts_its_positions() -> None:
    rows = pack([text(7)], 5, SEG, lambda _: None)
    for row in rows:
        length = row.input_ids.shape[1]
        assert torch.equal(row.position_ids[:, 0], torch.arange(length).expand(4, -1))
        assert row.labels[0, 0] == IGNORED


def test_mask_rows_follow_their_seg_tokens_in_a_mixed_row() -> None:
    question = seen([1, 2, 3], 0, "question")
    one = seen([1, SEG, 4, SEG], 2, "two masks")
    other = seen([1, 5, 5, 5, SEG], 1, "one mask")
    row = join([question, one, text(2), other], SEG)
    assert row.mask_places.tolist() == [[0, 4], [0, 6], [0, 13]]
    assert (row.input_ids[0, row.mask_places[:, 1]] == SEG).all()
    assert row.masks[:, 0, 0].tolist() == [40.0, 41.0, 50.0]
    assert row.segmenter_pixels[row.mask_images, 0, 0, 0].tolist() == [4.0, 4.0, 5.0]
    assert row.mask_labels.tolist() == [4, 5, 5]
    assert row.pixel_values is not None
    assert row.pixel_values.shape == (12, 6)
    assert row.position_ids[0, 0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4]


def test_a_seg_token_without_a_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 \\[SEG\\] tokens and 0 masks"):
        join([seen([1, SEG], 0, "broken")], SEG)
