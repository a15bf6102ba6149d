// Package ipam (see design).
package ipam
