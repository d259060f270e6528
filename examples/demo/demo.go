// Package demo is the demonstration application: a small shop with users, orders
// and logins, and beside it everything an HTTP client has to cope with, so that
// documentation, examples and tests run against a real server that needs nothing
// installed. The same seed and the same requests give the same bytes.
//
// It never writes a file, never calls another system and never keeps what it was
// told longer than it runs; it is no model for a shop's security.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// The credentials that the application accepts, the same for every tenant.
const (
	Username     = "ada"
	Password     = "correct-horse"
	ClientID     = "demo-client"
	ClientSecret = "demo-secret"
	APIKey       = "demo-api-key"
)

const (
	// shutdownGrace is how long requests in flight may take to end once Run is
	// told to stop. Handlers that wait or stream end at once, so only a client
	// that neither sends the rest of its request nor reads its answer uses it up.
	shutdownGrace = 3 * time.Second
	// readTimeout bounds a request that arrives slowly.
	readTimeout = time.Minute
	// idleTimeout bounds a connection without a request.
	idleTimeout = 2 * time.Minute
	// maxStream bounds an answer that is endless or drips, should nobody hang up.
	maxStream = 5 * time.Minute
	// maxBody bounds what one request may send.
	maxBody = 32 << 20
)

// Config says what the application depends on. The zero Config is usable.
type Config struct {
	Seed   int64            // ids, tokens and /bytes derive from it
	Clock  func() time.Time // when tokens expire and windows end; nil: time.Now
	Logger *slog.Logger     // nil: no log
}

// App is the application. Its handler may be used by any number of goroutines.
type App struct {
	config  Config
	mux     *http.ServeMux
	grpc    http.Handler
	table   []Route
	openAPI func() []byte

	mu      sync.Mutex
	tenants tenants
}

// New gives an application in its first state. It starts nothing.
func New(config Config) (*App, error) {
	if config.Clock == nil {
		config.Clock = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	a := &App{config: config, mux: http.NewServeMux(), table: Routes()}
	a.openAPI = sync.OnceValue(func() []byte { return openAPI(a.table) })
	for _, route := range a.table {
		a.mux.HandleFunc(route.pattern(), a.serve(route.handle))
	}
	a.mux.HandleFunc("/", a.serve(a.notFound))
	a.grpc = a.serveGRPC(services())
	return a, nil
}

// Handler is the application for a server of the caller's, which has to speak
// HTTP/2 for the part that is gRPC. Endless answers end when their request's
// context does.
func (a *App) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isGRPC(r) {
			a.grpc.ServeHTTP(w, r)
			return
		}
		a.mux.ServeHTTP(w, r)
	})
}

// Run serves on l until ctx ends, then lets requests finish and returns. It
// closes l. The error is nil after a stop by ctx.
func (a *App) Run(ctx context.Context, l net.Listener) error {
	// Requests wait on alive, so that Shutdown does not wait for /delay.
	alive, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// gRPC, and whoever else wants HTTP/2, has the same port.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           a.Handler(),
		Protocols:         protocols,
		BaseContext:       func(net.Listener) context.Context { return alive },
		ConnContext:       withConn,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(a.config.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	a.config.Logger.Info("demo application is listening", "address", l.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("serve the demo application: %w", err)
	case <-ctx.Done():
	}
	stop()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		a.config.Logger.Warn("requests were cut off at shutdown")
		err = server.Close()
	}
	if ended := <-served; err == nil && !errors.Is(ended, http.ErrServerClosed) {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("stop the demo application: %w", err)
	}
	return nil
}
