# The gateway alone: no torch, no compiler, not root. Build from the repository: docker build -f docker/gateway.Dockerfile .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements/pip.lock requirements/serve.lock requirements/
RUN python -m venv /opt/headrace \
 && /opt/headrace/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/pip.lock \
 && /opt/headrace/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/serve.lock
COPY . .
RUN /opt/headrace/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim-bookworm
# The certificates of the distribution, for upstreams with an https URL.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --no-install-recommends --yes ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 headrace \
 && install --directory --owner headrace /var/lib/headrace
COPY --from=build /opt/headrace /opt/headrace
COPY docker/cascade.yaml /etc/headrace/config.yaml
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADRACE_HOME=/var/lib/headrace
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["headrace"]
CMD ["serve", "--config", "/etc/headrace/config.yaml"]
