"""Every wire to the outside: DICOM, DICOMweb, the viewer's API, the queue, the ledger of jobs. No torch."""
