#!/bin/sh
# Build llama-cpp-python's server and three tiny models in a folder, and install LiteLLM's proxy beside it: the tests
# marked `real` find both in AURA_REAL.
# usage: sh tests/real/setup.sh FOLDER      (once; three minutes on two idle cores, up to 14 on busy ones; 600 MB)
set -eu
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
python=$folder/venv/bin/python

mkdir -p "$folder"
if ! "$python" -c "import llama_cpp.server.app, gguf" 2>/dev/null; then
    python3 -m venv "$folder/venv"
    # -O0 and no variants for other processors: it is built fast, and the model is tiny.
    CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DGGML_LLAMAFILE=OFF -DGGML_OPENMP=OFF -DGGML_CPU_REPACK=OFF \
-DLLAMA_BUILD_COMMON=OFF -DCMAKE_CXX_FLAGS_RELEASE=-O0 -DCMAKE_C_FLAGS_RELEASE=-O0" \
        nice -n 10 "$python" -m pip install --quiet "llama-cpp-python[server]==0.3.36" "gguf>=0.19,<1" numpy
fi
if ! "$folder/litellm/bin/python" -c "import litellm.proxy.proxy_cli" 2>/dev/null; then
    python3 -m venv "$folder/litellm"
    "$folder/litellm/bin/python" -m pip install --quiet "litellm[proxy]==1.108.7"
fi
for kind in plain think loop; do
    "$python" "$here/make_tiny_gguf.py" "$folder/$kind.gguf" "$kind"
done
