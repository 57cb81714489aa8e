"""The unified model: MLLM, [SEG] projector, SAM 2. Knows no PACS, no queue, no DICOM writing."""
