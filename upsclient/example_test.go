package upsclient_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gonut/upsclient"
)

// The server of this example is a part of it; a program would leave Options.Dial
// out.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := upsclient.Dial(ctx, "localhost", upsclient.Options{Dial: exampleServer})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Logout(ctx)

	status, err := c.Get(ctx, "office", "ups.status")
	switch {
	case errors.Is(err, upsclient.ErrDataStale):
		fmt.Println("the driver has lost the device")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("status:", status)
	}
	_, err = c.Get(ctx, "cellar", "ups.status")
	fmt.Println(err, errors.Is(err, upsclient.ErrUnknownUPS))
	// Output:
	// status: OL CHRG
	// UNKNOWN-UPS true
}
