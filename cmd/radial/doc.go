// Command radial is the RADIUS server and everything an operator does with
// it: `radial serve` runs it, `radial user`, `package`, `nas`, `pool` and
// `dictionary` provision it. One file per noun; app.go is what all share.
package main
