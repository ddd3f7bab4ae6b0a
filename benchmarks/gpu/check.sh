#!/usr/bin/env bash
# All that needs a GPU, checked and measured once, on a machine that has little more than PyTorch: at most four minutes.
#
#   benchmarks/gpu/check.sh OUT [--device cpu] [--tiny]
#
# OUT/check.json is written after each step and after each form of the engine, OUT/log.txt all along: a run that is cut short has told
# what it knew. What the machine lacks is made beforehand by benchmarks/gpu/prepare.py and looked for in CARRIED (benchmarks/out/carried).
set -uo pipefail
cd "$(dirname "$0")/../.."
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$1 && shift
device=cuda tiny=
while [ $# -gt 0 ]; do
  case $1 in
    --device) [ $# -ge 2 ] || { echo "--device needs cpu or cuda" >&2; exit 2; }; device=$2 && shift 2 ;;
    --tiny) tiny=yes && shift ;;
    *) echo "no option $1: --device cpu, --tiny" >&2; exit 2 ;;
  esac
done
python=${PYTHON:-python3}
carried=${CARRIED:-benchmarks/out/carried}
slack=1
[ -z "$tiny" ] || slack=8  # a dry run proves the steps, not their limits, on whatever machine
total_s=${TOTAL_S:-$((235 * slack))}
[ -f "$carried/arrays.npz" ] || { echo "no $carried/arrays.npz: python -m benchmarks.gpu.prepare $carried (where MediaPipe is)" >&2; exit 2; }
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 LIVEPUPPET_MODELS=$work/models CARRIED=$carried
export LIVEPUPPET_TEST_DEVICE=$device
if [ -n "$tiny" ]; then export OMP_NUM_THREADS=1; fi
: > "$out/log.txt"
rm -f "$out/check.json"
began=$SECONDS

# step NAME LIMIT_S RESULT COMMAND ...: runs it, at most so long; RESULT is the JSON it writes as it goes, '' for none
step() {
  local name=$1 limit=$((slack * $2)) result=$3 left=$((total_s - (SECONDS - began))) code start=$SECONDS
  shift 3
  [ "$limit" -le "$left" ] || limit=$left
  if [ "$limit" -lt 5 ]; then
    echo "== $name: left out, no time" | tee -a "$out/log.txt"
    "$python" -m benchmarks.gpu.collect "$out/check.json" "$name" --code 124 --seconds 0 --limit 0
    return
  fi
  echo "== $name (${start}s, at most ${limit}s)" | tee -a "$out/log.txt"
  timeout --signal=TERM --kill-after=5 "$limit" "$@" > "$work/$name.log" 2>&1
  code=$?
  cat "$work/$name.log" >> "$out/log.txt"
  tail -n 3 "$work/$name.log"
  "$python" -m benchmarks.gpu.collect "$out/check.json" "$name" --code "$code" --seconds $((SECONDS - start)) --limit "$limit" \
    --log "$work/$name.log" ${result:+--result "$result"}
}

mapfile -t files < <(find tests -name 'test_*_cuda.py' | sort)
step tests 85 '' "$python" -m pytest -v -rs -m cuda -W default -p no:cacheprovider "${files[@]}"
if [ -n "$tiny" ]; then
  forms=torchscript,onnx,eager-fp32,eager-bf16,graph-fp16 model=tiny rounds=3 config=tiny-64 batches=4 workers="$device:1" size=64
else
  forms=torchscript,onnx,eager-fp32,eager-fp16-nchw,eager-fp16,eager-bf16,graph-fp32,graph-fp16-nchw,graph-fp16,graph-bf16,compile-fp16,compile-bf16
  model=vox rounds=50 config=face-256 batches="32 64" workers="$device:1 $device:4 cpu:$(($(nproc) - 2))" size=256
fi
step engine 70 "$work/engine.json" "$python" benchmarks/engine.py --device "$device" --model "$model" --rounds "$rounds" --forms "$forms" \
  --frames "$carried/arrays.npz" --out "$work"
# shellcheck disable=SC2086
step training 40 "$work/training.json" "$python" benchmarks/training.py speed --device "$device" --config "$config" --batch $batches \
  --clips "$carried/people/train" --json "$work/training.json"
# shellcheck disable=SC2086
step rendering 40 "$work/rendering.json" "$python" -m benchmarks.gpu.people --device "$device" --geometry "$carried" --size "$size" \
  --clips 2 --limit $((slack * 18)) --workers $workers --json "$work/rendering.json"
"$python" -m benchmarks.gpu.collect "$out/check.json" --show
