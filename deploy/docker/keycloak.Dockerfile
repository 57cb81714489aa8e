# The issuer of identities, made ready at build time, so that it starts fast and on a file system that it cannot write to.
FROM quay.io/keycloak/keycloak:26.4 AS built
ENV KC_DB=postgres \
    KC_CACHE=local \
    KC_HEALTH_ENABLED=true
RUN /opt/keycloak/bin/kc.sh build

FROM quay.io/keycloak/keycloak:26.4
COPY --from=built /opt/keycloak/ /opt/keycloak/
COPY deploy/docker/keycloak-realm.json /opt/keycloak/data/import/sightline-realm.json
COPY --chmod=0555 deploy/docker/keycloak-start /opt/keycloak-start
USER 1000
EXPOSE 8080
ENTRYPOINT ["/opt/keycloak-start"]
