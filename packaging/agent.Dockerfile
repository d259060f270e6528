# The agent alone, from the folder that testmesh-image_VERSION_ARCH.tar.gz unpacks to.
FROM scratch
# Certificates, a user, and a /tmp that everybody may write to.
COPY common/ /
COPY bin/testmesh-agent /usr/bin/testmesh-agent
COPY --chown=65532:65532 state /var/lib/testmesh-agent
ENV PATH=/usr/bin \
    TESTMESH_AGENT_DATA=/var/lib/testmesh-agent \
    TESTMESH_AGENT_LISTEN=127.0.0.1:9101 \
    TESTMESH_AGENT_DRAIN=15m
USER 65532:65532
VOLUME /var/lib/testmesh-agent
# SIGTERM drains: give it longer than TESTMESH_AGENT_DRAIN (docker stop --time, stop_grace_period).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["testmesh-agent", "status"]
ENTRYPOINT ["testmesh-agent"]
