// Package differential sends one script of requests to a real JupyterHub and to edgehub, and compares the answers: status,
// where redirects lead, headers, and the keys, types and values of JSON. Ids, times, secrets and the order of keys do not count.
//
//   - script/*.txt are the requests, allowed.txt the differences that are on purpose, each with a reason.
//   - docs/compatibility.md shows the list of those reasons.
//   - golden/ has JupyterHub's answers. They stand in for a JupyterHub that is not installed, and are compared with one that is.
//
// After a change of the script, `go test ./test/differential -record` writes golden/ anew, and -document the table in the docs.
package differential
