package demo

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	rpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
	shopv1 "github.com/testmesh/testmesh/examples/demo/proto/shop/v1"
)

// services are what the application has over gRPC: the shop, an echo, health and
// reflection, the older version of which too.
func services() *grpc.Server {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxBody))
	shopv1.RegisterShopServiceServer(s, shopService{})
	echov1.RegisterEchoServiceServer(s, echoService{})
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s
}

type callKey struct{}

// callOf is the call that a method belongs to.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// isGRPC tells a call of gRPC from any other request to the same port.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// serveGRPC gives a call its tenant and its faults, as serve does for requests:
// metadata are headers.
func (a *App) serveGRPC(to http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Tenant")
		c := &call{app: a, w: w, r: r}
		if len(name) > maxTenantName {
			c.refuseRPC(rpcstatus.Newf(codes.InvalidArgument, "x-tenant is %d bytes long, the limit is %d", len(name), maxTenantName))
			return
		}
		c.tenant = a.tenant(name)
		var err error
		if c.faults, err = c.chosenFaults(); err != nil {
			c.refuseRPC(rpcstatus.Convert(rpcError(err)))
			return
		}
		a.config.Logger.Debug("request", "method", "gRPC", "path", r.URL.Path, "tenant", name, "faults", len(c.faults))
		c.runRPC(to)
	}
}

// rpcError is the status of what a handler of the shop says.
func rpcError(err error) error {
	var p *problem
	if !errors.As(err, &p) {
		return err
	}
	code, known := map[int]codes.Code{
		http.StatusBadRequest: codes.InvalidArgument, http.StatusUnprocessableEntity: codes.InvalidArgument,
		http.StatusUnauthorized: codes.Unauthenticated, http.StatusNotFound: codes.NotFound, http.StatusConflict: codes.FailedPrecondition,
	}[p.status]
	if !known {
		code = codes.Internal
	}
	if len(p.Fields) == 0 {
		return rpcstatus.Error(code, p.Message)
	}
	bad := &errdetails.BadRequest{}
	for _, f := range p.Fields {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: f.Field, Description: f.Message})
	}
	return detailed(code, p.Message, bad)
}

func detailed(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st, err := rpcstatus.New(code, message).WithDetails(details...)
	if err != nil {
		return rpcstatus.Errorf(codes.Internal, "describe an error: %v", err)
	}
	return st.Err()
}
