package program

// version is what the linker was told, or the C NUT release whose behaviour this
// is, so that clients that compare versions take us for it.
var version = "2.8.5-gonut"

// Version returns the version that banners and the protocol's VER give.
func Version() string { return version }
