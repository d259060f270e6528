// Command client does with bare client libraries what the flows of the benchmark
// do over sql, redis, grpc, graphql, websocket and kafka: the same requests, one
// after the other over one connection, with the same checks. It is apart from
// floor, whose start and memory are measured too. It never links the plugins.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/segmentio/kafka-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	shopv1 "github.com/testmesh/testmesh/examples/demo/proto/shop/v1"
)

// limit bounds all requests of one run.
const limit = 2 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	clients := map[string]func(ctx context.Context, address string, n int) error{
		"sql": sql, "redis": get, "grpc": call, "graphql": query, "websocket": echo, "kafka": publish,
	}
	if len(args) != 3 || clients[args[0]] == nil {
		return fmt.Errorf("usage: client sql|redis|grpc|graphql|websocket|kafka ADDRESS N")
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return clients[args[0]](ctx, args[1], n)
}

func sql(ctx context.Context, url string, n int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for i := range n {
		var id int
		var name string
		if err := conn.QueryRow(ctx, "SELECT $1::int AS id, 'Ada' AS name", i).Scan(&id, &name); err != nil {
			return err
		}
		if id != i || name != "Ada" {
			return fmt.Errorf("got %d and %q", id, name)
		}
	}
	return nil
}

func get(ctx context.Context, url string, n int) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	c := redis.NewClient(options)
	defer c.Close()
	if err := c.Set(ctx, "testmesh:bench", `{"name":"Ada"}`, time.Minute).Err(); err != nil {
		return err
	}
	for range n {
		var user struct{ Name string }
		text, err := c.Get(ctx, "testmesh:bench").Bytes()
		if err == nil {
			err = json.Unmarshal(text, &user)
		}
		if err != nil {
			return err
		}
		if user.Name != "Ada" {
			return fmt.Errorf("got %s", text)
		}
	}
	return nil
}

func call(ctx context.Context, url string, n int) error {
	conn, err := grpc.NewClient(strings.TrimPrefix(url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	shop := shopv1.NewShopServiceClient(conn)
	for range n {
		got, err := shop.GetProduct(ctx, &shopv1.GetProductRequest{Sku: "TEA-001"})
		if err != nil {
			return err
		}
		if cents := got.GetProduct().GetPrice().GetCents(); cents != 2990 {
			return fmt.Errorf("got %d cents", cents)
		}
	}
	return nil
}

func query(ctx context.Context, url string, n int) error {
	body, err := json.Marshal(map[string]any{
		"query": "query ($id: ID!) { product(id: $id) { name price } }", "variables": map[string]any{"id": "TEA-001"},
	})
	if err != nil {
		return err
	}
	ask := func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/graphql", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var answer struct {
			Data struct {
				Product struct{ Price json.Number }
			}
		}
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			return err
		}
		if price, err := answer.Data.Product.Price.Float64(); err != nil || price != 29.9 {
			return fmt.Errorf("got the price %q", answer.Data.Product.Price)
		}
		return nil
	}
	for range n {
		if err := ask(); err != nil {
			return err
		}
	}
	return nil
}

// echo sends a message and waits for what comes back, as two steps of a flow do.
func echo(ctx context.Context, url string, n int) error {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/ws/echo", nil) //nolint:bodyclose // Close of the connection does it
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range n {
		if err := conn.WriteJSON(map[string]any{"id": i}); err != nil {
			return err
		}
		var got struct{ ID int }
		if err := conn.ReadJSON(&got); err != nil {
			return err
		}
		if got.ID != i {
			return fmt.Errorf("got %d, want %d", got.ID, i)
		}
	}
	return nil
}

// batch is how many messages a step publishes; the flow has the same number.
const batch = 10_000

func publish(ctx context.Context, brokers string, n int) error {
	broker, err := net.ResolveTCPAddr("tcp", strings.Split(brokers, ",")[0])
	if err != nil {
		return err
	}
	w := &kafka.Writer{
		Addr: broker, Topic: "testmesh.bench", Balancer: kafka.Murmur2Balancer{},
		RequiredAcks: kafka.RequireAll, BatchSize: batch, BatchTimeout: time.Millisecond,
	}
	defer w.Close()
	for range n {
		messages := make([]kafka.Message, batch)
		for i := range messages {
			value, err := json.Marshal(map[string]any{"order_id": i + 1, "type": "created", "total": 12.5})
			if err != nil {
				return err
			}
			messages[i] = kafka.Message{Key: fmt.Append(nil, "o-", i+1), Value: value}
		}
		if err := w.WriteMessages(ctx, messages...); err != nil {
			return err
		}
	}
	return nil
}
