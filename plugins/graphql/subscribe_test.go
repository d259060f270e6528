package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const orderPlaced = `subscription {orderPlaced {total}}`

// place places an order of so many teas.
func (r *run) place(url string, qty int) {
	r.t.Helper()
	r.must("query", m{
		"url": url, "query": `mutation($qty: Int!) {placeOrder(input: {items: [{sku: "TEA-001", qty: $qty}]}) {id}}`, "variables": m{"qty": qty},
	})
}

// transports are the ways of a subscription with the protocol that each gives.
var transports = map[string]string{"ws": newProtocol, "sse": eventsProtocol}

func TestWhatHappensAfterASubscriptionIsSeen(t *testing.T) {
	for transport, protocol := range transports {
		t.Run(transport, func(t *testing.T) {
			url := shop(t) + "/graphql"
			r := newRun(t)
			r.place(url, 1) // before: not seen
			got := r.mustAs("orders", "subscribe", m{"url": url, "query": orderPlaced, "transport": transport})
			if got["protocol"] != protocol || got["confirmed"] != true || text(t, got["errors"]) != "[]" {
				t.Errorf("got %v", got)
			}
			r.place(url, 2)
			r.place(url, 3)
			for range 2 { // an expect takes nothing away
				got = r.must("expect", m{"from": "orders", "where": m{"data": m{"orderPlaced": m{"total": json.Number("89.70")}}}})
				if text(t, got["messages"]) != `[{"data":{"orderPlaced":{"total":89.70}}}]` || text(t, got["count"]) != "1" || text(t, got["seen"]) != "2" {
					t.Errorf("got %v", got)
				}
			}
			got = r.must("expect", m{"count": 2}) // of the only subscription
			if text(t, got["messages"]) != `[{"data":{"orderPlaced":{"total":59.80}}},{"data":{"orderPlaced":{"total":89.70}}}]` {
				t.Errorf("got %v", got)
			}
			got = r.must("expect", m{"absent": true, "within": "50ms", "where": m{"data": m{"orderPlaced": m{"total": json.Number("29.90")}}}})
			if text(t, got["count"]) != "0" {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestTheRaceIsImpossibleWithSubscribe triggers as soon as subscribe has
// returned, many times; without it, what happens before is lost.
func TestTheRaceIsImpossibleWithSubscribe(t *testing.T) {
	url := shop(t) + "/graphql"
	for transport := range transports {
		for i := range 50 {
			r := newRun(t)
			r.req.RunID = fmt.Sprint(transport, i)
			r.must("subscribe", m{"url": url, "query": orderPlaced, "transport": transport})
			r.place(url, 1)
			r.must("expect", m{"within": "10s"})
			r.plugin.EndRun(r.req.RunID)
		}
		r := newRun(t)
		r.place(url, 1)
		r.must("subscribe", m{"url": url, "query": orderPlaced, "transport": transport})
		if got := r.fault("expect", m{"within": "50ms"}); !got.Failed || !strings.Contains(got.Message, "no message came from orderPlaced at http://") {
			t.Errorf("the trigger before the subscription: got %+v", got)
		}
	}
}

func TestAWaitThatEndsSaysWhatCame(t *testing.T) {
	url := shop(t) + "/graphql"
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": "subscription Placed {orderPlaced {total currency}}"})
	r.place(url, 1)
	r.place(url, 2)
	got := r.fault("expect", m{"within": "100ms", "where": m{"data": m{"orderPlaced": m{"total": json.Number("59.90"), "currency": "EUR"}}}})
	if !got.Failed || got.Code != plugin.CodeWait || got.Message != "2 messages came from Placed at "+url+" since the subscription, and none fits within 100ms" {
		t.Errorf("got %+v", got)
	}
	if details := strings.Join(got.Details, "\n"); !strings.Contains(details, `nearest miss: {"data":{"orderPlaced":{"total":59.80,"currency":"EUR"}}}`) || !strings.Contains(details, "$.data.orderPlaced.total") {
		t.Errorf("got %s", details)
	}
	got = r.fault("expect", m{"absent": true, "within": "10s", "where": m{"data": m{"orderPlaced": m{"total": json.Number("59.80")}}}})
	if !got.Failed || !strings.Contains(got.Message, "should not come came") {
		t.Errorf("got %+v", got)
	}
	got = r.fault("expect", m{"from": "nobody"})
	if got.Field != "from" || got.Hint != "there are subscriptions of subscribe" {
		t.Errorf("got %+v", got)
	}
	r.mustAs("second", "subscribe", m{"url": url, "query": orderPlaced})
	got = r.fault("expect", m{})
	if got.Field != "from" || got.Message != "is missing, and the run has 2 subscriptions" || got.Hint != "there are subscriptions of second, subscribe" {
		t.Errorf("got %+v", got)
	}
	got = r.fault("expect", m{"from": "second", "where": "#nope"})
	if got.Field != "where" {
		t.Errorf("got %+v", got)
	}
}

func TestSubscriptionsEndAsTheServerSays(t *testing.T) {
	url := shop(t) + "/graphql"
	for transport := range transports {
		t.Run(transport, func(t *testing.T) {
			r := newRun(t)
			r.mustAs("count", "subscribe", m{"url": url, "query": "subscription {countdown(from: 2)}", "transport": transport})
			got := r.must("expect", m{"from": "count", "count": 3})
			if text(t, got["messages"]) != `[{"data":{"countdown":2}},{"data":{"countdown":1}},{"data":{"countdown":0}}]` {
				t.Errorf("got %v", got)
			}
			fault := r.fault("expect", m{"from": "count", "count": 4})
			if !fault.Failed || !strings.Contains(fault.Message, "ended after") {
				t.Errorf("complete: got %+v", fault)
			}
			r.must("expect", m{"from": "count", "absent": true, "where": m{"data": m{"countdown": 5}}})

			r.mustAs("broken", "subscribe", m{"url": url, "query": "subscription {broken(after: 1, everyMs: 1000)}", "transport": transport})
			r.must("expect", m{"from": "broken", "where": m{"data": m{"broken": 1}}})
			r.must("expect", m{"from": "broken", "where": m{"errors": []any{m{"extensions": m{"code": "BROKEN"}}}}})
		})
	}
	// That what is waited for does not come because of errors is an answer.
	r := newRun(t)
	r.mustAs("broken", "subscribe", m{"url": url, "query": "subscription {broken(after: 1, everyMs: 1000)}"})
	for _, absent := range []bool{false, true} {
		fault := r.fault("expect", m{"from": "broken", "absent": absent, "where": m{"data": m{"broken": 7}}})
		if !fault.Failed || !strings.Contains(fault.Message, "the subscription broke after 1") {
			t.Errorf("errors, absent %v: got %+v", absent, fault)
		}
	}
}

func TestASubscriptionThatIsRefusedHasTheErrors(t *testing.T) {
	url := shop(t) + "/graphql"
	for transport := range transports {
		r := newRun(t)
		got := r.must("subscribe", m{"url": url, "query": "subscription {nope}", "transport": transport})
		if !strings.Contains(text(t, got["errors"]), "Cannot query field") {
			t.Errorf("%s: got %v", transport, got)
		}
		if fault := r.fault("expect", m{}); fault.Field != "from" || !strings.Contains(fault.Hint, "and passes") {
			t.Errorf("%s: a refused subscription is kept: %+v", transport, fault)
		}
	}
}

func TestASchemaAndBoundsHoldForSubscriptions(t *testing.T) {
	r := newRun(t)
	r.req.Root = shopSchema(t)
	url := "ws://" + nobody(t)
	if got := r.fault("subscribe", m{"url": url, "schema": "shop.graphql", "query": "subscription {orderPlased {id}}"}); !strings.Contains(got.Message, `Did you mean "orderPlaced" or`) {
		t.Errorf("got %+v", got)
	}
	if got := r.fault("subscribe", m{"url": url, "max_depth": 1, "query": orderPlaced}); !got.Failed || !strings.Contains(got.Message, "2 fields deep") {
		t.Errorf("got %+v", got)
	}
	if got := r.fault("subscribe", m{"url": url, "query": orderPlaced}); got.Code != plugin.CodeConn || !strings.Contains(got.Message, "connection refused") {
		t.Errorf("got %+v", got)
	}
}

func TestAStepThatSubscribesAgainBeginsAnew(t *testing.T) {
	url := shop(t) + "/graphql"
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	r.place(url, 1)
	r.must("expect", m{})
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	if got := r.fault("expect", m{"within": "20ms"}); !got.Failed {
		t.Errorf("got %+v", got)
	}
}

func TestConnectionParamsAreSent(t *testing.T) {
	url := shop(t) + "/graphql"
	r := newRun(t)
	login := r.must("query", m{"url": url, "query": `mutation {login(user: "ada", password: "correct-horse") {token}}`})
	token := login["data"].(m)["login"].(m)["token"]
	r.must("subscribe", m{"url": url, "query": orderPlaced, "connection_params": m{"token": token}})
	got := r.fault("subscribe", m{"url": url, "query": orderPlaced, "connection_params": m{"token": "wrong"}})
	if got.Code != plugin.CodeAuth || !strings.HasSuffix(got.Message, "closed the connection: 4403 Forbidden") || got.Hint != "check connection_params and auth" {
		t.Errorf("got %+v", got)
	}
}

func TestNothingIsLeftOfASubscription(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("run", func(t *testing.T) {
		url := shop(t) + "/graphql"
		r := newRun(t)
		for transport := range transports {
			r.mustAs("orders-"+transport, "subscribe", m{"url": url, "query": orderPlaced, "transport": transport})
			r.mustAs("broken-"+transport, "subscribe", m{"url": url, "query": "subscription {broken}", "transport": transport})
			r.mustAs("refused-"+transport, "subscribe", m{"url": url, "query": "subscription {nope}", "transport": transport})
		}
		began := time.Now()
		r.plugin.EndRun("run")
		if took := time.Since(began); took > time.Second {
			t.Errorf("the end of the run took %s", took)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	goleak.VerifyNone(t, before)
}

// script is a server that speaks WebSocket as a function says.
func script(t *testing.T, protocol string, talk func(*peer)) string {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol}}
	var talks sync.WaitGroup
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		talks.Add(1)
		defer talks.Done()
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		talk(&peer{t, conn})
	})
	t.Cleanup(talks.Wait)
	return url
}

type peer struct {
	t    *testing.T
	conn *websocket.Conn
}

// hear reads messages until one of a type; false: the client has gone.
func (p *peer) hear(kind string) bool {
	for {
		var f frame
		if err := p.conn.ReadJSON(&f); err != nil {
			return false
		}
		if f.Type == kind {
			return true
		}
	}
}

func (p *peer) say(messages ...string) {
	for _, m := range messages {
		_ = p.conn.WriteMessage(websocket.TextMessage, []byte(m))
	}
}

// welcome acknowledges, hears the subscription and, where it has some, a ping.
func (p *peer) welcome() {
	p.hear("connection_init")
	p.say(`{"type":"connection_ack"}`)
	if p.conn.Subprotocol() == oldProtocol {
		p.hear("start")
		return
	}
	p.hear("subscribe")
	p.hear("ping")
	p.say(`{"type":"pong"}`)
}

func (p *peer) close(code int, reason string) {
	_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}

func TestServersThatBreakTheBeginning(t *testing.T) {
	tests := map[string]struct {
		url   string
		code  string
		words string
		hint  string
	}{
		"another subprotocol":    {script(t, "mqtt", func(p *peer) { p.hear("") }), plugin.CodeProtocol, `speaks neither graphql-transport-ws nor graphql-ws: its subprotocol is ""`, "transport: sse"},
		"no WebSocket":           {answers(t, says(404, "text/plain", "not here")), plugin.CodeProtocol, "did not open a WebSocket: it answered 404 Not Found", "transport: sse"},
		"nobody we know":         {answers(t, says(401, "text/plain", "who?")), plugin.CodeAuth, "it answered 401 Unauthorized", "check auth"},
		"a close before the ack": {script(t, newProtocol, func(p *peer) { p.hear("connection_init"); p.close(4403, "Forbidden") }), plugin.CodeAuth, "closed the connection: 4403 Forbidden", "check connection_params"},
		"a drop before the ack":  {script(t, newProtocol, func(p *peer) { p.hear("connection_init") }), plugin.CodeConn, "dropped the connection", "log"},
		"an error before the ack": {script(t, oldProtocol, func(p *peer) {
			p.hear("connection_init")
			p.say(`{"type":"connection_error","payload":{"message":"who are you?"}}`)
			p.hear("")
		}), plugin.CodeAuth, "refused the connection: who are you?", "check connection_params"},
		"no ack":       {script(t, newProtocol, func(p *peer) { p.hear("never") }), plugin.CodeTimeout, "within 200ms: the time ran out before connection_init was acknowledged", "raise within"},
		"no JSON":      {script(t, newProtocol, func(p *peer) { p.hear("connection_init"); p.say("hello"); p.hear("never") }), plugin.CodeProtocol, "sent what is no message of graphql-transport-ws: hello", ""},
		"another type": {script(t, newProtocol, func(p *peer) { p.hear("connection_init"); p.say(`{"type":"welcome"}`); p.hear("never") }), plugin.CodeProtocol, `sent a message of the type "welcome"`, ""},
		"a close after subscribe": {script(t, newProtocol, func(p *peer) {
			p.hear("connection_init")
			p.say(`{"type":"connection_ack"}`)
			p.hear("subscribe")
			p.close(4400, "Invalid message")
			p.hear("never")
		}), plugin.CodeProtocol, "closed the connection: 4400 Invalid message", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			got := r.fault("subscribe", m{"url": test.url, "query": orderPlaced, "within": "200ms"})
			if got.Code != test.code || !strings.Contains(got.Message, test.words) || !strings.Contains(got.Hint, test.hint) || got.Failed {
				t.Errorf("got %s %s (%s), want %s %s (%s)", got.Code, got.Message, got.Hint, test.code, test.words, test.hint)
			}
		})
	}
}

func TestServersThatBreakALivingSubscription(t *testing.T) {
	tests := map[string]struct {
		talk  func(*peer)
		code  string
		words string
	}{
		"a drop":                  {func(*peer) {}, plugin.CodeConn, "dropped the connection"},
		"a close in order":        {func(p *peer) { p.close(1001, "restarting"); p.hear("never") }, plugin.CodeConn, "closed the connection: 1001 restarting"},
		"a message without an id": {func(p *peer) { p.say(`{"type":"next","payload":5}`); p.hear("never") }, plugin.CodeProtocol, "sent a message that is no GraphQL response: 5"},
		"a message that is cut":   {func(p *peer) { p.say(`{"type":"next","payload":{`); p.hear("never") }, plugin.CodeProtocol, "sent what is no message"},
		"one that is too large": {func(p *peer) {
			p.say(`{"type":"next","payload":{"data":"` + strings.Repeat("x", 2<<20) + `"}}`)
			p.hear("never")
		}, plugin.CodeBody, "a message of http://127.0.0.1:"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			began := make(chan struct{})
			url := script(t, newProtocol, func(p *peer) {
				p.welcome()
				<-began
				p.say(`{"id":"1","type":"next","payload":{"data":{"n":1}}}`)
				test.talk(p)
			})
			r := newRun(t)
			r.must("subscribe", m{"url": url, "query": orderPlaced, "max_message": 1 << 20})
			close(began)
			r.must("expect", m{"where": m{"data": m{"n": 1}}}) // what came before counts
			got := r.fault("expect", m{"where": m{"data": m{"n": 2}}})
			if got.Code != test.code || !strings.Contains(got.Message, test.words) || got.Failed {
				t.Errorf("got %+v, want %s %s", got, test.code, test.words)
			}
			if got := r.fault("expect", m{"absent": true, "where": m{"data": m{"n": 2}}}); got.Failed {
				t.Errorf("a broken subscription has shown that nothing came: %+v", got)
			}
		})
	}
}

func TestTheOlderProtocol(t *testing.T) {
	stopped := make(chan struct{})
	url := script(t, oldProtocol, func(p *peer) {
		p.welcome()
		p.say(`{"type":"ka"}`, `{"id":"1","type":"data","payload":{"data":{"n":1}}}`)
		if p.hear("stop") {
			close(stopped)
		}
	})
	r := newRun(t)
	got := r.must("subscribe", m{"url": url, "query": orderPlaced})
	if got["protocol"] != oldProtocol || got["confirmed"] != false || len(r.heard.logs) != 1 || !strings.Contains(r.heard.logs[0], "has no ping") {
		t.Errorf("got %v, logs %q", got, r.heard.logs)
	}
	r.must("expect", m{"where": m{"data": m{"n": 1}}})
	r.plugin.EndRun("run")
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		t.Error("the server did not hear stop")
	}
}

func TestAServerThatAnswersNoPingIsNotConfirmed(t *testing.T) {
	url := script(t, newProtocol, func(p *peer) {
		p.hear("connection_init")
		p.say(`{"type":"connection_ack"}`)
		p.hear("never")
	})
	r := newRun(t)
	if got := r.must("subscribe", m{"url": url, "query": orderPlaced}); got["confirmed"] != false {
		t.Errorf("got %v", got)
	}
	r.must("expect", m{"absent": true, "within": "10ms"})
}

func TestAnAbsenceThatCannotBeMadeSureOfIsErrored(t *testing.T) {
	url := script(t, newProtocol, func(p *peer) {
		p.welcome()
		p.hear("never") // and no pong any more
	})
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	if got := r.fault("expect", m{"absent": true, "within": "10ms"}); got.Code != plugin.CodeConn || got.Failed || !strings.Contains(got.Message, "has not answered a ping") {
		t.Errorf("got %+v", got)
	}
}

func TestAServersPingIsAnswered(t *testing.T) {
	url := script(t, newProtocol, func(p *peer) {
		p.welcome()
		p.say(`{"type":"ping","payload":{"n":1}}`)
		if p.hear("pong") {
			p.say(`{"id":"1","type":"next","payload":{"data":{"ponged":true}}}`)
		}
		p.hear("never")
	})
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	r.must("expect", m{"where": m{"data": m{"ponged": true}}})
}

func TestAFloodIsBoundedAndSaid(t *testing.T) {
	payload := `{"id":"1","type":"next","payload":{"data":"` + strings.Repeat("x", 1<<20) + `"}}`
	url := script(t, newProtocol, func(p *peer) {
		p.welcome()
		for range 66 {
			p.say(payload)
		}
		p.say(`{"id":"1","type":"next","payload":{"data":{"last":true}}}`)
		for p.hear("ping") {
			p.say(`{"type":"pong"}`)
		}
	})
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	got := r.must("expect", m{"where": m{"data": m{"last": true}}, "within": "30s"})
	if seen, err := got["seen"].(json.Number).Int64(); err != nil || seen > 67 {
		t.Errorf("got %v", got["seen"])
	}
	fault := r.fault("expect", m{"where": m{"data": m{"last": false}}, "within": "10ms"})
	if fault.Failed || fault.Code != plugin.CodeBody || !strings.Contains(fault.Message, "were dropped at the limit") {
		t.Errorf("what was dropped is not said: %+v", fault)
	}
}

func TestAResultOfManyMessagesIsCutAndSaid(t *testing.T) {
	payload := `{"id":"1","type":"next","payload":{"data":"` + strings.Repeat("x", 1<<20) + `"}}`
	url := script(t, newProtocol, func(p *peer) {
		p.welcome()
		for range 20 {
			p.say(payload)
		}
		p.hear("never")
	})
	r := newRun(t)
	r.must("subscribe", m{"url": url, "query": orderPlaced})
	got, res, err := r.do("expect", m{"count": 20})
	if err != nil || text(t, got["count"]) != "20" || len(got["messages"].([]any)) != 15 || !strings.HasPrefix(res.Limited, "messages over 16 MiB") {
		t.Errorf("got %v messages, %q, %v", len(got["messages"].([]any)), res.Limited, err)
	}
}

// events answers with a stream of server-sent events.
func events(text string, then func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(text))
		w.(http.Flusher).Flush()
		if then != nil {
			then(r)
		}
	}
}

