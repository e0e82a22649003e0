#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# crates/servables/tests/tsan/run.sh [TEST]...: the pool's tests and the stress test under the thread sanitizer, the
# latter's cases side by side for STRESS_SECONDS (600). Needs a C compiler and binutils. RUSTC_BOOTSTRAP lets the stable
# compiler take -Z sanitizer; its standard library is built without one, so std.c says what that does.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-$here/../../../../target}/tsan
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)
cd "$here/../.."
libraries=$(rustc --print target-libdir --target "$host")
symbols=$(nm --dynamic --defined-only "$libraries"/libstd-*.so | awk '{ print $3 }')
defines=() links=()
# wrap NAME END: the function of the standard library whose mangled name ends so is NAME in std.c.
wrap() {
    local symbol
    symbol=$(grep -E "^_RNvM.*$2\$" <<<"$symbols") ||
        { echo "no $1 (*$2) in this standard library: see std.c" >&2; exit 1; }
    defines+=("-D$1=\"$symbol\"") links+=("-Clink-arg=-Wl,--wrap=$symbol")
}
wrap MUTEX_LOCK 5mutex5futexNtB2_5Mutex14lock_contended
wrap RWLOCK_READ 6rwlock5futexNtB2_6RwLock14read_contended
wrap RWLOCK_WRITE 6rwlock5futexNtB2_6RwLock15write_contended
wrap CONDVAR_WAIT 7condvar5futexNtB2_7Condvar4wait
wrap CONDVAR_WAIT_TIMEOUT 7condvar5futexNtB2_7Condvar12wait_timeout
# Cargo does not look into it: another content is another name.
object=$target_dir/std-$(cksum <"$here/std.c" | cut -d ' ' -f 1).o
cc -O1 -Wall -Wextra -c "${defines[@]}" -o "$object" "$here/std.c"
export RUSTC_BOOTSTRAP=1 STRESS_SECONDS=${STRESS_SECONDS:-600}
export RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer -Clink-arg=$object \
-Clink-arg=-Wl,--wrap=__tsan_atomic64_fetch_sub ${links[*]}"
export TSAN_OPTIONS="suppressions=$here/suppressions.txt ${TSAN_OPTIONS:-halt_on_error=1}"
export CARGO_PROFILE_CI_DEBUG=line-tables-only
cargo test --quiet --profile ci --target "$host" --target-dir "$target_dir" \
    --package tensorserve-batching --test pool --package tensorserve-servables --test stress -- --nocapture "$@"
