#!/usr/bin/env bash
# Builds what the tests marked "backends" run: a collector, Jaeger, Prometheus with promtool, and the reader of compose files.
# Needs Go 1.26.7 or newer and its module proxy. The first time takes about 17 minutes of CPU; after that nothing is done until
# this file, the collector's manifest or compose/main.go changes. Says the folder of the programs on stdout, everything else on stderr.
#
# The programs are in ${XDG_CACHE_HOME:-~/.cache}/tollbook-backends, outside the tree, in a folder named after what they were made of.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The versions that are tested; tests/backends/test_compose.py holds docker-compose.yml against them.
COLLECTOR=0.161.0
JAEGER=1.76.0          # the same commit as 2.13.0: tags of v2 are no versions of a module without /v2 in its path
PROMETHEUS=0.316.0     # 3.16.0
COMPOSE=2.16.2         # what `docker compose config` reads files with

go=$(command -v go || true)
if [ -z "$go" ] && [ -x /usr/local/go/bin/go ]; then go=/usr/local/go/bin/go; fi
[ -n "$go" ] || { echo "Go is not here: the backends are not built" >&2; exit 3; }
# Neither optimised nor with symbols, with memory for time: a third quicker to build.
export PATH="$(dirname "$go"):$PATH" CGO_ENABLED=0 GOGC=400 GOFLAGS="-buildvcs=false '-gcflags=all=-N -l' -ldflags=-s"

made_of=$(cat "$here/build.sh" "$here/collector-builder.yaml" "$here/compose/main.go" | sha256sum | cut -c1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tollbook-backends
programs=$cache/$made_of
mkdir -p "$programs"

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
exec 3>&1 1>&2

announce() { printf 'building %s\n' "$*"; }

# What it does is of interest only when it fails.
quiet() { nice "$@" >"$work/log" 2>&1 || { cat "$work/log"; return 1; }; }

# Moved into place when it is whole, so that what is in place is whole.
place() { mv "$1" "$programs/.$2" && mv "$programs/.$2" "$programs/$2"; }

installed() { # name, package@version, tags
  [ -x "$programs/$1" ] && return
  announce "$1"
  GOBIN=$work quiet go install -tags "${3:-}" "$2"
  place "$work/$(basename "${2%@*}")" "$1"
}

collector() {
  [ -x "$programs/otelcol" ] && return
  announce otelcol
  GOBIN=$work quiet go install "go.opentelemetry.io/collector/cmd/builder@v$COLLECTOR"
  sed "s|^dist:|dist:\n  output_path: $work/collector|" "$here/collector-builder.yaml" >"$work/builder.yaml"
  quiet "$work/builder" --config "$work/builder.yaml"
  place "$work/collector/otelcol" otelcol
}

jaeger() { # not by `go install`: its module replaces another, which only a module of our own can repeat
  [ -x "$programs/jaeger" ] && return
  announce jaeger
  mkdir "$work/jaeger"
  (
    cd "$work/jaeger"
    quiet go mod init jaeger-of-the-tests
    go mod edit -replace github.com/Shopify/sarama=github.com/Shopify/sarama@v1.33.0
    quiet go get -tool "github.com/jaegertracing/jaeger/cmd/jaeger@v$JAEGER"
    quiet go build -o "$work/jaeger-built" github.com/jaegertracing/jaeger/cmd/jaeger
  )
  place "$work/jaeger-built" jaeger
}

compose() {
  [ -x "$programs/compose" ] && return
  announce compose
  mkdir "$work/compose"
  cp "$here/compose/main.go" "$work/compose"
  (
    cd "$work/compose"
    quiet go mod init compose-of-the-tests
    quiet go get "github.com/compose-spec/compose-go/v2/cli@v$COMPOSE"
    quiet go build -o "$work/compose-built" .
  )
  place "$work/compose-built" compose
}

collector
# Without discovery of targets in clouds: the tests name theirs.
installed prometheus "github.com/prometheus/prometheus/cmd/prometheus@v$PROMETHEUS" remove_all_sd
installed promtool "github.com/prometheus/prometheus/cmd/promtool@v$PROMETHEUS" remove_all_sd
compose
jaeger

# Of earlier versions nothing is kept for longer than a week.
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name "$made_of" -mtime +7 -exec rm -rf {} +
echo "$programs" >&3
