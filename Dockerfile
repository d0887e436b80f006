# Targets: proxy (Envoy and the processor under one supervisor), extproc, envoy, dashboard, simulator.
#
#   docker build --target proxy --tag zai-proxy .
#
# BASE_IMAGE is any Debian with python3 (3.11 or newer), its venv module and ca-certificates.
# Behind a proxy with certificates of its own: --secret id=ca,src=ca.pem
ARG BASE_IMAGE=python:3.11-slim-bookworm

# BUILD. Dependencies by hash from the lock file, the package itself from the checkout, everything in one directory.
FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
SHELL ["/bin/sh", "-eu", "-c"]
WORKDIR /src
COPY requirements.txt deploy/image/requirements-build.txt ./
RUN --mount=type=secret,id=ca \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    python3 -m venv /tools; \
    python3 -m venv --without-pip /opt/zai-proxy; \
    /tools/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements-build.txt; \
    /tools/bin/pip --python /opt/zai-proxy/bin/python install --quiet --no-compile \
      --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY envoy envoy
COPY common common
COPY extproc extproc
COPY simulator simulator
COPY dashboard dashboard
COPY canary canary
# Without BUILD_COMMIT the wheel takes the commit from the checkout, where the context is one.
RUN --mount=type=bind,target=/context \
    if [ -d /context/.git ]; then cp -r /context/.git .git; fi; \
    SOURCE_DATE_EPOCH=315532800 /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels .; \
    /tools/bin/pip --python /opt/zai-proxy/bin/python install --quiet --no-compile --no-deps --no-index /wheels/*.whl; \
    mkdir -p /apart; \
    for binary in /opt/zai-proxy/lib/python3*/site-packages/envoy/_bin/envoy; do \
      mv "$binary" /apart/envoy; ln -s /opt/zai-proxy/envoy "$binary"; \
    done; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/zai-proxy/lib
COPY deploy/image/*.py /opt/zai-proxy/

# What the simulator needs beyond that.
FROM build AS build-simulator
COPY deploy/image/requirements-simulator.txt ./
RUN --mount=type=secret,id=ca \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    /tools/bin/pip --python /opt/zai-proxy/bin/python install --quiet --no-compile \
      --require-hashes --only-binary :all: -r requirements-simulator.txt; \
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/zai-proxy/lib

# The page is built beforehand (make page). DASHBOARD_PAGE=plain ships the page without scripts.
FROM build AS build-dashboard
ARG DASHBOARD_PAGE=built
RUN [ "${DASHBOARD_PAGE}" = plain ] || test -f dashboard/static/index.html \
    || { echo "dashboard/static/index.html is missing: build the page first" >&2; exit 1; }

# SYSTEM. The base without what only a person or a package manager needs.
FROM ${BASE_IMAGE} AS system
RUN rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian /usr/share/bug \
      /usr/share/perl* /usr/lib/*/perl* /usr/bin/perl* /usr/lib/*/libperl* /usr/share/python-wheels \
      /usr/lib/python3*/ensurepip /usr/lib/python3*/test /usr/lib/python3*/idlelib /usr/lib/python3*/lib2to3 \
      /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/test /usr/local/lib/python3*/idlelib \
      /usr/local/lib/python3*/site-packages/* /usr/local/bin/pip* \
      /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt* /var/lib/apt /var/cache/* /var/log/* /tmp/* /root/.cache \
    && mkdir -m 1777 /data /state

# Copied as a whole on purpose: what SYSTEM removed is then in no layer.
FROM scratch AS runtime
# hadolint ignore=DL3067
COPY --from=system / /
ARG VERSION=dev
ARG BUILD_COMMIT=unknown
ARG BUILD_TIME=unknown
LABEL org.opencontainers.image.title="zai-proxy" \
      org.opencontainers.image.description="One address for all your tools on a Z.AI GLM subscription" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${BUILD_COMMIT}" \
      org.opencontainers.image.created="${BUILD_TIME}"
ENV PATH=/opt/zai-proxy/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BIND_ADDRESS=0.0.0.0 \
    LOG_FORMAT=json \
    ZAI_CA_FILE=/etc/ssl/certs/ca-certificates.crt \
    BUILD_COMMIT=${BUILD_COMMIT} \
    BUILD_TIME=${BUILD_TIME}
USER 65532:65532
WORKDIR /

FROM runtime AS extproc
COPY --from=build /opt/zai-proxy /opt/zai-proxy
EXPOSE 9090
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python3", "-P", "/opt/zai-proxy/healthcheck.py", "METRICS_PORT", "9090", "/readyz"]
ENTRYPOINT ["zai-proxy"]
CMD ["extproc"]

FROM runtime AS envoy
COPY --from=build /apart/envoy /usr/local/bin/envoy
COPY --from=build /opt/zai-proxy/drain.py /opt/zai-proxy/envoy_alive.py /opt/zai-proxy/healthcheck.py /opt/zai-proxy/
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python3", "-P", "/opt/zai-proxy/healthcheck.py", "PROXY_PORT", "8080", "/health"]
ENTRYPOINT ["envoy", "--disable-hot-restart", "--drain-time-s", "3000", "--drain-strategy", "immediate", "-l", "warning"]
CMD ["-c", "/run/zai-proxy/envoy.yaml"]

FROM runtime AS dashboard
COPY --from=build-dashboard /opt/zai-proxy /opt/zai-proxy
ENV DB_PATH=/data/dashboard.db
VOLUME /data
EXPOSE 8081
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python3", "-P", "/opt/zai-proxy/healthcheck.py", "DASHBOARD_PORT", "8081", "/healthz"]
ENTRYPOINT ["python3", "-P", "-m", "dashboard"]

FROM runtime AS simulator
COPY --from=build-simulator /opt/zai-proxy /opt/zai-proxy
ENV SIMULATOR_HOST=0.0.0.0
EXPOSE 8090
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python3", "-P", "/opt/zai-proxy/healthcheck.py", "SIMULATOR_PORT", "8090", "/_simulator/stats"]
ENTRYPOINT ["zai-proxy", "simulator"]

FROM runtime AS proxy
COPY --from=build /opt/zai-proxy /opt/zai-proxy
COPY --from=build /apart/envoy /opt/zai-proxy/envoy
EXPOSE 8080 9090
HEALTHCHECK --interval=5s --timeout=5s --start-period=20s --retries=6 \
  CMD ["python3", "-P", "/opt/zai-proxy/healthcheck.py", "METRICS_PORT", "9090", "/readyz"]
ENTRYPOINT ["zai-proxy"]
CMD ["run", "--no-dashboard"]
