#!/bin/sh
# Starts one service of mlpipe: prepare (once, before the others), api, code-server, webserver or daemon.
# `health` asks the service that was started in this container; its exit status is the answer.
set -eu

HERE="$(dirname "$0")"
WORKSPACE="${MLPIPE_WORKSPACE:-$HERE/workspace.yaml}"
HOST="${MLPIPE_BIND_HOST:-0.0.0.0}"
STARTED="${TMPDIR:-/tmp}/mlpipe-service"

answers() {
    python -c 'import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=10)' \
        "http://127.0.0.1:$1" >/dev/null
}

health() {
    case "$(cat "$STARTED")" in
    api) answers 8000/ready ;;
    code-server) dagster api grpc-health-check --port 4266 ;;
    webserver) answers 3000/server_info ;;
    daemon) dagster-daemon liveness-check ;;
    esac
}

service="${1:-}"
[ "$service" = health ] || echo "$service" >"$STARTED"
case "$service" in
health)
    health
    ;;
prepare)
    dagster instance migrate
    exec python "$HERE/prepare.py"
    ;;
api)
    export MLPIPE_API_HOST="${MLPIPE_API_HOST:-$HOST}" # beyond loopback the API starts with MLPIPE_AUTH=api-keys only
    exec uvicorn mlpipe_dagster.api.app:create_app --factory --host "$MLPIPE_API_HOST" --port 8000 --timeout-graceful-shutdown 10
    ;;
code-server)
    exec dagster api grpc --host "$HOST" --port 4266 --module-name mlpipe_dagster.definitions --location-name mlpipe_dagster
    ;;
webserver)
    exec dagster-webserver --host "$HOST" --port 3000 --workspace "$WORKSPACE"
    ;;
daemon)
    exec dagster-daemon run --workspace "$WORKSPACE"
    ;;
*)
    echo "usage: service.sh prepare|api|code-server|webserver|daemon|health" >&2
    exit 2
    ;;
esac
