// Package dictionaries knows the names, numbers and types of RADIUS attributes
// and turns values from text to bytes and back.
package dictionaries

type values struct{}
