// Package config makes one Config of each package's Options: defaults, then a
// YAML file, then the environment, then flags. Every key stands on one line of
// settings.go with its meaning; from that list come the checks, the reference
// in docs/configuration.md and the names of the environment's variables.
// Unknown keys and bad values are errors, all told at once.
package config
