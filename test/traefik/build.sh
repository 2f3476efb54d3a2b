#!/usr/bin/env bash
# Builds the Traefik that go.mod pins, without its DNS challenge providers: build.sh FILE.
# These 200 providers bring 4 GB of modules and tests need none. So lego, which holds them, is copied from the module
# cache, and one stub that refuses takes their place. The copy lives outside the checkout, with go.mod beside it.
set -euo pipefail
out=$(realpath -m "${1:?usage: build.sh FILE}")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT

cp -r "$here"/{go.mod,go.sum,dynext} "$work"
version=$(sed -n 's|^\s*github.com/go-acme/lego/v5 \(v[^ ]*\).*|\1|p' "$work/go.mod")
# Asked from a folder without a go.mod, because ours replaces the module with what does not exist yet.
lego=$(mkdir "$work/empty" && cd "$work/empty" && go mod download -json "github.com/go-acme/lego/v5@$version" |
	sed -n 's/.*"Dir": "\(.*\)",\{0,1\}$/\1/p')
cp -r "$lego" "$work/.lego"
chmod -R u+w "$work/.lego"
find "$work/.lego/providers/dns" -mindepth 1 -maxdepth 1 ! -name internal -exec rm -rf {} +
cp "$here/dns_stub.go.txt" "$work/.lego/providers/dns/dns.go"

# Without a version set, Traefik calls itself "dev", and a dev Traefik does not ask the network for newer ones.
# -mod=mod, because go.sum knows what Linux on amd64 needs and another platform may add to its copy.
cd "$work" && go build -mod=mod -trimpath -ldflags='-s -w' -o "$out" github.com/traefik/traefik/v3/cmd/traefik
