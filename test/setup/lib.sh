# shellcheck shell=bash
# What setup.sh and env.sh share: where things are cached, under which name, and how Debian packages get installed.
#
# A component lives in $cache/NAME-KEY, where KEY changes with everything that decides its content. It is finished when
# the file .done is in there and not before, so an interrupted build is never taken for a finished one. (Building under a
# temporary name and renaming would do for the Go programs, but a Python environment has its own path in its scripts.)
# $cache/NAME is a link to the newest finished one, for people.

cache=${EDGEHUB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edgehub}
test_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
traefik_version=3.7.9
apt_updated=$cache/.apt-updated.$$ # its being there says that this process has the newest package lists

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# hash FILE...: twelve hexadecimal digits that change with the content of the files.
hash() { cat -- "$@" | sha256sum | cut -c1-12; }

# home_of NAME: the directory of a component that is built here.
home_of() {
	local key
	case $1 in
	jupyter) key=${EDGEHUB_JUPYTER:-auto}-$(hash "$test_dir/setup/requirements.txt") ;;
	# Those of older JupyterHubs are only built where the first one came from PyPI.
	jupyter[45]) key=$(basename "$(home_of jupyter)")-$(hash "$test_dir/setup/requirements-${1#jupyter}.txt") ;;
	etcd | etcd36) key=$(hash "$test_dir/$1/go.mod" "$test_dir/$1/go.sum") ;;
	dex) key=$(hash "$test_dir/dex/go.mod" "$test_dir/dex/go.sum") ;;
	traefik) key=$traefik_version-$(hash "$test_dir"/traefik/{build.sh,go.mod,go.sum,dns_stub.go.txt,dynext/ext.go}) ;;
	# A linter refuses code for a newer Go than it was built with.
	lint) key=$(cd "$test_dir/tools" && go env GOVERSION)-$(hash "$test_dir/tools/go.mod" "$test_dir/tools/go.sum") ;;
	*) die "no such component: $1" ;;
	esac
	printf '%s/%s-%s\n' "$cache" "$1" "$key"
}

# finished NAME: whether it needs no building.
finished() { [[ -e $(home_of "$1")/.done ]]; }

# once NAME: runs build_NAME DIRECTORY unless that was done before; a second caller waits for the first.
once() {
	local name=$1 home started=$SECONDS
	finished "$name" && return
	home=$(home_of "$name")
	mkdir -p "$cache"
	(
		if command -v flock >/dev/null; then
			flock -n 9 || { say "$name: waiting for another setup"; flock 9; }
		fi
		finished "$name" && exit
		rm -rf "$home" && mkdir -p "$home/bin"
		"build_$name" "$home"
		ln -sfn "$home" "$cache/$name"
		touch "$home/.done"
		say "$name: ready after $((SECONDS - started)) s in $home"
	) 9>"$cache/.lock-$name"
}

as_root() {
	if [[ $(id -u) == 0 ]]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else die "cannot run '$*': neither root nor sudo"
	fi
}

# apt PACKAGE...: installs Debian packages.
apt() {
	command -v apt-get >/dev/null || die "please install these yourself, there is no apt-get here: $*"
	# The lists of a fresh machine are empty or old. Components run in subshells, hence a file to remember by.
	if [[ ! -e $apt_updated ]]; then
		say "apt-get update"
		as_root apt-get -qq update >&2
		mkdir -p "$cache" && touch "$apt_updated"
	fi
	say "apt-get install $*"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get \
		-qq -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >/dev/null
}

# traefik_on_path: prints the Traefik of this machine if it is new enough.
traefik_on_path() {
	local path version
	path=$(command -v traefik) || return
	version=$("$path" version 2>/dev/null | sed -n 's/^Version: *v\{0,1\}//p')
	printf '%s\n%s\n' "$traefik_version" "$version" | sort -CV && printf '%s\n' "$path"
}

# chromium_on_path: prints the browser of this machine.
chromium_on_path() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
