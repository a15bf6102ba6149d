// Package api is Radial's HTTP side. For now it serves what machines ask of a
// server: /metrics for Prometheus, /healthz (the process answers) and /readyz
// (it can do its work, part by part). REST v1 stands here when it comes.
package api
