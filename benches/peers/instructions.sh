#!/usr/bin/env bash
# Instructions and allocations of an admitted request in each layer and in all five, compared with those of instructions.txt; then
# with the feature `redis`, compared with those without it. `./instructions.sh accept` keeps the figures of this run. Needs valgrind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
target=${CARGO_TARGET_DIR:-target}

figures() { # of a build with these arguments, into that file
    local file=$1
    shift
    cargo build --quiet --release --no-default-features --bin instructions "$@"
    "$target/release/instructions" measure >"$target/$file"
}

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

figures plain.txt
if [ "${1:-}" = accept ]; then
    {
        echo '# What an admitted request takes. Written by `./instructions.sh accept`, compared by `./instructions.sh`.'
        cat "$target/plain.txt"
    } >instructions.txt
    exit
fi
echo 'Beside what was accepted:'
"$target/release/instructions" compare instructions.txt "$target/plain.txt" ||
    fail 'An admitted request costs more than it did. Where that is worth it: benches/peers/instructions.sh accept'
figures redis.txt --features redis
echo 'With the feature redis, beside without it:'
"$target/release/instructions" compare "$target/plain.txt" "$target/redis.txt" ||
    fail 'The feature redis costs those who have no shared quota.'
