package grpc

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Status is how the server ended a call.
type Status struct {
	Code    int               `json:"code" doc:"Number of the status code; 0 is OK."`
	Name    string            `json:"name" doc:"Its name: OK, NOT_FOUND, INVALID_ARGUMENT."`
	Message string            `json:"message" doc:"What the server says about it."`
	Details []json.RawMessage `json:"details" doc:"Messages with more about it, each with its type as @type."`
}

// codeNames are those of google/rpc/code.proto, by number.
var codeNames = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

func codeName(code codes.Code) string {
	if int(code) < len(codeNames) {
		return codeNames[code]
	}
	return "CODE_" + strconv.Itoa(int(code))
}

// maxRetryAfter bounds what a server asks for; who repeats has bounds of its own.
const maxRetryAfter = 24 * time.Hour

// status is the status that the server sent.
func (r *rpc) status(st *status.Status) Status {
	out := Status{Code: int(st.Code()), Name: codeName(st.Code()), Message: st.Message()}
	for _, detail := range st.Proto().GetDetails() {
		text, err := r.printer().Append(nil, detail.ProtoReflect())
		if err != nil {
			r.call.Warn("a detail of the status is no %s: %s", detail.GetTypeUrl(), err)
			continue
		}
		out.Details = append(out.Details, text)
		var retry errdetails.RetryInfo
		if detail.MessageIs(&retry) && detail.UnmarshalTo(&retry) == nil {
			r.call.RetryAfter(max(0, min(retry.GetRetryDelay().AsDuration(), maxRetryAfter)))
		}
	}
	return out
}

// made are the beginnings of what grpc-go says of answers that it cannot take
// (rpc_util.go and stream.go in google.golang.org/grpc): the server may well have
// ended such a call with OK.
var made = [...]string{
	"grpc: received message larger than max", "grpc: received message after decompression larger than max",
	"grpc: message after decompression larger than max", "grpc: failed to decompress", "grpc: failed to read decompressed data",
	"grpc: compressed flag set", "grpc: Decompressor is not installed", "grpc: received unexpected payload format",
	"grpc: no decompressor available", "grpc: peer compressed the response", "cardinality violation", "unexpected EOF",
}

// answered tells a status that the server sent from one that grpc-go made up.
// Where the server sent no headers, as with most failures, there was no message
// to stumble over: what looks like words of grpc-go is from a server in Go.
func answered(st *status.Status, seen traced) bool {
	if seen.trailer.IsZero() {
		return false
	}
	return seen.headers.IsZero() || !slices.ContainsFunc(made[:], func(begin string) bool { return strings.HasPrefix(st.Message(), begin) })
}

// shownMetadata is metadata as a result has it. The details of a status are in
// the status.
func shownMetadata(md metadata.MD) (joined map[string]string, values map[string][]string) {
	joined, values = make(map[string]string, len(md)), make(map[string][]string, len(md))
	for _, name := range slices.Sorted(maps.Keys(md)) {
		if name == "grpc-status-details-bin" {
			continue
		}
		list := slices.Clone(md[name])
		if strings.HasSuffix(name, "-bin") {
			for i, v := range list {
				list[i] = base64.StdEncoding.EncodeToString([]byte(v))
			}
		}
		joined[name], values[name] = strings.Join(list, ", "), list
	}
	return joined, values
}
