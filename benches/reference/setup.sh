#!/usr/bin/env bash
# The optional reference side of `cargo bench`: an environment with the reference library in a folder of your
# choice outside the project, and the model as a directory that it can read.
#
#   benches/reference/setup.sh DIR [FILE.gguf]      needs python3 (3.10 or newer), about 3 GB
#
# FILE.gguf is the model that the benchmarks load, as `polylens models pull` fetched it; its directory is made as
# DIR/model. Without it take any Hugging Face directory of the model that POLYLENS_BENCH_MODEL names.
# Then: POLYLENS_REFERENCE_PYTHON=DIR/bin/python POLYLENS_REFERENCE_MODEL=DIR/model cargo bench --bench table
# (or full_lens, evaluate, train)
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  sed -n '2,10p' "$0" | cut -c3-
  exit 2
fi
python3 -m venv "$1"
"$1/bin/pip" install -q torch==2.9.1 transformers==4.57.6 peft==0.18.1 tokenizers==0.22.2 gguf safetensors
"$1/bin/python" -c 'import torch, transformers, peft; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)'
if [ $# -eq 2 ]; then
  "$1/bin/python" "$(dirname "$0")/to_directory.py" "$2" "$1/model"
fi
