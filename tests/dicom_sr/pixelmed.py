"""PixelMed's DicomSRValidator, the judge of IHE's AIR profile, on many files in one Java process.

    python -m tests.dicom_sr.pixelmed FILE...    -> {file: what it says}, as JSON

A process of its own, as a Java machine cannot be ended within Python; one for all, as it needs seconds to compile its templates.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

JAR = Path("/usr/share/java/pixelmed.jar")
OPTIONS = (
    # Java 17 refuses its expressions as too large without these.
    *(f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")),
    "-Xss16m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)


def validate(files: Sequence[str]) -> dict[str, str]:
    """Return what the validator says about each file."""
    import jpype  # here, so that nobody else of this module's importers needs Java

    if not JAR.exists():
        raise FileNotFoundError(f"{JAR} is missing; install the Debian packages libpixelmed-java and default-jre-headless.")
    jpype.startJVM(*OPTIONS, classpath=[str(JAR)])
    validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")()
    return {file: str(validator.validate(file)) for file in files}


if __name__ == "__main__":
    print(json.dumps(validate(sys.argv[1:])))
