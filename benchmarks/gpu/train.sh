#!/usr/bin/env bash
# Trains face-256 for so many minutes, all included, from the newest checkpoint; people are rendered beside it.
#
#   benchmarks/gpu/train.sh OUT MINUTES [--device cpu] [--tiny] [any option of benchmarks.gpu.train]
#
# OUT holds few files and flat ones (see train.py), log.txt among them. It ends by itself before the time is over, and keeps what it has
# when a signal ends it sooner. --tiny is the dry run: a small model of 64 pixels, whose end may come a little late on a busy machine.
set -uo pipefail
cd "$(dirname "$0")/../.."
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$1 minutes=$2 && shift 2
case $minutes in '' | *[!0-9.]* | *.*.*) echo "MINUTES is a number: $minutes" >&2; exit 2 ;; esac
began=$(date +%s)
seconds=$(awk -v m="$minutes" 'BEGIN { printf "%d", 60 * m }')
options=() reserve=25 tiny= limit=$((seconds > 20 ? seconds - 8 : seconds))
while [ $# -gt 0 ]; do
  case $1 in
    --tiny) tiny=yes && shift ;;
    *) options+=("$1") && shift ;;
  esac
done
if [ -n "$tiny" ]; then
  options=(--config tiny-64 --cpu-renderers 1 "${options[@]}") reserve=15 limit=$((seconds + 600))
  export OMP_NUM_THREADS=1
fi
mkdir -p "$out"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
timeout --signal=TERM --kill-after=8 "$limit" \
  "${PYTHON:-python3}" -m benchmarks.gpu.train "$out" --ends-at $((began + seconds)) --reserve "$reserve" \
  --carried "${CARRIED:-benchmarks/out/carried}" "${options[@]}" 2>&1 | tee "$out/log.txt"
exit "${PIPESTATUS[0]}"
