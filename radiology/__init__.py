"""The words everyone uses: study, image, finding, report, job. No I/O beyond files, no torch."""
