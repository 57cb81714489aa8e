"""Report <-> DICOM objects: Structured Reports and Segmentations. No network, no torch.

``write(study, report)`` gives the objects, ``read(instances, study)`` the report in force back, ``history`` every version that
there was; ``revise`` makes the next version from a radiologist's verdicts and ``reject`` takes results back. ``is_ours`` tells our
objects from others.
"""

from dicom_sr.identity import as_written, is_ours
from dicom_sr.rejection import reject
from dicom_sr.revise import revise
from dicom_sr.versions import State, Version, current, history, read, taken_back
from dicom_sr.write import write

__all__ = ["State", "Version", "as_written", "current", "history", "is_ours", "read", "reject", "revise", "taken_back", "write"]
