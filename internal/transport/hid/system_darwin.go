package hid

// missing is why HID devices cannot be reached.
const missing = "macOS gives them only to programs that are linked to its framework IOKit, which this one is not"
