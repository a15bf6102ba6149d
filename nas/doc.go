// Package nas (see design).
package nas
