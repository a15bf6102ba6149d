// Package faults breaks things under load, and then compares what the server
// acknowledged with what is stored: acknowledged means stored.
package faults
