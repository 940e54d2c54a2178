package load

import (
	"slices"
	"time"
)

// Samples are how long single operations took. They are kept one by one: a run of
// the benchmark has no more than some hundred thousand.
type Samples []time.Duration

// Quantile returns the time that a share q (0 to 1) of the operations stayed
// within, 0 if there are none. It sorts the samples.
func (s Samples) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
