//go:build !unix

package drvsock

import "context"

func lockFolder(context.Context, string) (unlock func()) { return func() {} }
