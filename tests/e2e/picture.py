"""A picture of a study in a viewer that runs, for the documentation.

``python -m tests.e2e.picture http://127.0.0.1:8080 STUDY_UID FILE.png [SENTENCE]`` opens the study, waits until its masks and boxes
are drawn, clicks the sentence where one is given, and writes what is seen.
"""

import shutil
import sys

from tests.e2e.seat import Seat
from tests.e2e.stack import chromium


def main(origin: str, study_uid: str, file: str, sentence: str | None = None) -> None:
    """Take it."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-GB", reduced_motion="reduce")
        page.set_default_timeout(300_000)
        seat = Seat(page, origin.rstrip("/"))
        seat.open(study_uid)
        page.wait_for_function("window.seen.boxes().length > 0 && window.seen.segments().length > 0 && window.seen.isLoaded()")
        if sentence:
            seat.sentence(sentence).click()
        shutil.copy(seat.picture("documentation").path, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
