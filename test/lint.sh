#!/usr/bin/env bash
# Runs the linters that setup.sh built; says all that is wrong before it fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
# shellcheck source=test/setup/lib.sh
. test/setup/lib.sh
bin=$(home_of lint)/bin
failed=0

echo "golangci-lint"
"$bin/golangci-lint" run || failed=1

# Its database is on the network. Where that is out of reach there is nothing to compare with, which is no finding.
echo "govulncheck"
if ! report=$(timeout 600 "$bin/govulncheck" ./... 2>&1); then
	if grep -q 'fetching vulnerabilities' <<<"$report"; then
		echo "govulncheck: skipped, its vulnerability database is not reachable"
	else
		printf '%s\n' "$report"
		failed=1
	fi
fi

if command -v shellcheck >/dev/null; then
	echo "shellcheck"
	find . \( -path ./.git -o -path ./.edgehub \) -prune -o \
		\( -name '*.sh' -o -path ./.ci/run \) -exec shellcheck -x {} + || failed=1
fi
exit $failed
