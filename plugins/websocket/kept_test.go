package websocket

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// order places an order of the shop and gives its id.
func order(t *testing.T, api string) string {
	t.Helper()
	res, err := http.Post("http://"+api+"/orders", "application/json", strings.NewReader(`{"items": [{"sku": "TEA-001"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var made struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("got %s, %v", res.Status, err)
	}
	return made.ID
}

// Once a step has connected, nothing that happens afterwards is missed, however
// late another step looks; who connects after it happened has missed it.
func TestAnEventIsOnlyMissedWithoutConnectingFirst(t *testing.T) {
	api := shop(t)
	p := play(t)
	look := func(from, id, within string) fields {
		return fields{"from": from, "where": fields{"json": fields{"type": "order.created", "order": fields{"id": id}}}, "within": within}
	}
	for i := range 30 {
		name := fmt.Sprintf("before%d", i)
		p.do(name+" = connect", fields{"url": "http://" + api + "/ws/events"})
		id := order(t, api)
		p.do("expect", look(name, id, "5s")) // it may have come before, it may come now
		p.do("close", fields{"connection": name})
	}
	id := order(t, api)
	p.do("late = connect", fields{"url": "http://" + api + "/ws/events"})
	if e := p.fault("expect", look("late", id, "200ms")); !e.Failed || !strings.Contains(e.Message, "no message came from") {
		t.Errorf("without connecting first: got %s", words(e))
	}
}

func TestConnectionsHaveNames(t *testing.T) {
	api := shop(t)
	url := "ws://" + api + "/ws/echo"
	p := play(t)
	if e := p.fault("expect", fields{}); e.Field != "from" || !strings.Contains(e.Message, "this run has no connection") {
		t.Errorf("got %s", words(e))
	}
	p.do("first = connect", fields{"url": url})
	p.do("second = connect", fields{"url": url, "name": "other"})
	for _, name := range []string{"first", "second", "other"} {
		p.do("send", fields{"connection": name, "text": name})
	}
	if e := p.fault("send", fields{"text": "x"}); !strings.Contains(words(e), `is needed: this run has 2 connections, "first" of step first, "other" of step second [connection]`) {
		t.Errorf("got %s", words(e))
	}
	if got := p.do("expect", fields{"from": "other", "count": 2}); got["count"] != number("2") {
		t.Errorf("got %v", got)
	}
	if e := p.fault("again = connect", fields{"url": url, "name": "first"}); e.Field != "name" || !strings.Contains(words(e), `there is an open connection "first" already, of step first`) {
		t.Errorf("a name that is taken: got %s", words(e))
	}
	p.do("close", fields{"connection": "first"})
	p.do("again = connect", fields{"url": url, "name": "first"})
	if e := p.fault("expect", fields{"from": "first", "within": "20ms"}); !strings.Contains(e.Message, "no message came") {
		t.Errorf("a name that was used again has what came before: got %s", words(e))
	}
	p.run = "another"
	if e := p.fault("expect", fields{"from": "first"}); !strings.Contains(e.Message, "this run has no connection") {
		t.Errorf("another run: got %s", words(e))
	}
}

func TestAnotherTryOfAStepConnectsAnew(t *testing.T) {
	p := play(t)
	gone := make(chan int, 2)
	config := fields{"url": speaks(t, nil, func(c *websocket.Conn) {
		_, _, err := c.ReadMessage()
		code := 0
		if e, ok := err.(*websocket.CloseError); ok {
			code = e.Code
		}
		gone <- code
	})}
	for try := 1; try <= 2; try++ {
		if _, err := p.execute(t.Context(), "feed = connect", try, config); err != nil {
			t.Fatalf("try %d: %s", try, words(err))
		}
	}
	if code := <-gone; code != websocket.CloseGoingAway {
		t.Errorf("the connection of the first try ended with %d", code)
	}
	p.p.EndRun(p.run)
	if code := <-gone; code != websocket.CloseGoingAway {
		t.Errorf("the end of the run ended it with %d", code)
	}
}

func TestClosing(t *testing.T) {
	api := shop(t)
	p := play(t)
	heard := make(chan *websocket.CloseError, 1)
	p.do("a = connect", fields{"url": speaks(t, nil, func(c *websocket.Conn) {
		for _, text := range []string{"1", "2", "3"} {
			_ = c.WriteMessage(websocket.TextMessage, []byte(text))
		}
		_, _, err := c.ReadMessage()
		e, _ := err.(*websocket.CloseError)
		heard <- e
	})})
	p.do("expect", fields{"count": 3})
	got := p.do("close", fields{"code": 4001, "reason": "enough"})
	if e := <-heard; e == nil || e.Code != 4001 || e.Text != "enough" {
		t.Errorf("the server heard %v", e)
	}
	if got["code"] != number("4001") || got["unread"] != number("0") {
		t.Errorf("got %v", got)
	}
	p.do("b = connect", fields{"url": "ws://" + api + "/ws/faults?fault=close&code=1013&reason=later"})
	p.do("expect", fields{"from": "b", "close": 1013})
	if got := p.do("close", fields{"connection": "b"}); got["code"] != number("1013") || got["reason"] != "later" || got["unread"] != number("0") {
		t.Errorf("the server's own close: got %v", got)
	}
	p.do("c = connect", fields{"url": "ws://" + api + "/ws/faults?fault=flood&n=9"})
	eventually(t, "ten messages came", func() bool { return p.do("expect", fields{"from": "c", "count": 0})["seen"] == number("10") })
	p.do("d = connect", fields{"url": "ws://" + api + "/ws/faults?fault=flood&n=9"})
	eventually(t, "ten more came", func() bool {
		_, _, err := p.step(t.Context(), "expect", fields{"from": "d", "where": fields{"text": "9"}, "within": "1ms"})
		return err == nil
	})
	for name, test := range map[string]struct {
		config fields
		want   string
	}{
		"a code that cannot be sent": {fields{"connection": "c", "code": 1005}, "E-CONFIG definition: 1005 cannot be sent [code]"},
		"a reason that is too long":  {fields{"connection": "c", "reason": strings.Repeat("x", 124)}, "E-CONFIG definition: is 124 bytes long; a close has room for 123 [reason]"},
	} {
		if got := words(p.fault("close", test.config)); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestWhatNobodyLookedAtIsCounted(t *testing.T) {
	p := play(t)
	p.do("connect", fields{"url": "ws://" + shop(t) + "/ws/faults?fault=flood&n=9"})
	p.do("expect", fields{"where": fields{"text": "hello"}})
	seen := p.do("expect", fields{"count": 0})["seen"].(json.Number)
	p.do("send", fields{"ping": "all has come"})
	looked, err := seen.Int64()
	if got := p.do("close", fields{}); err != nil || got["unread"] != number(fmt.Sprint(10-looked)) {
		t.Errorf("%s of 10 were seen: got %v", seen, got)
	}
}

// A server that never ends a connection does not hold up the end of a run.
func TestTheEndOfARunIsQuick(t *testing.T) {
	api := shop(t)
	p := play(t)
	for i := range 20 {
		p.do(fmt.Sprintf("c%d = connect", i), fields{"url": "ws://" + api + "/ws/faults?fault=silent"})
	}
	began := time.Now()
	p.p.EndRun(p.run)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestStepsMayShareAConnection(t *testing.T) {
	p := play(t)
	p.do("shared = connect", fields{"url": speaks(t, nil, echo)})
	const steps, each = 8, 25
	ended := make(chan error, steps)
	for s := range steps {
		go func() {
			for i := range each {
				text := fmt.Sprintf("%d-%d", s, i)
				for _, step := range []struct {
					name   string
					config fields
				}{{"send", fields{"text": text}}, {"expect", fields{"where": fields{"text": text}}}} {
					if _, err := p.execute(context.Background(), step.name, 1, step.config); err != nil {
						ended <- err
						return
					}
				}
			}
			ended <- nil
		}()
	}
	for range steps {
		if err := <-ended; err != nil {
			t.Error(words(err))
		}
	}
	if got := p.do("close", fields{}); got["unread"] != number("0") {
		t.Errorf("got %v", got)
	}
}

func TestARunHasRoomForSoManyConnections(t *testing.T) {
	full := &connections{}
	for i := range maxConnections {
		full.all = append(full.all, &conn{id: fmt.Sprint(i), done: make(chan struct{})})
	}
	var e *plugin.Error
	if err := full.room(nil, "one more"); err == nil {
		t.Error("got no error")
	} else if e = faultOf(t, err); e.Field != "name" || !strings.Contains(e.Message, "1000 connections") {
		t.Errorf("got %s", words(e))
	}
}
