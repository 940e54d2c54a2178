package usb_test

// device compares what two drivers say of one device.
var _ = (*driver).device
