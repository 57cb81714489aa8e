"""A radiologist's seat: one browser window with the viewer, and what can be seen and done in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import ConsoleMessage, Locator, Page
from scipy import ndimage

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "ohif-extension" / "node_modules" / "axe-core" / "axe.min.js"

NODULE = (255, 221, 51)
FLUID = (75, 220, 190)
"""The colours of radiology.terms for a nodule and a pleural effusion."""


class Seat:
    """One window. ``errors`` are the page's own, ``requests`` what it asked of whom."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self._origin = origin
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.requests.append((request.method, request.url)))
        page.add_init_script(path=Path(__file__).with_name("seen.js"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

    def open(self, study_uid: str, mode: str = "viewer") -> None:
        """Open a study in one of OHIF's modes and wait until its image is drawn and the panel has an answer."""
        self.page.goto(f"{self._origin}/{mode}?StudyInstanceUIDs={study_uid}", wait_until="commit")
        self.panel.wait_for()
        self.page.wait_for_function("window.seen.isDrawn()")
        self.panel.get_by_text("Asking for").wait_for(state="detached")

    @property
    def panel(self) -> Locator:
        """The report beside the images."""
        return self.page.locator(".sightline")

    def sentence(self, words: str) -> Locator:
        """The button of a finding, by its sentence."""
        return self.panel.get_by_role("button").filter(has_text=words).first

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        for key in keys:
            self.page.keyboard.press(key)

    def sign_in(self, family: str, given: str, organization: str) -> None:
        """Say in whose name verdicts are given."""
        form = self.panel.get_by_role("form", name="Who judges")
        if not form.is_visible():
            self.panel.get_by_role("button", name="Who are you?").click()
        form.get_by_label("Family name").fill(family)
        form.get_by_label("Given name").fill(given)
        form.get_by_label("Organization").fill(organization)
        form.get_by_role("button", name="Go on").click()

    def look_at_measurements_and_back(self) -> None:
        """Take another tab on the viewer's right side, where our panel is not, and ours again."""
        for tab in ("trackedMeasurements", "findings"):
            self.page.locator(f"[data-cy='{tab}-btn']").click()
            self.panel.wait_for(state="visible" if tab == "findings" else "detached")

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """Drag the mouse from one (row, column) of the image to another."""
        mouse = self.page.mouse
        mouse.move(*self.point(*start))
        mouse.down()
        mouse.move(*self.point(*stop), steps=8)
        mouse.up()

    def ask_about_a_box(self, top: float, left: float, bottom: float, right: float) -> Locator:
        """Drag a box on the image and ask for what is in it; returns where the answer comes."""
        self.panel.get_by_role("button", name="Box", exact=True).click()
        self.drag((top + 0.5, left + 0.5), (bottom - 0.5, right - 0.5))
        self.panel.get_by_role("button", name="Segment", exact=True).click()
        return self.panel.get_by_role("status", name="Answer")

    def await_boxes(self, labels: Sequence[str]) -> None:
        """Wait until the boxes on the images are those of these sentences, and no others."""
        self._await_equal("window.seen.boxes().map(each => each.label).sort()", sorted(labels))

    def await_segments(self, labels: Sequence[str]) -> None:
        """Wait until the masks on the images are these, and no others."""
        self._await_equal("window.seen.segments().flat().sort()", sorted(labels))

    def await_instance(self, instance_uid: str) -> None:
        """Wait until the active viewport shows this image."""
        self._await_equal("window.seen.instance()", instance_uid)

    def _await_equal(self, expression: str, expected: object) -> None:
        try:
            self.page.wait_for_function(f"expected => JSON.stringify({expression}) === JSON.stringify(expected)", arg=expected)
        except Exception as error:
            raise AssertionError(f"{expression} stayed {self.page.evaluate(expression)}; expected: {expected}") from error

    def seen(self, expression: str, *arguments: float) -> Any:
        """What seen.js tells, by the name of one of its functions."""
        return self.page.evaluate(f"given => window.seen.{expression}(...given)", list(arguments))

    @property
    def instance_uid(self) -> str | None:
        """The image in the active viewport."""
        uid: str | None = self.seen("instance")
        return uid

    @property
    def captions(self) -> str:
        """What is written on the images."""
        return " ".join(self.page.locator("svg.svg-layer text").all_text_contents())

    def scroll(self, instance_uid: str, by: int) -> None:
        """Turn the mouse wheel over the images, until the active viewport shows this one."""
        left, top, right, bottom = self.seen("area")
        self.page.mouse.move((left + right) / 2, (top + bottom) / 2)
        while (before := self.instance_uid) != instance_uid:
            self.page.mouse.wheel(0, by * 100)
            self.page.wait_for_function("before => window.seen.instance() !== before", arg=before)

    def point(self, row: float, column: float) -> tuple[float, float]:
        """Where on the page a pixel of the image is drawn: x, y."""
        x, y = self.seen("point", row, column)
        return x, y

    def picture(self, name: str) -> Picture:
        """The active viewport, in pixels of its image, when nothing moves any more; the page is kept as build/screenshots/NAME.png."""
        path = self._keep(name)
        if not self.seen("isDrawn"):
            return Picture(path, (), np.empty((0, 2)))
        corners = [self.seen("at", x, y) for x, y in ((0, 0), (1, 0), (0, 1))]
        return Picture(path, tuple(self.seen("area")), np.asarray(corners))

    def pictures(self, name: str) -> list[Picture]:
        """Every viewport, in millimetres of the patient."""
        path = self._keep(name)
        return [Picture(path, tuple(area), np.asarray(corners)) for area, corners in self.seen("panes")]

    def _keep(self, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        before, now = b"", self.page.screenshot()
        for _ in range(40):
            if before == now:
                break
            self.page.wait_for_timeout(300)
            before, now = now, self.page.screenshot()
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(now)
        return path

    def assert_accessible(self) -> None:
        """Nothing in the panel that axe calls serious or critical."""
        self.page.evaluate(AXE.read_text())
        violations = self.page.evaluate("axe.run('.sightline', { resultTypes: ['violations'] }).then(found => found.violations)")
        serious = [each for each in violations if each["impact"] in ("serious", "critical")]
        assert not serious, [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in serious]

    def assert_undisturbed(self) -> None:
        """No error, no question, and nothing asked of another host."""
        assert not self.errors, self.errors
        assert not (dialogs := self.seen("dialogs")), dialogs
        assert {url.split("/")[2].split(":")[0] for _, url in self.requests if url.startswith("http")} == {"127.0.0.1"}


@dataclass(frozen=True)
class Picture:
    """A screenshot, where a viewport is on it, and the places that are shown at the viewport's corner, one pixel beside and one below."""

    path: Path
    area: tuple[float, ...]
    corners: NDArray[np.float64]

    @cached_property
    def _pixels(self) -> NDArray[np.int64]:
        with Image.open(self.path) as picture:
            return np.asarray(picture.convert("RGB").crop(tuple(map(int, self.area))).convert("HSV"), int)  # type: ignore[arg-type]

    def _hued(self, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
        hue = Image.new("RGB", (1, 1), colour).convert("HSV").getpixel((0, 0))[0]  # type: ignore[index]
        return np.asarray((np.abs(self._pixels[..., 0] - hue) < 8) & (self._pixels[..., 1] > 60) & (self._pixels[..., 2] > 80))

    def coloured(self, colour: tuple[int, int, int]) -> int:
        """Number of the viewport's pixels that have the hue of a display colour."""
        return int(self._hued(colour).sum())

    def filled(self, colour: tuple[int, int, int]) -> list[float]:
        """The least coordinates and the greatest of the largest surface that a colour fills; lines and letters are none."""
        surfaces, _ = ndimage.label(ndimage.binary_opening(self._hued(colour), np.ones((5, 5), bool)))
        y, x = np.nonzero(surfaces == np.bincount(surfaces[surfaces > 0]).argmax())
        origin, right, down = self.corners
        places = origin + np.outer(x + 0.5, right - origin) + np.outer(y + 0.5, down - origin)
        return [*places.min(axis=0), *places.max(axis=0)]
