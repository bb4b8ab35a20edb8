#!/bin/sh
# SPDX-License-Identifier: MIT
#
# cat.sh [NODE] [BYTES] - the first bytes of an acquisition, with nothing but coreutils.
#
# Opening changes nothing; the first read starts the acquisition and closing ends it, so
# 'head' decides how long it runs. The bytes are read frames, one after the other.

case ${1:-} in
-h | --help) echo "Usage: cat.sh [NODE [BYTES]]    read BYTES (65536) from NODE (/dev/oni0)"; exit 0 ;;
esac
node=${1:-/dev/oni0}
bytes=${2:-65536}
[ -c "$node" ] || { echo "cat.sh: $node is no device: 'onictl list' shows what is there" >&2; exit 1; }

cat "$node" | head -c "$bytes" >frames.bin || exit 1
got=$(stat -c %s frames.bin)
[ "$got" = "$bytes" ] || { echo "cat.sh: $got of $bytes bytes came" >&2; exit 1; }
echo "cat: $got bytes in frames.bin; the first frame:"
od -A d -t x1 -N 16 frames.bin
