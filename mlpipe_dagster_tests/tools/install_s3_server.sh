#!/usr/bin/env bash
# Builds versitygw, the S3 server that the tests start, into the user's cache. Done once; needs Go, some minutes and 90 MB.
set -euo pipefail

VERSION=v1.8.0
BIN="${XDG_CACHE_HOME:-$HOME/.cache}/mlpipe/bin"
SERVER="$BIN/versitygw-$VERSION"

if [ -x "$SERVER" ]; then
    echo "$SERVER is there already"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "versitygw cannot be built: go is not installed" >&2
    exit 1
fi
mkdir -p "$BIN"
BUILD="$(mktemp -d "$BIN/build-XXXXXX")"
trap 'rm -rf "$BUILD"' EXIT
GOBIN="$BUILD" nice -n 10 go install "github.com/versity/versitygw/cmd/versitygw@$VERSION"
mv "$BUILD/versitygw" "$SERVER"
echo "built $SERVER"
