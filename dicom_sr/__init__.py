"""Report <-> DICOM objects: Structured Report and Segmentation. No network, no torch."""
