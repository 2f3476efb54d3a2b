// Package yaegi runs the edge's suite under the interpreter that Traefik 3.7 embeds, loaded the way Traefik loads it.
// It is a module of its own because the product must not depend on Yaegi.
package yaegi
