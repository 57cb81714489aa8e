"""Report <-> DICOM objects: Structured Report and Segmentation. No network, no torch.

``write(study, report)`` gives the objects, ``read(instances, study)`` the report back, and ``is_ours`` tells our objects from others.
"""

from dicom_sr.identity import is_ours, with_tracking_uids
from dicom_sr.read import read
from dicom_sr.write import write

__all__ = ["is_ours", "read", "with_tracking_uids", "write"]
