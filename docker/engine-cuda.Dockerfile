# One engine on an NVIDIA GPU: the same minor version of vLLM, torch with CUDA, the same entry point as the CPU image.
# The host brings the driver (NVIDIA Container Toolkit). Build: docker build -f docker/engine-cuda.Dockerfile .
FROM python:3.11-slim-bookworm
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --no-install-recommends --yes ca-certificates g++ libgomp1 libnuma1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 headrace \
 && install --directory --owner headrace /var/lib/headrace
WORKDIR /src
COPY requirements/pip.lock requirements/engine-cuda.lock requirements/
RUN python -m venv /opt/engine \
 && /opt/engine/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/pip.lock \
 && /opt/engine/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/engine-cuda.lock
COPY . .
RUN /opt/engine/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
COPY --chmod=755 docker/engine.sh /usr/local/bin/engine
ENV PATH=/opt/engine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADRACE_HOME=/var/lib/headrace \
    HF_HUB_OFFLINE=1 \
    VLLM_NO_USAGE_STATS=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["engine"]
