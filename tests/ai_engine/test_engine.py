"""From a study's images to a report whose places are where they are in the files, read by a tiny real model."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from ai_engine.engine import Engine
from ai_engine.model.assistant import Assistant
from ai_engine.model.config import PresenceConfig
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from radiology.errors import EngineError, UnreadableAnswer, UnsupportedImage
from radiology.finding import Box, Presence, Side
from radiology.report import ModelIdentity, Report
from radiology.settings import EngineSettings
from radiology.thinking import Look
from tests.ai_engine.chest_studies import COLUMNS, ROWS, ct, load, mirrored, multi_frame_ct, radiographs, tilted_ct
from tests.ai_engine.conftest import NODULE

IDENTITY = ModelIdentity("sightline-tiny", "0", "0" * 64)
NODULE_IN_FILE = Box((0, NODULE[0] * ROWS // 112, NODULE[1] * COLUMNS // 112), (1, NODULE[2] * ROWS // 112, NODULE[3] * COLUMNS // 112))


@pytest.fixture
def engine(taught_assistant: Assistant) -> Engine:
    return Engine(taught_assistant, IDENTITY, maximum_key_slices=3)


def read(engine: Engine, instances: list[FileDataset]) -> Report:
    return engine.read(*load(instances)).report


def place_of(report: Report, name: str) -> Box:
    (region,) = next(finding for finding in report.findings if finding.name == name).regions
    return region.box


def test_a_radiograph_becomes_sentences_with_places(engine: Engine) -> None:
    film = radiographs("PA")
    started = datetime(2026, 1, 2, tzinfo=UTC)
    report = engine.read(*load(film), started).report
    assert [(finding.name, finding.side, finding.presence) for finding in report.findings] == [
        ("lung", Side.RIGHT, Presence.PRESENT),
        ("nodule", Side.LEFT, Presence.PRESENT),
        ("pleural effusion", None, Presence.ABSENT),
    ]
    assert report.findings[1].sentence == "There is a nodule in the left lung."
    assert [len(finding.regions) for finding in report.findings] == [1, 1, 0]
    assert all(0 < finding.confidence <= 1 for finding in report.findings)
    assert report.impression.startswith("Left nodule")
    assert report.withheld == ()
    assert (report.study_uid, report.model, report.started) == (film[0].StudyInstanceUID, IDENTITY, started)
    assert report.instance_uids == (film[0].SOPInstanceUID,)
    assert place_of(report, "nodule").iou(NODULE_IN_FILE) > 0.1


@pytest.mark.parametrize("study", [lambda: radiographs("PA"), ct], ids=["radiograph", "CT"])
def test_of_what_the_weights_do_not_find_nothing_is_said_and_the_report_says_so(
    taught_assistant: Assistant, study: Callable[[], list[FileDataset]]
) -> None:
    report = read(Engine(taught_assistant, IDENTITY, maximum_key_slices=3, unreliable=["nodule", "pleural effusion"]), study())
    assert {finding.name for finding in report.findings} == {"lung"}
    assert report.impression.startswith("No finding is stated.")
    assert report.withheld == (
        'Nothing is said of nodule or pleural effusion, and "clear" does not exclude them: these weights were measured not to find them.',
    )


def test_the_steps_by_which_it_came_to_its_report_have_places_in_the_file_and_nothing_unreliable(taught_assistant: Assistant) -> None:
    def steps(instances: list[FileDataset], *unreliable: str) -> tuple[Look, ...]:
        return Engine(taught_assistant, IDENTITY, maximum_key_slices=3, unreliable=unreliable).read(*load(instances)).thinking

    plain, back = steps(radiographs("PA")), steps(mirrored(radiographs("PA")))
    assert [look.words for look in plain] == [look.words for look in back]
    for one, other in zip(plain, back, strict=True):
        if one.box is not None and other.box is not None:
            assert other.box.start == (*one.box.start[:2], COLUMNS - one.box.stop[2])
    assert plain[2].box is not None
    assert plain[2].box.iou(NODULE_IN_FILE) > 0.9
    assert not any("nodule" in look.words for look in steps(radiographs("PA"), "nodule"))
    assert {look.box.start[0] for look in steps(ct(6)) if look.box} == {1, 3, 5}


@pytest.mark.parametrize("study", [lambda: radiographs("PA"), ct], ids=["radiograph", "CT"])
def test_places_in_a_mirrored_image_are_mirrored_and_sides_stay(engine: Engine, study: Callable[[], list[FileDataset]]) -> None:
    plain, reversed_columns = read(engine, study()), read(engine, mirrored(study()))
    for name in ("lung", "nodule"):
        box, back = place_of(plain, name), place_of(reversed_columns, name)
        assert back.start == (*box.start[:2], COLUMNS - box.stop[2])
        assert back.stop == (*box.stop[:2], COLUMNS - box.start[2])
    assert [replace(finding, regions=()) for finding in plain.findings] == [
        replace(finding, regions=()) for finding in reversed_columns.findings
    ]


def test_a_ct_becomes_one_statement_per_name_over_its_slices_and_says_which_it_read(engine: Engine) -> None:
    slices = ct(6)
    report = read(engine, slices)
    assert [finding.name for finding in report.findings] == ["lung", "nodule", "pleural effusion"]
    (region,) = report.findings[0].regions
    assert region.mask is not None
    assert region.mask.any(axis=(1, 2)).all(), "no slice is skipped between key slices"
    assert region.box.stop[0] <= 6
    assert region.read_slices == (1, 3, 5)
    assert report.instance_uids == tuple(sorted(instance.SOPInstanceUID for instance in slices))
    assert "3 of 6 slices were read (slices 2, 4, 6 along the series)" in report.impression


def test_the_order_in_which_slices_arrive_does_not_matter(engine: Engine) -> None:
    slices = ct(4)
    started = datetime(2026, 1, 2, tzinfo=UTC)
    assert engine.read(*load(slices), started) == engine.read(*load(slices[::-1]), started)


@pytest.mark.parametrize("study", [tilted_ct, multi_frame_ct], ids=["tilted gantry", "multi-frame"])
def test_a_ct_is_read_alike_however_its_slices_stand_in_files_and_scanner(engine: Engine, study: Callable[[], list[FileDataset]]) -> None:
    plain, found = read(engine, ct()), read(engine, study())
    assert [[region.box for region in finding.regions] for finding in found.findings] == [
        [region.box for region in finding.regions] for finding in plain.findings
    ]
    assert [finding.sentence for finding in found.findings] == [finding.sentence for finding in plain.findings]
    assert found.impression == plain.impression


def test_a_lateral_view_is_left_out_and_the_report_says_so(engine: Engine) -> None:
    films = radiographs("PA", "LL")
    report = read(engine, films)
    assert report.instance_uids == (films[0].SOPInstanceUID,)
    assert {region.box.start[0] for finding in report.findings for region in finding.regions} == {0}
    assert report.impression.endswith("1 further image of the study was not read.")


def test_a_study_of_lateral_views_only_is_refused(engine: Engine) -> None:
    with pytest.raises(UnsupportedImage, match="only frontal views"):
        read(engine, radiographs("LL"))


def test_an_mr_is_refused(engine: Engine) -> None:
    slices = ct(3)
    for instance in slices:
        instance.Modality = "MR"
    with pytest.raises(UnsupportedImage, match="only CT is read"):
        read(engine, slices)


@pytest.mark.parametrize("study", [lambda: radiographs("PA"), ct], ids=["radiograph", "CT"])
def test_the_babble_of_an_untaught_model_is_an_unreadable_answer_and_kept(
    tiny_model: UnifiedModel, tiny_language: Language, study: Callable[[], list[FileDataset]]
) -> None:
    engine = Engine(Assistant(tiny_model, tiny_language, maximum_new_tokens=20), IDENTITY, maximum_key_slices=2)
    with pytest.raises(UnreadableAnswer) as raised:
        read(engine, study())
    assert raised.value.raw_text


def test_an_engine_loads_a_folder_of_weights_and_is_named_by_their_hash(taught_assistant: Assistant, tmp_path: Path) -> None:
    weights_hash = save_weights(tmp_path, taught_assistant.model, taught_assistant.language)
    engine = Engine.load(EngineSettings(weights=tmp_path, threads=1, maximum_key_slices=4))
    assert (engine.identity.name, engine.identity.weights_hash) == ("sightline-tiny", weights_hash)
    assert "key_slices=4" in engine.identity.configuration
    assert read(engine, radiographs("PA")).impression.startswith("Left nodule")


def test_the_same_weights_with_another_bound_of_doubt_are_another_model(
    taught_assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    configurations = set()
    for bound in (0.2, 0.4):
        doubting = taught_assistant.config.model_copy(update={"presence": PresenceConfig(doubt_below=bound)})
        monkeypatch.setattr(taught_assistant.model, "config", doubting)
        configurations.add(Engine.of(taught_assistant, EngineSettings()).identity.configuration)
    assert len(configurations) == 2, "their reports differ, so the first may not stand for the second"


def test_missing_weights_are_named_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="SIGHTLINE_ENGINE__WEIGHTS"):
        Engine.load(EngineSettings(weights=tmp_path / "none"))


def test_masks_lie_inside_the_image_whatever_its_size(engine: Engine) -> None:
    for region in (region for finding in read(engine, radiographs("PA")).findings for region in finding.regions):
        assert region.box.stop[1] <= ROWS
        assert region.box.stop[2] <= COLUMNS
        assert region.mask is not None
        assert np.count_nonzero(region.mask) >= 4
