#!/usr/bin/env bash
# An evaluation as a job array of a cluster scheduler: N jobs compute a part each, then one command joins the parts.
#
#   sbatch --array=1-8 docs/eval-array.sh            SLURM: eight parts
#   qsub -t 1-8 docs/eval-array.sh                   Grid Engine
#   for i in $(seq 8); do PART=$i PARTS=8 bash docs/eval-array.sh; done      no scheduler
#
# afterwards, on any machine, without the model:
#   polylens eval --merge parts/part-*.json --out table.tex
#
# A job that is killed (time limit, preemption) goes on where it was when it is submitted again.
#SBATCH --job-name=polylens-eval
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --output=parts/%x-%a.log
set -euo pipefail

PART="${PART:-${SLURM_ARRAY_TASK_ID:-${SGE_TASK_ID:?give PART=I PARTS=N, or submit as an array}}}"
PARTS="${PARTS:-${SLURM_ARRAY_TASK_COUNT:-${SGE_TASK_LAST:?give PARTS=N}}}"
mkdir -p parts

# Everything that decides the result must be the same in all parts; --merge refuses what is not.
polylens eval \
  --model gemma-3-270m \
  --task nli --langs all --style english \
  --threads "${SLURM_CPUS_PER_TASK:-0}" \
  --shard "$PART/$PARTS" --out "parts/part-$PART.json"
