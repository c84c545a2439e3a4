#!/usr/bin/env bash
# The optional reference side of `cargo bench`: an environment with the reference library in a folder of your
# choice outside the project, and the model as a directory that it can read.
#
#   benches/reference/setup.sh DIR                  needs python3 (3.10 or newer) and about 2 GB
#
# The model: any Hugging Face directory of the model that POLYLENS_BENCH_MODEL names.
# Then: POLYLENS_REFERENCE_PYTHON=DIR/bin/python POLYLENS_REFERENCE_MODEL=MODEL_DIR cargo bench --bench full_lens
# (or evaluate, or train)
set -euo pipefail
if [ $# -ne 1 ]; then
  sed -n '2,9p' "$0" | cut -c3-
  exit 2
fi
python3 -m venv "$1"
"$1/bin/pip" install -q torch==2.9.1 transformers==4.57.6 peft==0.18.1 tokenizers==0.22.2 safetensors
"$1/bin/python" -c 'import torch, transformers, peft; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)'
