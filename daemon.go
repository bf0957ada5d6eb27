package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"imapauthd/cache"
	"imapauthd/cache/guard"
	"imapauthd/imap"
	"imapauthd/proto"
	"imapauthd/proto/dovecot"
	"imapauthd/proto/readsocket"
	"imapauthd/proto/saslauthd"
)

// daemon is all of it, assembled: front-ends, cache, IMAP.
type daemon struct {
	log     *slog.Logger
	grace   time.Duration // for the drain
	router  *imap.Router
	cache   *cache.Cache
	servers []*proto.Server
	wg      sync.WaitGroup // the accept loops
}

// startDaemon opens the listeners and answers on them until stop. top, if not
// nil, wraps what the front-ends ask.
func startDaemon(cfg *config, log *slog.Logger, top func(proto.Authenticator) proto.Authenticator) (*daemon, error) {
	router, err := imap.NewRouter(cfg.Server, log)
	if err != nil {
		return nil, err
	}
	if cfg.Cache.Grace > 0 {
		router.Probe()
	}
	var asked proto.Authenticator = router // on a miss
	if cfg.Guard.Attempts > 0 {
		asked = guard.New(cfg.Guard, guard.Options{Next: router, Route: router.Route, Log: log})
	}
	d := &daemon{
		log: log,
		// Every request is answered within its budget; some seconds more for the
		// last steps of its connection.
		grace:  time.Duration(cfg.Timeout) + 3*time.Second,
		router: router,
		cache: cache.New(cfg.Cache, cache.Options{
			Next:         asked,
			Route:        router.Route,
			LoginTimeout: time.Duration(cfg.LoginTimeout),
			Down:         router.Down,
			Log:          log,
		}),
	}
	var door proto.Authenticator = d.cache // cache, then the guard, then IMAP
	if top != nil {
		door = top(door)
	}
	for i := range cfg.Listen {
		if err := d.listen(&cfg.Listen[i], cfg, door); err != nil {
			d.stop()
			return nil, err
		}
	}
	return d, nil
}

// listen opens one listener and serves it.
func (d *daemon) listen(lc *proto.ListenConfig, cfg *config, door proto.Authenticator) error {
	server, err := proto.NewServer(lc, d.frontend(lc, cfg.MaxPassword), door, time.Duration(cfg.Timeout), d.log)
	if err != nil {
		return err
	}
	l, err := proto.Listen(lc, d.log)
	if err != nil {
		return err
	}
	d.servers = append(d.servers, server)
	d.wg.Go(func() {
		if err := server.Serve(l); err != nil {
			d.log.Error("listener ended", "socket", lc.Socket, proto.KeyErr, err)
		}
	})
	d.log.Info("listening", proto.KeyFrontend, lc.Protocol, "socket", lc.Socket)
	if err := d.router.Unrelayable(); lc.Protocol == "dovecot" && err != nil {
		d.log.Warn("PLAIN and LOGIN are all that is announced", "socket", lc.Socket, proto.KeyErr, err)
	}
	return nil
}

// frontend speaks the listener's protocol.
func (d *daemon) frontend(lc *proto.ListenConfig, maxPassword int) proto.Frontend {
	switch lc.Protocol {
	case "saslauthd":
		return &saslauthd.Frontend{MaxPassword: maxPassword, JoinRealm: lc.Realm == proto.RealmJoin}
	case "dovecot":
		return &dovecot.Frontend{
			MaxPassword:    maxPassword,
			Mechanisms:     lc.Mechanisms,
			RequireSecured: lc.RequireSecured,
			Relayer:        d.router,
			Relayable:      d.router.Mechanisms,
		}
	}
	return &readsocket.Frontend{MaxPassword: maxPassword, Relayer: d.router}
}

// stop drains: no new requests, those in progress are answered, then everything
// is closed. The error says that some had to be cut short.
func (d *daemon) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.grace)
	defer cancel()
	errs := make(chan error, len(d.servers))
	for _, s := range d.servers {
		go func() { errs <- s.Shutdown(ctx) }()
	}
	var cut error
	for range d.servers {
		if err := <-errs; err != nil {
			cut = fmt.Errorf("requests still in progress after %v were cut short", d.grace)
		}
	}
	d.wg.Wait()
	d.cache.Close()
	d.router.Close()
	return cut
}
