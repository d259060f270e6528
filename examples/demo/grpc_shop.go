package demo

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	rpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	shopv1 "github.com/testmesh/testmesh/examples/demo/proto/shop/v1"
)

const (
	// statusLasts is how long WatchOrder waits between two statuses, where nothing
	// is said.
	statusLasts = 10 * time.Millisecond
	// maxAsked bounds what an order keeps of its request beside its lines.
	maxAsked = 1 << 10
)

type shopService struct {
	shopv1.UnimplementedShopServiceServer
}

func (shopService) GetProduct(ctx context.Context, in *shopv1.GetProductRequest) (*shopv1.GetProductResponse, error) {
	p, err := productOf(in.GetSku())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		grpc.SetHeader(ctx, metadata.Pairs("shop-region", "eu-1")),
		grpc.SetTrailer(ctx, metadata.Pairs("shop-cost", "1")),
	); err != nil {
		return nil, err
	}
	return &shopv1.GetProductResponse{Product: &shopv1.Product{
		Id: uint64(p.ID), Sku: p.SKU, Name: p.Name, Category: shopv1.Category(shopv1.Category_value["CATEGORY_"+strings.ToUpper(p.Category)]),
		Price: money(p.Price), InStock: p.InStock, Tags: p.Tags,
	}}, nil
}

// productOf finds an article, or says that there is none in the way of gRPC.
func productOf(sku string) (product, error) {
	p, ok := findProduct(sku)
	if !ok {
		return p, detailed(codes.NotFound, fmt.Sprintf("there is no product %q", sku),
			&errdetails.ResourceInfo{ResourceType: "product", ResourceName: sku, Description: "GET /products has all of them"})
	}
	return p, nil
}

func (shopService) CreateOrder(ctx context.Context, in *shopv1.CreateOrderRequest) (*shopv1.CreateOrderResponse, error) {
	var userID *string
	if in.GetUserId() != nil {
		userID = proto.String(in.GetUserId().GetValue())
	}
	var lines []wanted
	for _, l := range in.GetLines() {
		lines = append(lines, wanted{SKU: l.GetSku(), Qty: quantity(l.GetQty())})
	}
	made, err := callOf(ctx).orderRPC(userID, lines, in)
	if err != nil {
		return nil, err
	}
	return &shopv1.CreateOrderResponse{Order: made}, nil
}

// quantity of a line; none, in proto3, is 0 and means one.
func quantity(n uint32) *int {
	qty := int(max(n, 1))
	return &qty
}

// orderRPC places an order as POST /orders does. What only gRPC has of it is kept
// beside.
func (c *call) orderRPC(userID *string, lines []wanted, asked *shopv1.CreateOrderRequest) (*shopv1.Order, error) {
	made, wrong := newOrder(userID, lines)
	for i := range wrong {
		wrong[i].Field = strings.Replace(wrong[i].Field, "items", "lines", 1)
	}
	if asked.GetPending() {
		made.Status, made.readsLeft = "pending", 2
	}
	made.asked = &shopv1.CreateOrderRequest{Labels: asked.GetLabels(), Payment: asked.GetPayment(), Extras: asked.GetExtras()}
	if n := proto.Size(made.asked); n > maxAsked {
		wrong = append(wrong, fieldError{"labels", fmt.Sprintf("labels, payment and extras have %d bytes, the limit is %d", n, maxAsked)})
	}
	made, err := c.placeOrder(made, wrong)
	if err != nil {
		return nil, rpcError(err)
	}
	return made.message(), nil
}

func (shopService) GetOrder(ctx context.Context, in *shopv1.GetOrderRequest) (*shopv1.GetOrderResponse, error) {
	found, err := callOf(ctx).order(in.GetId(), func(*order) error { return nil })
	if err != nil {
		return nil, err
	}
	return &shopv1.GetOrderResponse{Order: found}, nil
}

// order finds an order, and changes it.
func (c *call) order(id string, change func(*order) error) (*shopv1.Order, error) {
	found, err := c.changeOrder(id, change)
	if err != nil {
		return nil, rpcError(err)
	}
	return found.message(), nil
}

func (shopService) WhoAmI(ctx context.Context, _ *shopv1.WhoAmIRequest) (*shopv1.WhoAmIResponse, error) {
	c := callOf(ctx)
	text, ok := c.bearer()
	if !ok {
		return nil, rpcstatus.Error(codes.Unauthenticated, "the metadata authorization with a bearer token is needed; POST /login gives one")
	}
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	s := c.tenant.sessions.get(text)
	if s == nil {
		return nil, rpcstatus.Error(codes.Unauthenticated, "the bearer token is not known")
	}
	return &shopv1.WhoAmIResponse{User: s.user, Roles: s.roles}, nil
}

