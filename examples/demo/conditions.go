package demo

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxDelayMS = 60_000
	maxKey     = 128
)

// document is what /etag gives; its tag never changes.
const document = `{"document":"first edition"}` + "\n"

const documentTag = `"first-edition"`

func healthz(c *call) error { return c.json(http.StatusOK, map[string]string{"status": "ok"}) }

func delay(c *call) error {
	ms, err := c.query("ms", 100, 0, maxDelayMS)
	if err != nil {
		return err
	}
	if !c.wait(time.Duration(ms) * time.Millisecond) {
		return refuse(http.StatusServiceUnavailable, "stopping", "the application stops")
	}
	return c.json(http.StatusOK, map[string]int{"delayed_ms": ms})
}

// status answers with any final status code.
func status(c *call) error {
	code, err := whole("/status/", c.r.PathValue("code"), 0, 200, 599)
	if err != nil {
		return err
	}
	if after := c.r.URL.Query().Get("retry_after"); after != "" {
		seconds, err := c.query("retry_after", 0, 0, 3600)
		if err != nil {
			return err
		}
		c.w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if code == http.StatusNoContent || code == http.StatusResetContent || code == http.StatusNotModified {
		return c.body(code, "", nil)
	}
	return c.json(code, map[string]any{"status": code, "text": http.StatusText(code)})
}

func etag(c *call) error {
	c.w.Header().Set("ETag", documentTag)
	c.w.Header().Set("Cache-Control", "no-cache")
	for known := range strings.SplitSeq(c.r.Header.Get("If-None-Match"), ",") {
		if known = strings.TrimPrefix(strings.TrimSpace(known), "W/"); known == "*" || known == documentTag {
			c.w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return c.body(http.StatusOK, "application/json", []byte(document))
}

func (c *call) key() (string, error) {
	key := c.r.URL.Query().Get("key")
	if len(key) > maxKey {
		return "", badRequest("?key= is %d bytes long, the limit is %d", len(key), maxKey)
	}
	return key, nil
}

// flaky fails the first calls of a key.
func flaky(c *call) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	failures, err := c.query("fail", 2, 0, 1000)
	if err != nil {
		return err
	}
	code, err := c.query("status", http.StatusServiceUnavailable, 400, 599)
	if err != nil {
		return err
	}
	after, err := c.query("retry_after", 0, 0, 3600)
	if err != nil {
		return err
	}
	c.tenant.mu.Lock()
	count := c.tenant.flaky.get(key)
	if count == nil {
		count = c.tenant.flaky.put(key, 0)
	}
	*count++
	attempt := *count
	c.tenant.mu.Unlock()
	if attempt <= failures {
		c.w.Header().Set("Retry-After", strconv.Itoa(after))
		return refuse(code, "flaky", "attempt %d of %q fails, as do the first %d", attempt, key, failures)
	}
	return c.json(http.StatusOK, map[string]any{"key": key, "attempt": attempt})
}

// window counts the calls of one key since it began.
type window struct {
	began time.Time
	calls int
}

// rate allows ?limit= calls in each ?window_ms= of the application's clock.
func rate(c *call) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	limit, err := c.query("limit", 5, 1, 1_000_000)
	if err != nil {
		return err
	}
	ms, err := c.query("window_ms", 1000, 1, 3_600_000)
	if err != nil {
		return err
	}
	length, now := time.Duration(ms)*time.Millisecond, c.app.config.Clock()
	c.tenant.mu.Lock()
	w := c.tenant.rates.get(key)
	if w == nil || now.Sub(w.began) >= length {
		w = c.tenant.rates.put(key, window{began: now})
	}
	w.calls++
	calls, left := w.calls, w.began.Add(length).Sub(now)
	c.tenant.mu.Unlock()
	c.w.Header().Set("X-RateLimit-Limit", strconv.Itoa(limit))
	c.w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(limit-calls, 0)))
	if calls > limit {
		seconds := (left + time.Second - 1) / time.Second
		c.w.Header().Set("Retry-After", fmt.Sprintf("%d", seconds))
		return refuse(http.StatusTooManyRequests, "too_many_requests", "%d calls are allowed within %s", limit, length)
	}
	return c.json(http.StatusOK, map[string]int{"limit": limit, "remaining": limit - calls})
}

func serveOpenAPI(c *call) error {
	return c.body(http.StatusOK, "application/json", c.app.openAPI())
}
