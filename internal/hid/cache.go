package hid

// A Cache keeps the last contents of each report, so that answers of wrong lengths
// and writes of single fields have something to change. The zero value is ready for
// use. It has no lock: one goroutine owns it.
type Cache struct {
	reports map[byte][]byte
}

// Last returns what is known of a report; nil if nothing is. The slice belongs to the
// cache and is valid until the next Store.
func (c *Cache) Last(report byte) []byte { return c.reports[report] }

// Store keeps a copy of a report of length bytes, and returns it. Of one that is longer
// the rest is dropped; one that is shorter replaces only the bytes that it has, and what
// was never seen is zero: devices answer with wrong lengths and mean well.
func (c *Cache) Store(report byte, data []byte, length int) []byte {
	if c.reports == nil {
		c.reports = map[byte][]byte{}
	}
	last := c.reports[report]
	if len(last) < length {
		last = append(last, make([]byte, length-len(last))...)
	}
	copy(last, data[:min(length, len(data))])
	c.reports[report] = last
	return last
}
