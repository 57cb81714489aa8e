# One recipe, three images:
#   connector   listener, watcher, and the API with the viewer (no torch)
#   backup      the same and PostgreSQL's programs, for `sightline backup` and `sightline restore`
#   worker      the same and the model
FROM node:20-bookworm-slim AS viewer
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY deploy/__init__.py deploy/ohif.py deploy/
RUN mv "$(python3 -m deploy.ohif cache)" /viewer
COPY ohif-extension ohif-extension
RUN cd ohif-extension && npm ci --no-fund --no-audit && npm run build

FROM python:3.11-slim-bookworm AS connector
RUN useradd --uid 10001 --create-home sightline \
 && install --directory --owner sightline /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY radiology radiology
COPY dicom_sr dicom_sr
COPY connector connector
RUN pip install --no-cache-dir -c constraints.txt .
COPY --from=viewer /viewer viewer
COPY --from=viewer /build/ohif-extension/dist extension
USER sightline
VOLUME /data
ENV SIGHTLINE_DATA_FOLDER=/data \
    SIGHTLINE_API__VIEWER_FOLDER=/app/viewer \
    SIGHTLINE_API__EXTENSION_FOLDER=/app/extension
CMD ["python", "-m", "connector", "serve"]

FROM connector AS backup
USER root
RUN apt-get update \
 && apt-get install -y --no-install-recommends postgresql-client \
 && rm -rf /var/lib/apt/lists/*
USER sightline
CMD ["sightline", "backup", "--help"]

FROM connector AS worker
USER root
# torch by itself first: asked for together with others, pip may choose another build of it.
RUN pip install --no-cache-dir -c constraints.txt "$(grep '^torch==' constraints.txt)"
COPY ai_engine ai_engine
RUN pip install --no-cache-dir -c constraints.txt ".[engine]"
USER sightline
CMD ["python", "-m", "ai_engine.worker"]
