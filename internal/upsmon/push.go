package upsmon

import (
	"errors"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/ups"
	"gonut/upsclient"
)

// pushRetry is the time between two attempts to have a server tell of changes.
const pushRetry = 10 * time.Second

// listen has the server tell of changes, on a connection of its own, so that a
// change is polled for at once and not when the next poll is due. Polls go on all
// the same: a push that never comes must not be taken for peace. Servers that
// cannot push are asked again after the next connection to them.
func (p *poller) listen() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-p.connected:
		}
		for {
			err := p.listenOnce()
			if p.ctx.Err() != nil || errors.Is(err, upsclient.ErrUnknownCommand) {
				break
			}
			p.log.Log(p.ctx, daemon.Debug(1), "no changes are told for now", "err", err)
			p.give(func(o *orders) { o.poll = true }) // perhaps it was not only this connection
			select {
			case <-p.ctx.Done():
				return
			case <-p.connected: // the server is there again
			case <-time.After(pushRetry):
			}
		}
	}
}

// listenOnce asks for a poll with every change, until the connection ends.
func (p *poller) listenOnce() error {
	o, err := connectOptions(*p.loop.now.Load(), p.system.Host, p.loop.deps)
	if err != nil {
		return err
	}
	c, err := upsclient.Dial(p.ctx, p.system.Host.String(), o)
	if err != nil {
		return err
	}
	defer c.Close()
	w, err := c.Watch(p.ctx, p.system.UPS, ups.StatusName, ups.AlarmName)
	if err != nil {
		return err
	}
	for {
		if _, err := w.Next(p.ctx); err != nil {
			return err
		}
		p.give(func(o *orders) { o.poll = true })
	}
}
