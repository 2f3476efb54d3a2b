#!/usr/bin/env bash
# Installs what the tests and linters need and this machine lacks:
# setup.sh [cc|jupyter|jupyter4|jupyter5|etcd|etcd36|dex|traefik|chromium|lint]...
# Without arguments: everything. Programs that no package has are built once, into a cache outside the checkout.
#
#   EDGEHUB_CACHE     where (default ~/.cache/edgehub)
#   EDGEHUB_JUPYTER   pypi: insist on PyPI; debian: use Debian's packages; unset: Debian's if PyPI fails
set -euo pipefail
# shellcheck source=test/setup/lib.sh
. "$(dirname "$0")/setup/lib.sh"

trap 'rm -f "$apt_updated"' EXIT
# Programs built here need no C compiler; settings that the caller made for other builds stay out.
export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off

# The race detector needs a C compiler.
setup_cc() { command -v "${CC:-gcc}" >/dev/null || apt gcc libc6-dev; }

setup_jupyter() { once jupyter; }

build_jupyter() {
	case ${EDGEHUB_JUPYTER:-} in
	debian) jupyter_from_debian "$1" ;;
	pypi) jupyter_from_pypi "$1" requirements.txt ;;
	'')
		if ! jupyter_from_pypi "$1" requirements.txt; then
			say "jupyter: not to be had from PyPI, trying Debian's older packages (remove $1 to try PyPI again)"
			rm -rf "$1" && mkdir -p "$1/bin"
			jupyter_from_debian "$1"
		fi ;;
	*) die "EDGEHUB_JUPYTER is '$EDGEHUB_JUPYTER', neither 'pypi' nor 'debian'" ;;
	esac
}

# Jupyters of older JupyterHubs. Where PyPI is not reachable there are none: Debian's is older still.
setup_jupyter4() { setup_jupyter && once jupyter4; }
setup_jupyter5() { setup_jupyter && once jupyter5; }
build_jupyter4() { older_jupyter "$1" 4; }
build_jupyter5() { older_jupyter "$1" 5; }

older_jupyter() {
	if [[ $(<"$(home_of jupyter)/kind") == pypi ]]; then jupyter_from_pypi "$1" "requirements-$2.txt"; fi
}

# Each step names its failure: bash ignores errexit in a function that is called as a condition.
jupyter_from_pypi() {
	local python
	python=$(python_with_venv) || { apt python3 python3-venv && python=$(python_with_venv); } || return
	say "jupyter: creating virtual environment with $("$python" --version)"
	"$python" -m venv "$1" || return
	say "jupyter: installing from PyPI"
	"$1/bin/pip" install -q --disable-pip-version-check --no-input -r "$test_dir/setup/$2" >&2 || return
	"$1/bin/jupyter" lab --version >/dev/null && "$1/bin/jupyterhub-singleuser" --version >/dev/null || return
	echo pypi >"$1/kind"
}

# Debian's own python3 first: one that a version manager put into PATH may be another in every directory.
python_with_venv() {
	local python
	for python in /usr/bin/python3 python3; do
		"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
		echo "$python" && return
	done
	return 1
}

jupyter_from_debian() {
	local program packages=(jupyterhub jupyter-server jupyter-notebook python3-ipykernel)
	if ! dpkg -s "${packages[@]}" &>/dev/null; then
		apt "${packages[@]}"
		# Only its programs are wanted, not the JupyterHub service that the package starts on port 8000.
		as_root systemctl disable --now jupyterhub &>/dev/null || true
	fi
	for program in /usr/bin/jupyter{,-*,hub,hub-singleuser} /usr/bin/python3; do
		[[ ! -x $program ]] || ln -sf "$program" "$1/bin/"
	done
	"$1/bin/jupyter" server --version >/dev/null
	"$1/bin/jupyterhub-singleuser" --version >/dev/null
	echo debian >"$1/kind"
}

setup_etcd() { once etcd; }

build_etcd() {
	say "etcd: building (about a minute)"
	(cd "$test_dir/etcd" && go build -trimpath -ldflags='-s -w' -o "$1/bin/etcd" go.etcd.io/etcd/server/v3)
	(cd "$test_dir/etcd" && go build -trimpath -ldflags='-s -w' -o "$1/bin/etcdctl" go.etcd.io/etcd/etcdctl/v3)
	"$1/bin/etcd" --version >/dev/null
}

# The release before, which clusters are upgraded from.
setup_etcd36() { once etcd36; }

build_etcd36() {
	say "etcd36: building (less than a minute)"
	(cd "$test_dir/etcd36" && go build -trimpath -ldflags='-s -w' -o "$1/bin/etcd" go.etcd.io/etcd/server/v3)
	"$1/bin/etcd" --version >/dev/null
}

setup_dex() { once dex; }

build_dex() {
	say "dex: building (about a minute)"
	(cd "$test_dir/dex" && go build -trimpath -ldflags='-s -w' -o "$1/bin/dex" github.com/dexidp/dex/cmd/dex)
	"$1/bin/dex" version >/dev/null
}

setup_traefik() { traefik_on_path >/dev/null || once traefik; }

build_traefik() {
	say "traefik: building v$traefik_version (4 to 6 minutes, 0.8 GB of modules)"
	"$test_dir/traefik/build.sh" "$1/bin/traefik"
	"$1/bin/traefik" version >/dev/null
}

# Without a font, Chromium's screenshots have no text.
setup_chromium() {
	if ! chromium_on_path >/dev/null || { command -v dpkg && ! dpkg -s fonts-dejavu-core; } &>/dev/null; then
		apt chromium fonts-dejavu-core
	fi
}

setup_lint() {
	command -v shellcheck >/dev/null || apt shellcheck || say "lint: no shellcheck, going on without"
	once lint
}

build_lint() {
	say "lint: building golangci-lint and govulncheck (some minutes)"
	(cd "$test_dir/tools" && GOBIN=$1/bin go install -trimpath -ldflags='-s -w' tool)
	"$1/bin/golangci-lint" version >/dev/null
}

[[ $# -gt 0 ]] || set -- cc jupyter jupyter4 jupyter5 chromium etcd etcd36 dex lint traefik
for component; do
	[[ $(type -t "setup_$component") == function ]] || die "no such component: $component"
	"setup_$component"
done