func (shopService) WatchOrder(in *shopv1.WatchOrderRequest, out grpc.ServerStreamingServer[shopv1.WatchOrderResponse]) error {
	ctx, cancel := context.WithTimeout(out.Context(), maxStream)
	defer cancel()
	every := statusLasts
	if in.GetEvery() != nil {
		every = max(in.GetEvery().AsDuration(), time.Millisecond)
	}
	c := callOf(ctx)
	next := func(*order) error { return nil }
	for {
		o, err := c.order(in.GetId(), next)
		if err != nil {
			return err
		}
		if err := out.Send(&shopv1.WatchOrderResponse{Order: o}); err != nil {
			return err
		}
		next = func(o *order) error { // pending, paid, shipped
			if o.Status == "paid" {
				o.Status, o.readsLeft = "shipped", 0
				return nil
			}
			return o.pay()
		}
		last := o.GetStatus() == shopv1.OrderStatus_ORDER_STATUS_SHIPPED || o.GetStatus() == shopv1.OrderStatus_ORDER_STATUS_CONFIRMED
		if last && !in.GetKeepOpen() {
			return nil
		}
		wait := time.After(every)
		if last {
			wait = nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return rpcstatus.FromContextError(ctx.Err()).Err()
		}
	}
}

func (shopService) FillOrder(in grpc.ClientStreamingServer[shopv1.FillOrderRequest, shopv1.FillOrderResponse]) error {
	var lines []wanted
	for {
		line, err := in.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(lines) == maxItems {
			return rpcstatus.Errorf(codes.ResourceExhausted, "an order has at most %d lines", maxItems)
		}
		lines = append(lines, wanted{SKU: line.GetSku(), Qty: quantity(line.GetQty())})
	}
	made, err := callOf(in.Context()).orderRPC(nil, lines, nil)
	if err != nil {
		return err
	}
	return in.SendAndClose(&shopv1.FillOrderResponse{Order: made, Lines: uint32(len(lines))})
}

func (shopService) Quote(both grpc.BidiStreamingServer[shopv1.QuoteRequest, shopv1.QuoteResponse]) error {
	for {
		line, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p, err := productOf(line.GetSku())
		if err != nil {
			return err
		}
		total := money(p.Price * cents(*quantity(line.GetQty())))
		if err := both.Send(&shopv1.QuoteResponse{Sku: p.SKU, Total: total, InStock: p.InStock}); err != nil {
			return err
		}
	}
}

func money(c cents) *shopv1.Money { return &shopv1.Money{Currency: currency, Cents: int64(c)} }

// message is an order as gRPC has it. Number, checksum and signature derive from
// its id, and are as long as they can be.
func (o *order) message() *shopv1.Order {
	sum := sha256.Sum256([]byte(o.ID))
	created, err := time.Parse(time.RFC3339, o.CreatedAt)
	if err != nil {
		created = epoch // moment printed it
	}
	m := &shopv1.Order{
		Id: o.ID, Status: shopv1.OrderStatus(shopv1.OrderStatus_value["ORDER_STATUS_"+strings.ToUpper(o.Status)]),
		Total: money(o.Total), CreatedAt: timestamppb.New(created),
		Number:   math.MaxInt64 - int64(sum[0]),
		Checksum: binary.BigEndian.Uint64(sum[8:]) | 1<<63, Signature: sum[16:],
	}
	for _, line := range o.Items {
		m.Lines = append(m.Lines, &shopv1.Line{Sku: line.SKU, Qty: uint32(line.Qty), Total: money(line.Total)})
	}
	if o.UserID != nil {
		m.UserId = wrapperspb.String(*o.UserID)
	}
	if asked := o.asked; asked != nil {
		m.Labels, m.Extras = asked.GetLabels(), asked.GetExtras()
		switch paid := asked.GetPayment().(type) {
		case *shopv1.CreateOrderRequest_Card:
			m.Payment = &shopv1.Order_Card{Card: paid.Card}
		case *shopv1.CreateOrderRequest_Invoice:
			m.Payment = &shopv1.Order_Invoice{Invoice: paid.Invoice}
		}
	}
	return m
}
