// Package access answers one question: what may this holder do?
//
// It knows the scopes of JupyterHub, what each contains, how their filters
// narrow them, which scopes the default roles and a token have, and which
// fields of a user a holder sees. Everything is a pure function of its
// arguments; a [Set] never changes after it was made, so it may be cached and
// shared between goroutines.
//
// The way from strings to a decision:
//
//	roles, shares ──RoleScopes──► raw scopes ──Expand──► Set of the owner ─┐
//	                                                                       ├─ Intersect ──► Set.Allows(scope, resource)
//	scopes stored with a token ──────────────Expand──► Set of the token ───┘
//
// It does not read users, groups, roles or tokens, does not know who is asking,
// does not log, and does not choose a status code. It trusts the caller for
// group membership: answers are as fresh as the groups it is given.
//
// Invariant: rights never grow. A token holds at most what its owner holds, an
// intersection allows nothing that either side forbids, and what a set allows
// is the same after expanding it again. Where the original is undecided this
// package refuses.
package access
