package upsd

import "testing"

// BenchmarkRequests is the part of a request's cost that is ours alone: no kernel
// and no scheduler.
func BenchmarkRequests(b *testing.B) {
	for _, request := range []string{"GET VAR fake ups.status\n", "LIST VAR fake\n", "GET VAR fake nope\n", "GET UPSDESC fake\n", "NETVER\n"} {
		b.Run(request[:len(request)-1], func(b *testing.B) {
			s, _ := offlineServer(b)
			c := &session{server: s, conn: discard{}, stream: discard{}}
			in := []byte(request)
			d := new(desk)
			b.ReportAllocs()
			for b.Loop() {
				c.answer(d, in)
			}
		})
	}
}

// BenchmarkParallel is the same on all processors at once, for one device.
func BenchmarkParallel(b *testing.B) {
	s, _ := offlineServer(b)
	b.RunParallel(func(pb *testing.PB) {
		c := &session{server: s, conn: discard{}, stream: discard{}}
		in := []byte("GET VAR fake ups.status\n")
		d := new(desk)
		for pb.Next() {
			c.answer(d, in)
		}
	})
}
