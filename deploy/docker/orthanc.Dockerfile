# The archive, from the distribution: the version that the tests run with.
FROM debian:12-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends orthanc orthanc-dicomweb \
 && rm -rf /var/lib/apt/lists/*
RUN install --directory --owner orthanc --group orthanc /data
COPY deploy/docker/orthanc.json /etc/sightline/orthanc.json
COPY --chmod=0555 deploy/docker/orthanc-start /usr/local/bin/orthanc-start
USER orthanc
VOLUME /data
# Without it DCMTK waits about 50 ms for every instance that it receives.
ENV TCP_NODELAY=1
EXPOSE 8042 4242
CMD ["orthanc-start"]