func untilGone(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // before that nobody notices that the client goes
	<-r.Context().Done()
}

func TestServerSentEventsOfAnySort(t *testing.T) {
	tests := map[string]struct {
		stream string
		then   func(*http.Request)
		want   string
		code   string
		words  string
	}{
		"several lines of data":     {"event: next\ndata: {\"data\":\ndata:  {\"n\":1}}\n\n", untilGone, `{"data":{"n":1}}`, "", ""},
		"comments and line ends":    {": hello\r\n\r\nid: 1\r\nretry: 5\r\nevent: next\r\ndata:{\"data\":1}\r\n\r\n", untilGone, `{"data":1}`, "", ""},
		"without a name":            {"data: {\"data\":1}\n\n", untilGone, `{"data":1}`, "", ""},
		"an event of another name":  {"event: hello\ndata: x\n\nevent: next\ndata: {\"data\":1}\n\n", untilGone, `{"data":1}`, "", ""},
		"an end without complete":   {"event: next\ndata: {\"data\":1}\n\n", nil, `{"data":1}`, plugin.CodeConn, "ended the stream without complete"},
		"an event that is not done": {"event: next\ndata: {\"data\":1}\n\nevent: next\ndata: {\"data\":2}\n", nil, `{"data":1}`, plugin.CodeConn, "ended the stream without complete"},
		"data that is no response":  {"event: next\ndata: {\"data\":1}\n\nevent: next\ndata: hello\n\n", untilGone, `{"data":1}`, plugin.CodeProtocol, "is no GraphQL response: hello"},
		"a line that is too long":   {"event: next\ndata: {\"data\":1}\n\ndata: " + strings.Repeat("x", 2<<20), untilGone, `{"data":1}`, plugin.CodeBody, "over 1 MiB (max_message)"},
		"data that is too long":     {"event: next\ndata: {\"data\":1}\n\n" + strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 2000), untilGone, `{"data":1}`, plugin.CodeBody, "over 1 MiB (max_message)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.must("subscribe", m{"url": answers(t, events(test.stream, test.then)), "query": orderPlaced, "transport": "sse", "max_message": 1 << 20})
			_, res, err := r.do("expect", m{})
			if err != nil || !strings.Contains(string(res.Result), `"messages":[`+test.want+`]`) {
				t.Fatalf("got %v, %v, want %s", res, err, test.want)
			}
			if test.code == "" {
				return
			}
			got := r.fault("expect", m{"count": 2})
			if got.Code != test.code || !strings.Contains(got.Message, test.words) || got.Failed {
				t.Errorf("got %+v, want %s %s", got, test.code, test.words)
			}
		})
	}
}

