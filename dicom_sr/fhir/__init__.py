"""A report as HL7 FHIR R5: ``to_fhir(version, study)``."""

from dicom_sr.fhir.bundle import to_fhir

__all__ = ["to_fhir"]
