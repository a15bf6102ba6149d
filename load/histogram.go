package load

import (
	"math/bits"
	"time"
)

// histogram counts latencies in buckets whose width is 1/32 of their value.
type histogram struct {
	buckets [64 * 32]uint64
	n       uint64
	max     int64
}

func bucketOf(ns int64) int {
	v := uint64(max(ns, 1))
	exp := bits.Len64(v) - 1
	if exp < 5 {
		return int(v)
	}
	return (exp-4)*32 + int(v>>(exp-5))&31
}

// lowest is the least value that falls into bucket i.
func lowest(i int) int64 {
	if i < 32 {
		return int64(i)
	}
	exp := i/32 + 4
	return int64(32+i%32) << (exp - 5)
}

func (h *histogram) add(ns int64) {
	h.buckets[bucketOf(ns)]++
	h.n++
	h.max = max(h.max, ns)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the latency that the share q of all did not exceed, to 3 %.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(q * float64(h.n))
	if rank >= h.n {
		rank = h.n - 1
	}
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen > rank {
			return time.Duration(min(lowest(i+1)-1, h.max))
		}
	}
	return time.Duration(h.max)
}
