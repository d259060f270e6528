package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// beyond is what a step may take more than the protocol does.
	beyond = 300 * time.Microsecond
	// messages of a batch, as the bare client has, and how many a second are wanted.
	messages  = 10_000
	perSecond = 20_000
	// Steps, of which those of the short flow are taken off: what remains is steps
	// alone, without the start of a program and its first connection.
	manySteps, fewSteps = 1000, 100
	manyBatches         = 6
)

// protocol is a flow whose steps do what the bare client of that name does.
type protocol struct {
	name, address string
	steps         int // of a round, which is one request of the client
	before, each  string
}

func (b *bench) protocolFlows(servers map[string]string) []protocol {
	return []protocol{
		{"sql", servers["POSTGRES_URL"], 1, "", `
            - action: sql.query
              config: {connection: "${ADDRESS}", query: "SELECT :id::int AS id, 'Ada' AS name", params: {id: "${i}"}}
              assert: [first_row.id == i, 'first_row.name == "Ada"']`},
		{"redis", servers["REDIS_URL"], 1, `
    - action: redis.set
      config: {connection: "${ADDRESS}", key: "testmesh:bench", value: {name: Ada}, ttl: 1m}`, `
            - action: redis.get
              config: {connection: "${ADDRESS}", key: "testmesh:bench", as: json}
              assert: ['value.name == "Ada"']`},
		{"grpc", servers["DEMO"], 1, "", `
            - action: grpc.call
              config: {address: "${ADDRESS}", method: shop.v1.ShopService/GetProduct, request: {sku: TEA-001}}
              assert: [response.product.price.cents == 2990]`},
		{"graphql", servers["DEMO"], 1, "", `
            - action: graphql.query
              config: {url: "${ADDRESS}/graphql", query: "query ($id: ID!) { product(id: $id) { name price } }", variables: {id: TEA-001}}
              assert: [data.product.price == 29.90]`},
		{"websocket", servers["DEMO"], 2, `
    - {id: echo, action: websocket.connect, config: {url: "${ADDRESS}/ws/echo"}}`, `
            - {id: send, action: websocket.send, config: {connection: echo, json: {id: "${i}"}}}
            - {id: back, action: websocket.expect, config: {from: echo, since: send, where: {json: {id: "${i}"}}}}`},
	}
}

func (p protocol) flow(n int) string {
	return fmt.Sprintf(`flow:
  name: %s
  env: {ADDRESS: "%s"}
  steps:%s
    - action: for_each
      config:
        range: {start: 1, end: %d}
        item_name: i
        steps:%s
`, p.name, p.address, p.before, n, p.each)
}

// protocols is what a step costs beyond its protocol: beside a client of the same
// library that does the same over one connection.
func (b *bench) protocols() error {
	servers, err := realServers()
	if err != nil {
		return err
	}
	demo, stop, err := b.demo()
	if err != nil {
		return err
	}
	defer stop()
	servers["DEMO"] = demo
	if b.client, err = b.build("client"); err != nil {
		return err
	}
	for _, p := range b.protocolFlows(servers) {
		if err := b.protocol(p); err != nil {
			return err
		}
	}
	return b.batches(servers["KAFKA_BROKERS"])
}

func (b *bench) protocol(p protocol) error {
	measure := func(n int) (us, them cost, err error) {
		file := fmt.Sprintf("%s-%d.testmesh.yaml", p.name, n)
		if err := os.WriteFile(filepath.Join(b.dir, file), []byte(p.flow(n)), 0o600); err != nil {
			return us, them, err
		}
		return b.beside(b.client, []string{"run", file, "--format", "quiet"}, []string{p.name, p.address, fmt.Sprint(n)})
	}
	ours, bare, err := measure(manySteps)
	if err != nil {
		return err
	}
	few, bareFew, err := measure(fewSteps)
	if err != nil {
		return err
	}
	each := (ours.wall - few.wall) / time.Duration((manySteps-fewSteps)*p.steps)
	floor := max((bare.wall-bareFew.wall)/time.Duration((manySteps-fewSteps)*p.steps), time.Microsecond) // a busy machine may give less than nothing
	more := each - floor
	b.judged(p.name+", a step", us(each), us(floor), over(each, floor), fmt.Sprintf("%s more, < %s", us(more), us(beyond)), float64(more)/float64(beyond))
	return nil
}

// batches publishes batches of messages, which the flow makes before.
func (b *bench) batches(brokers string) error {
	flow := func(n int) string {
		return fmt.Sprintf(`flow:
  name: kafka
  steps:
    - action: kafka.create_topic
      config: {brokers: "%[1]s", topic: testmesh.bench}
    - action: set
      config:
        batch: '${ map(1..%[2]d, ({"key": "o-" + string(#), "value": {"order_id": #, "type": "created", "total": 12.5}})) }'
    - action: for_each
      config:
        range: {start: 1, end: %[3]d}
        steps:
          - action: kafka.publish
            config: {brokers: "%[1]s", topic: testmesh.bench, messages: "${batch}"}
            assert: [count == %[2]d]
`, brokers, messages, n)
	}
	measure := func(n int) (us, them cost, err error) {
		file := fmt.Sprintf("kafka-%d.testmesh.yaml", n)
		if err := os.WriteFile(filepath.Join(b.dir, file), []byte(flow(n)), 0o600); err != nil {
			return us, them, err
		}
		return b.beside(b.client, []string{"run", file, "--format", "quiet"}, []string{"kafka", brokers, fmt.Sprint(n)})
	}
	ours, bare, err := measure(manyBatches)
	if err != nil {
		return err
	}
	one, bareOne, err := measure(1)
	if err != nil {
		return err
	}
	rate := func(many, one cost) float64 {
		return messages * (manyBatches - 1) / max(many.wall-one.wall, 1).Seconds()
	}
	got, floor := rate(ours, one), rate(bare, bareOne)
	b.judged("kafka, messages a second", fmt.Sprintf("%.0fk", got/1000), fmt.Sprintf("%.0fk", floor/1000), got/floor, fmt.Sprintf("> %dk", perSecond/1000), perSecond/got)
	return nil
}

// realServers reads where .ci/services started them.
func realServers() (map[string]string, error) {
	text, err := exec.Command(".ci/services", "env").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ask for the servers: %w\n%s", err, text)
	}
	servers := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		servers[strings.TrimPrefix(name, "TESTMESH_TEST_")] = strings.Trim(value, "'")
	}
	for _, name := range []string{"POSTGRES_URL", "REDIS_URL", "KAFKA_BROKERS"} {
		if servers[name] == "" {
			return nil, fmt.Errorf("%s is not among the servers: type make services", name)
		}
	}
	return servers, nil
}

// demo starts the demo application, which is the server of grpc, graphql and
// websocket.
func (b *bench) demo() (url string, stop func(), err error) {
	cmd := exec.Command(b.testmesh, "demo", "serve", "--addr", "127.0.0.1:0")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			stop()
			return "", nil, fmt.Errorf("read the address of the demo application: %w", err)
		}
		if url = address.FindString(line); url != "" {
			go func() { _, _ = io.Copy(io.Discard, lines) }()
			return url, stop, nil
		}
	}
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
