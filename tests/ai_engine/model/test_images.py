import numpy as np
import pytest
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed

# Source shape, spacing: square, tall, wide, anisotropic both ways, smaller than the picture, and a padded film.
SOURCES = [
    ((512, 512), None),
    ((301, 200), None),
    ((200, 333), (0.143, 0.143)),
    ((128, 256), (2.0, 1.0)),
    ((400, 100), (0.7, 2.5)),
    ((90, 60), (1.0, 1.0)),
    ((2022, 1736), (0.171, 0.171)),
]


@pytest.mark.parametrize("size", [224, 256])
@pytest.mark.parametrize(("shape", "spacing_mm"), SOURCES)
def test_a_square_comes_home_within_a_pixel(shape: tuple[int, int], spacing_mm: tuple[float, float] | None, size: int) -> None:
    frame = Letterbox.fit(shape, size, spacing_mm)
    rows, columns = shape
    box = (rows // 4, columns // 3, rows // 4 + rows // 5, columns // 3 + columns // 4)
    source = np.zeros(shape, bool)
    source[box[0] : box[2], box[1] : box[3]] = True
    # The model sees the picture and marks what it sees there; where the source is finer, a picture pixel is the limit.
    seen = frame.image(np.where(source, 255, 0).astype(np.uint8)[None])[0]
    restored = frame.logits_to_source(seen - 127.5) > 0
    tolerance = np.ceil([rows / frame.height, columns / frame.width]).clip(1)
    edges = np.flatnonzero(restored.any(1))[[0, -1]] + (0, 1), np.flatnonzero(restored.any(0))[[0, -1]] + (0, 1)
    assert np.abs(edges[0] - (box[0], box[2])).max() <= tolerance[0]
    assert np.abs(edges[1] - (box[1], box[3])).max() <= tolerance[1]


@pytest.mark.parametrize(("shape", "spacing_mm"), SOURCES)
def test_a_box_comes_home_within_a_picture_pixel(shape: tuple[int, int], spacing_mm: tuple[float, float] | None) -> None:
    frame = Letterbox.fit(shape, 224, spacing_mm)
    rows, columns = shape
    box = (rows // 5, columns // 7, rows // 2, columns // 2)
    again = frame.box_to_source(frame.box_to_model(box))
    assert again is not None
    tolerance = np.ceil([rows / frame.height, columns / frame.width] * 2) + 0.5
    assert (np.abs(np.subtract(again, box)) <= tolerance).all()


def test_the_whole_image_is_shown_with_its_true_proportions() -> None:
    frame = Letterbox.fit((100, 300), 224, (3.0, 0.5))
    assert (frame.height, frame.width) == (224, 112)
    assert (frame.top, frame.left) == (0, 56)
    picture = frame.image(np.full((3, 100, 300), 255, np.uint8))
    assert picture[:, :, 56:168].min() == 255
    assert picture[:, :, :56].max() == picture[:, :, 168:].max() == 0


def test_a_box_outside_the_source_is_no_box() -> None:
    frame = Letterbox.fit((100, 50), 224)
    assert frame.box_to_source((10, 0, 200, 40)) is None
    assert frame.box_to_source((0, 0, 224, 224)) == (0, 0, 100, 50)


def test_a_training_mask_keeps_its_area() -> None:
    frame = Letterbox.fit((203, 150), 256)
    mask = np.zeros((203, 150), bool)
    mask[50:90, 30:100] = True
    target = frame.mask_to_model(mask, 64)
    cell = (203 / frame.height) * (150 / frame.width) * 16
    assert target.sum() * cell == pytest.approx(mask.sum(), rel=1e-4)
    assert target.max() == pytest.approx(1)


def test_a_training_mask_comes_home() -> None:
    frame = Letterbox.fit((512, 400), 256)
    row, column = np.mgrid[:512, :400]
    mask = (row - 250) ** 2 / 4 + (column - 210) ** 2 < 60**2
    restored = frame.logits_to_source(frame.mask_to_model(mask, 64) - 0.5) > 0
    assert 2 * (mask & restored).sum() / (mask.sum() + restored.sum()) > 0.98


def test_ct_is_shown_in_lung_mediastinum_and_bone_windows() -> None:
    hu = np.asarray([[-1350.0, -600.0, 150.0, 40.0, 240.0, 1300.0]], np.float32)
    lung, mediastinum, bone = windowed(hu, "ct")[:, 0]
    assert (lung[0], lung[1], lung[2]) == (0, 128, 255)
    assert (mediastinum[0], mediastinum[3], mediastinum[4]) == (0, 128, 255)
    assert bone[5] == 255


def film(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 200, (300, 250)).astype(np.float32)


def test_a_black_border_does_not_change_how_the_anatomy_is_shown() -> None:
    plain = film()
    bordered = np.pad(plain, 60)
    assert np.abs(windowed(bordered, "projection")[:, 60:-60, 60:-60].astype(int) - windowed(plain, "projection")).max() <= 2


def test_a_few_wild_pixels_do_not_change_how_the_anatomy_is_shown() -> None:
    plain = film()
    wild = plain.copy()
    wild[0, :5] = 1e6
    assert np.abs(windowed(wild, "projection")[:, 1:].astype(int) - windowed(plain, "projection")[:, 1:]).max() <= 2


def test_windowing_a_windowed_image_again_changes_little() -> None:
    first = windowed(film(), "projection")
    again = windowed(first[0].astype(np.float32), "projection")
    assert np.abs(again.astype(int) - first).max() <= 4


def test_the_equalised_channel_ignores_the_tone_curve() -> None:
    plain = film().clip(1)
    assert np.abs(windowed(plain**2, "projection")[2].astype(int) - windowed(plain, "projection")[2]).max() <= 1


@pytest.mark.parametrize("value", [0.0, 1000.0])
def test_an_image_of_one_value_is_shown_without_trouble(value: float) -> None:
    assert windowed(np.full((10, 12), value, np.float32), "projection").shape == (3, 10, 12)


def test_patches_are_those_of_qwens_own_processor() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    processor = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, temporal_patch_size=2, min_pixels=112 * 112, max_pixels=112 * 112)
    expected = np.asarray(processor(Image.fromarray(picture), return_tensors="np")["pixel_values"])
    assert np.abs(mllm_input(picture.transpose(2, 0, 1).astype(np.float32)) - expected).max() < 1e-5


def test_the_segmenter_sees_the_same_picture_normalised() -> None:
    black = segmenter_input(np.zeros((3, 64, 64), np.float32))
    assert black.shape == (3, 64, 64)
    assert black[:, 0, 0] == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-3)