func TestAnswersThatAreNoStream(t *testing.T) {
	silent := answers(t, func(w http.ResponseWriter, r *http.Request) { untilGone(r) })
	tests := map[string]struct{ url, code, words string }{
		"a page":      {answers(t, says(404, "text/html", "no")), plugin.CodeProtocol, "404 Not Found of the type text/html"},
		"not allowed": {answers(t, says(403, "text/plain", "no")), plugin.CodeAuth, "403 Forbidden of the type text/plain"},
		"a response":  {answers(t, says(200, "application/json", `{"data":{"a":1}}`)), plugin.CodeProtocol, "the answer is a response, and no stream of events"},
		"nothing":     {silent, plugin.CodeTimeout, "within 200ms: the time ran out while waiting for the answer"},
		"nobody":      {"http://" + nobody(t), plugin.CodeConn, "connection refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := newRun(t).fault("subscribe", m{"url": test.url, "query": orderPlaced, "transport": "sse", "within": "200ms"})
			if got.Code != test.code || !strings.Contains(got.Message, test.words) || got.Failed {
				t.Errorf("got %+v, want %s %s", got, test.code, test.words)
			}
		})
	}
}

func TestACancelledWaitEndsAtOnce(t *testing.T) {
	url := shop(t) + "/graphql"
	silent := "http://" + listens(t, reads)
	for name, step := range map[string]struct {
		action string
		config m
	}{
		"expect":           {"expect", m{"from": "orders", "within": "1h"}},
		"subscribe by ws":  {"subscribe", m{"url": script(t, newProtocol, func(p *peer) { p.hear("never") }), "query": orderPlaced, "within": "1h"}},
		"subscribe by sse": {"subscribe", m{"url": answers(t, func(_ http.ResponseWriter, r *http.Request) { untilGone(r) }), "query": orderPlaced, "transport": "sse", "within": "1h"}},
		"the handshake":    {"subscribe", m{"url": silent, "query": orderPlaced, "within": "1h", "connect_timeout": "1h"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.mustAs("orders", "subscribe", m{"url": url, "query": orderPlaced})
			ctx, cancel := context.WithCancel(t.Context())
			timer := time.AfterFunc(50*time.Millisecond, cancel)
			defer timer.Stop()
			start := time.Now()
			got, _, err := r.doAs(ctx, name, step.action, step.config)
			if fault := faultOf(t, got, err); fault.Failed || fault.Blame == plugin.BlamePlugin || time.Since(start) > 2*time.Second {
				t.Errorf("got %+v after %s", fault, time.Since(start))
			}
		})
	}
}
