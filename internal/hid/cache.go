package hid

import "time"

// A Cache keeps the last contents of each report, so that many fields cost one
// transfer. The zero value is ready for use. It has no lock: one goroutine owns it.
type Cache struct {
	reports map[byte]*cached
}

type cached struct {
	at   time.Time
	data []byte
}

// Get returns a report that was stored no longer than age ago, and whether there
// is one. The slice belongs to the cache and is valid until the next Store.
func (c *Cache) Get(report byte, age time.Duration, now time.Time) ([]byte, bool) {
	r := c.reports[report]
	if r == nil || r.at.IsZero() || now.Sub(r.at) > age {
		return nil, false
	}
	return r.data, true
}

// Last returns what is known of a report, however old; nil if nothing is.
func (c *Cache) Last(report byte) []byte {
	if r := c.reports[report]; r != nil {
		return r.data
	}
	return nil
}

// Store keeps a copy of a report of length bytes. Of one that is longer the rest
// is dropped; one that is shorter replaces only the bytes that it has, and what
// was never seen is zero: devices answer with wrong lengths and mean well.
func (c *Cache) Store(report byte, data []byte, length int, now time.Time) []byte {
	if c.reports == nil {
		c.reports = map[byte]*cached{}
	}
	r := c.reports[report]
	if r == nil {
		r = &cached{}
		c.reports[report] = r
	}
	if length < len(data) {
		data = data[:length]
	}
	for len(r.data) < length {
		r.data = append(r.data, 0)
	}
	copy(r.data, data)
	r.at = now
	return r.data
}

// Expire makes all reports too old for Get; Last still returns them.
func (c *Cache) Expire() {
	for _, r := range c.reports {
		r.at = time.Time{}
	}
}
