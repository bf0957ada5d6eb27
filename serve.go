package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"imapauthd/proto"
)

// serveCmd is the daemon.
type serveCmd struct {
	fileFlag
	serverFlags
}

// Run serves until SIGTERM or SIGINT, then drains. A second signal ends it at
// once, as the kernel does by default.
func (c *serveCmd) Run(std *streams) error {
	cfg, err := loadConfig(c.File, &c.serverFlags)
	if err != nil {
		return err
	}
	queue := newLogQueue(std.err)
	defer queue.close()
	log, _ := newLogger(cfg.Log, queue)
	for _, w := range cfg.warnings() {
		log.Warn(w)
	}
	if err := disableCoreDumps(); err != nil {
		log.Warn("core dumps stay on, and would hold passwords", "err", err)
	}
	signal.Ignore(syscall.SIGPIPE) // a log reader that goes away must not end the daemon
	// SIGHUP makes other daemons read their files anew; it must not kill this one
	// with requests unanswered.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	// A thread that waits for a connection holds its place among those that may run Go
	// for up to 10 ms; with places to spare nothing has to be woken to take it back.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + proto.Acceptors()*len(cfg.Listen))
	d, err := startDaemon(cfg, log, nil)
	if err != nil {
		return err
	}
	for _, s := range cfg.Server {
		log.Info("asking", "server", s.Name, "url", s.URL, "domains", s.Domains)
	}
	sd.SdNotify(false, sd.SdNotifyReady) // a no-op unless systemd waits for it
	log.Info("ready")
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-hup:
			log.Warn("SIGHUP has no effect in this version: to read the file anew, restart")
		}
	}
	restore()
	sd.SdNotify(false, sd.SdNotifyStopping)
	log.Info("stopping")
	if err := d.stop(); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}
