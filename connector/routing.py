"""Which images of a study does the model read? What is left out, and why, is said in a sentence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from pydicom import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from radiology.settings import WatcherSettings
from radiology.study import Series, Study

_IMAGES = frozenset(
    {
        CTImageStorage,
        EnhancedCTImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        MRImageStorage,
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
    }
)


@dataclass(frozen=True)
class Route:
    """The study narrowed to what is read, or None where nothing of it is; and why."""

    study: Study | None
    reason: str

    @property
    def description(self) -> str:
        """What is read, in words made of modality, body part and counts only: ``CT CHEST, 133 images``."""
        if self.study is None:
            return ""
        kinds: Counter[str] = Counter()
        for series in self.study.series:
            kinds[f"{series.modality} {series.body_part}".strip()] += len(series.instances)
        return "; ".join(f"{kind}, {count} image{'s'[: count > 1]}" for kind, count in sorted(kinds.items()))


def route(study: Study, settings: WatcherSettings) -> Route:
    """Choose the images that are read: of a wanted modality and body part, and neither localizers nor captured screens."""
    wanted = []
    left_out: Counter[str] = Counter()
    for series in study.series:
        obstacle = _obstacle(series, settings)
        images = () if obstacle else tuple(instance for instance in series.instances if _is_image(instance))
        if images:
            wanted.append(replace(series, instances=images))
        if len(images) < len(series.instances):
            left_out[obstacle or f"{series.modality} localizer or captured screen"] += 1
    excluded = "; ".join(f"{reason} ({count} series)" for reason, count in sorted(left_out.items()))
    if not wanted:
        return Route(None, f"Nothing in it is read: {excluded}.")
    return Route(replace(study, series=tuple(wanted)), f"Left out: {excluded}." if excluded else "Every series is read.")


def _obstacle(series: Series, settings: WatcherSettings) -> str:
    """Say why a whole series is not read; empty where it may be."""
    if series.modality not in settings.modalities:
        return f"modality {series.modality or 'missing'} is none of {', '.join(settings.modalities)}"
    if series.body_part.strip().upper() not in settings.body_parts:
        return f"body part {series.body_part} is none of {', '.join(filter(None, settings.body_parts))}"
    return ""


def _is_image(instance: Dataset) -> bool:
    return instance.get("SOPClassUID") in _IMAGES and "LOCALIZER" not in (instance.get("ImageType") or ())
