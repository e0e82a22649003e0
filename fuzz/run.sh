#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fuzz/run.sh TARGET...: builds the targets and runs each for FUZZ_SECONDS (600), with at most 2 GB of memory.
# Needs a C++ compiler. The flags are those of cargo-fuzz; RUSTC_BOOTSTRAP lets the stable compiler take -Z sanitizer.
set -euo pipefail
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-target}
export RUSTC_BOOTSTRAP=1 ASAN_OPTIONS=${ASAN_OPTIONS:-detect_odr_violation=0:allocator_may_return_null=1:detect_leaks=0}
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Zsanitizer=address"
cargo build --quiet --release --target "$host" --target-dir "$target_dir"
for target in "$@"; do
    corpus=$target_dir/corpus/$target findings=$target_dir/findings/$target/
    mkdir -p "$corpus" "$findings"
    echo "== $target"
    "$target_dir/$host/release/$target" "$corpus" "seeds/$target" -artifact_prefix="$findings" \
        -max_total_time="${FUZZ_SECONDS:-600}" -rss_limit_mb=2048 -max_len=4096 -timeout=60 -print_final_stats=1
done
