//go:build !unix

package upsd

// maxDescriptors cannot tell.
func maxDescriptors() int { return 0 }
