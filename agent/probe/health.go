package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// What grpc.health.v1 and the gRPC wire format fix.
const (
	checkPath     = "/grpc.health.v1.Health/Check"
	serving       = 1  // HealthCheckResponse.ServingStatus
	unimplemented = 12 // the server is there and has no health service
	notFound      = 5  // it does not know the service that was asked for
	frameHead     = 5  // compressed flag, length
	maxMessage    = 1 << 10
)

// statusNames are the other values of ServingStatus.
var statusNames = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// health asks grpc.health.v1 for the whole server, or for the service that the
// URL's path names: grpc://host:port/package.Service.
func (p *Prober) health(ctx context.Context, u *url.URL) error {
	if u.Host == "" {
		return plugin.Definitionf("url", "%s has no host", u.Redacted())
	}
	service := strings.Trim(u.Path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+u.Host+checkPath, bytes.NewReader(frame(checkRequest(service))))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := p.grpc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	if err != nil {
		return fmt.Errorf("read the health check's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers HTTP %s, not gRPC", u.Redacted(), resp.Status)
	}
	code, message, err := status(resp)
	switch {
	case err != nil:
		return err
	case code == unimplemented && service == "":
		return nil
	case code == notFound:
		return fmt.Errorf("%s does not know the service %q", u.Redacted(), service)
	case code != 0:
		return fmt.Errorf("health check of %s: gRPC status %d %s", u.Redacted(), code, message)
	}
	found, err := servingStatus(body)
	if err != nil {
		return err
	}
	if found != serving {
		name := strconv.FormatUint(found, 10)
		if found < uint64(len(statusNames)) {
			name = statusNames[found]
		}
		return fmt.Errorf("%s is %s", u.Redacted(), name)
	}
	return nil
}

// status is grpc-status, which stands in the trailers, or in the header of an
// answer without a message.
func status(resp *http.Response) (code int, message string, err error) {
	for _, h := range [...]http.Header{resp.Trailer, resp.Header} {
		if text := h.Get("Grpc-Status"); text != "" {
			code, err := strconv.Atoi(text)
			if err != nil {
				return 0, "", fmt.Errorf("read grpc-status %q: %w", text, err)
			}
			return code, h.Get("Grpc-Message"), nil
		}
	}
	return 0, "", fmt.Errorf("the answer has no grpc-status: it is not gRPC")
}

// checkRequest is HealthCheckRequest{service}.
func checkRequest(service string) []byte {
	if service == "" {
		return nil
	}
	return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), service)
}

// frame puts the five bytes before a message.
func frame(message []byte) []byte {
	out := make([]byte, frameHead, frameHead+len(message))
	binary.BigEndian.PutUint32(out[1:], uint32(len(message)))
	return append(out, message...)
}

// servingStatus reads HealthCheckResponse.status out of a framed message.
func servingStatus(body []byte) (uint64, error) {
	if len(body) < frameHead {
		return 0, fmt.Errorf("the health check's answer has %d bytes and no message", len(body))
	}
	if body[0] != 0 {
		return 0, fmt.Errorf("the health check's answer is compressed, which was not asked for")
	}
	message := body[frameHead:]
	if n := binary.BigEndian.Uint32(body[1:frameHead]); uint64(n) != uint64(len(message)) {
		return 0, fmt.Errorf("the health check's answer is cut short")
	}
	var found uint64
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0, fmt.Errorf("read the health check's answer: %w", protowire.ParseError(n))
		}
		message = message[n:]
		if number == 1 && kind == protowire.VarintType {
			if found, n = protowire.ConsumeVarint(message); n < 0 {
				return 0, fmt.Errorf("read the health check's answer: %w", protowire.ParseError(n))
			}
		} else if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return 0, fmt.Errorf("read the health check's answer: %w", protowire.ParseError(n))
		}
		message = message[n:]
	}
	return found, nil
}
