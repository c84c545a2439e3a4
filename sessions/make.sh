#!/bin/sh
# Makes the shipped sessions again, from the repository's root: sessions/make.sh [NAME…]
# It takes the model gemma-3-270m (polylens models pull gemma-3-270m) and, for `alignment`, about ten minutes.
# The adapter of `aligned` and `evaluation` is the result of `alignment`, kept in assets/adapters.
set -eu
program=${POLYLENS:-polylens}
[ $# -gt 0 ] || set -- tour six-scripts aligned alignment evaluation
for name in "$@"; do
    "$program" sessions make "sessions/$name.script" --out "sessions/$name.jsonl" --force
done
