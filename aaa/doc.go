// Package aaa (see design).
package aaa
