#!/bin/sh
# Entry point of the engine images.
#   engine prepare ID...         fetch and import models into the volume, then end
#   engine serve ID [options]    serve one of them; options go to vLLM as they are
set -eu

word=${1:-}
[ $# -ge 2 ] || { echo "usage: engine prepare ID... | engine serve ID [vLLM options]" >&2; exit 2; }
shift

case "$word" in
  prepare)
    for id in "$@"; do
      headrace models import "$id"
    done
    ;;
  serve)
    id=$1
    shift
    model=$(headrace models path "$id")
    exec python -m vllm.entrypoints.openai.api_server \
      --model "$model" --served-model-name "$id" \
      --host 0.0.0.0 --port 8000 \
      --block-size 32 --max-num-seqs 16 --kv-cache-memory-bytes "${ENGINE_KV_BYTES:-1073741824}" \
      --shutdown-timeout 30 --enforce-eager \
      "$@"
    ;;
  *)
    echo "engine: no command '$word'; one of: prepare, serve" >&2
    exit 2
    ;;
esac
