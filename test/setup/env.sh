#!/usr/bin/env bash
# Tells tests where the real peers are: env.sh COMMAND... runs COMMAND with these variables, env.sh alone prints them.
# A peer that is not there gets no variable, and one that the caller has set keeps its value.
set -euo pipefail
# shellcheck source=test/setup/lib.sh
. "$(dirname "$0")/lib.sh"

# built NAME FILE: prints the path of FILE within a finished component.
built() { finished "$1" && printf '%s/%s\n' "$(home_of "$1")" "$2"; }

vars=()
# give VARIABLE VALUE
give() { [[ -z $2 ]] || vars+=("$1=${!1:-$2}"); }

give EDGEHUB_TEST_ETCD "$(built etcd bin/etcd)"
give EDGEHUB_TEST_ETCD36 "$(built etcd36 bin/etcd)"
give EDGEHUB_TEST_DEX "$(built dex bin/dex)"
give EDGEHUB_TEST_TRAEFIK "$(traefik_on_path || built traefik bin/traefik)"
give EDGEHUB_TEST_CHROMIUM "$(chromium_on_path)"
give EDGEHUB_TEST_JUPYTER_BIN "$(built jupyter bin)"
# Those of older JupyterHubs, separated by colons; none where PyPI is not reachable.
older=
for name in jupyter4 jupyter5; do
	if finished "$name" && [[ -e $(home_of "$name")/kind ]]; then older+=${older:+:}$(built "$name" bin); fi
done
give EDGEHUB_TEST_JUPYTER_OLDER "$older"
give EDGEHUB_TEST_ARTIFACTS "$cache/artifacts" # screenshots and logs

if [[ $# -gt 0 ]]; then
	mkdir -p "${EDGEHUB_TEST_ARTIFACTS:-$cache/artifacts}"
	exec env "${vars[@]}" "$@"
fi
printf '%s\n' "${vars[@]}"
