# A node of the control plane, with the command line, from the folder that
# testmesh-image_VERSION_ARCH.tar.gz unpacks to.
FROM scratch
# Certificates, a user, and a /tmp that everybody may write to.
COPY common/ /
COPY bin/testmesh /usr/bin/testmesh
COPY --chown=65532:65532 state /var/lib/testmesh
# The last two are for commands in the container: testmesh agents token, and so on.
ENV PATH=/usr/bin \
    TESTMESH_SERVER_DATA=/var/lib/testmesh \
    TESTMESH_SERVER_ADDR=0.0.0.0:7070 \
    TESTMESH_SERVER=http://127.0.0.1:7070 \
    TESTMESH_KEY_FILE=/var/lib/testmesh/admin.key
USER 65532:65532
VOLUME /var/lib/testmesh
EXPOSE 7070 7072
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["testmesh", "agent", "probe", "127.0.0.1:7070"]
ENTRYPOINT ["testmesh"]
CMD ["server"]
